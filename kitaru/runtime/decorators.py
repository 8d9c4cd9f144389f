"""`@flow` and `@checkpoint`: what they accept, refuse and remember about a function.

Owns: the two public decorators and the objects they make. A checkpoint called where a run executes goes to that run's
engine; anywhere else it is the function it decorates. Knows nothing of stores; a flow asks the project to run it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeVar, Unpack, overload
from weakref import WeakValueDictionary

from kitaru.errors import BadInput, CalledDirectly, NotCheckpointable
from kitaru.model.ids import is_call_name
from kitaru.runtime.binding import Binder
from kitaru.runtime.context import active_call, current_engine, executing_runs, warn_if_beside
from kitaru.runtime.many import Bound, Many
from kitaru.runtime.options import CheckpointArguments, CheckpointOptions, FlowArguments, FlowOptions

if TYPE_CHECKING:
    from kitaru.runtime.deploying import Deployed
    from kitaru.runtime.handle import FlowHandle

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_live_flows: WeakValueDictionary[tuple[str, str], Flow[Any, Any]] = WeakValueDictionary()
_checkpoints: WeakValueDictionary[str, Checkpoint[Any, Any]] = WeakValueDictionary()

start_flow: Callable[[Flow[Any, Any], dict[str, Any]], FlowHandle[Any]] | None = None
"""Set by the package's `__init__`: how `.run()` reaches the floor above without importing it."""

deploy_flow: Callable[..., Deployed] | None = None
"""The same for `.deploy()`."""


def find_live_flow(module: str, qualname: str) -> Flow[Any, Any] | None:
    """Return the flow that this process defined under these names, if it lives; a script's module may be `__main__`."""
    return _live_flows.get((module, qualname)) or _live_flows.get(("__main__", qualname))


def checkpoint_named(name: str) -> Checkpoint[Any, Any] | None:
    """Return the checkpoint of this name that this process defined last, if it lives."""
    return _checkpoints.get(name)


def _check_function(fn: object, what: str) -> None:
    if isinstance(fn, (Checkpoint, Flow)):
        raise NotCheckpointable(
            f"@{what} cannot decorate {fn!r}, which is decorated already", hint=f"keep one decorator on {fn.name}"
        )
    if not inspect.isfunction(inspect.unwrap(fn) if callable(fn) else fn):
        raise NotCheckpointable(f"@{what} decorates functions, not {type(fn).__name__}", hint="define it with `def`")
    name = fn.__name__  # type: ignore[attr-defined]  # a function by the check above
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise NotCheckpointable(
            f"@{what} cannot decorate the generator function {name}: a half-used generator cannot be recorded",
            hint="return a list, or make each step of it a checkpoint",
        )


class Checkpoint(Many[P, R]):
    """A function whose every call in a run is recorded once and never executed again.

    Called outside a run, or inside another checkpoint, it is the ordinary function it decorates.

    Attributes:
        fn: the function.
        name: the name its calls are recorded under.
        options: what it was decorated with.
    """

    def __init__(self, fn: Callable[P, R], options: CheckpointOptions | None = None) -> None:
        _check_function(fn, "checkpoint")
        self.fn = fn
        self.options = options = options or CheckpointOptions()
        self.name = options.name or fn.__name__
        if not is_call_name(self.name):
            raise NotCheckpointable(
                f"{self.name!r} is no name for a checkpoint", hint="use letters, digits, - and _, as in name='fetch'"
            )
        self.key, self.on_drift, self.ignore = options.key, options.on_drift, options.ignore
        self.binder = Binder(fn)
        unknown = self.ignore - set(self.binder.names)
        if unknown:
            raise NotCheckpointable(
                f"checkpoint {self.name} ignores {', '.join(sorted(unknown))}, which is no parameter of it",
                hint=f"its parameters are {', '.join(self.binder.names) or 'none'}",
            )
        self.receiver = self._receiver()
        self.is_async = inspect.iscoroutinefunction(fn)
        functools.update_wrapper(self, fn, updated=())

    def with_options(self, **options: Unpack[CheckpointArguments]) -> Checkpoint[P, R]:
        """Return the same checkpoint with other options; they are those of `@checkpoint`.

        Raises:
            BadConfig: an option is unknown, or cannot be.
        """
        made = Checkpoint(self.fn, self.options.changed(options))
        if made.name != self.name:
            _checkpoints[made.name] = made
            self._named[made.name] = made
        return made

    @functools.cached_property
    def _named(self) -> dict[str, Checkpoint[P, R]]:
        """What was made of it under other names: the code has these as long as it has this."""
        return {}

    def _receiver(self) -> str:
        """Name of the parameter that a method's instance is passed in, or empty."""
        first = next(iter(self.binder.names), "")
        return first if first in ("self", "cls") and "." in self.fn.__qualname__ else ""

    @functools.cached_property
    def code(self) -> str:
        """Fingerprint of the function as it was compiled, less its name, 16 hex digits."""
        from kitaru.runtime.compiled import compiled_digest

        return compiled_digest(self.fn)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function: recorded where a run executes, plain anywhere else."""
        engine = current_engine.get()
        if engine is None:
            if executing_runs:
                warn_if_beside(self.name)
            return self.fn(*args, **kwargs)
        if active_call.get() is not None:
            return self.fn(*args, **kwargs)
        if self.is_async:
            from kitaru.runtime.awaited import call_async

            return call_async(engine, self, args, kwargs)  # type: ignore[return-value]  # fn returns a coroutine, too
        return engine.calls.call(self, args, kwargs)  # type: ignore[no-any-return]  # the recorded result of fn

    def __get__(self, instance: object, owner: type | None = None) -> Any:  # noqa: ANN401 - as a function's __get__
        return self if instance is None else Bound(self, instance)

    def __repr__(self) -> str:
        return f"<checkpoint {self.name}>"


class Flow(Generic[P, R]):
    """A function whose runs are recorded, resumed and replayed; started with `.run()`.

    Attributes:
        fn: the function.
        name: the name its versions and runs are kept under.
    """

    def __init__(self, fn: Callable[P, R], *, name: str = "", options: FlowOptions | None = None) -> None:
        _check_function(fn, "flow")
        self.fn = fn
        self.name = name or fn.__name__
        self.options = options or FlowOptions()
        self.is_async = inspect.iscoroutinefunction(fn)
        self.binder = Binder(fn)
        for parameter in self.binder.signature.parameters.values():
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
                raise NotCheckpointable(
                    f"flow {self.name} takes {parameter} by position; a flow's inputs have names",
                    hint=f"make {parameter.name} an ordinary parameter",
                )
        functools.update_wrapper(self, fn, updated=())

    @overload
    def run(self: Flow[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> FlowHandle[T]: ...
    @overload
    def run(self, *args: P.args, **kwargs: P.kwargs) -> FlowHandle[R]: ...
    def run(self, *args: P.args, **kwargs: P.kwargs) -> FlowHandle[Any]:
        """Start a run on a background thread and return its handle at once.

        The process waits for the run before it ends. Inputs are the function's own parameters.

        Raises:
            BadInput: the inputs do not fit the signature.
            NotAProject: no `.kitaru/` here or above.
        """
        assert start_flow is not None  # noqa: S101 - set before anybody has this class
        return start_flow(self, self._inputs(args, kwargs))

    def deploy(self, *, route: str = "", note: str = "", weight: int = 100) -> Deployed:
        """Record a version of the flow without running it, and send a route to it, so that it can be invoked by name.

        The flow must work from its own files alone: that is tried in a fresh process before anything is recorded.

        Args:
            route: the route to move; without one, none is moved.
            note: why, for the log of the route.
            weight: how many of a hundred invocations of the route go to this version.

        Raises:
            UsageError: a flow that no version can hold, such as one typed in a notebook, or no name for a route.
            CodeUnloadable: something of the project that it imports is not in its snapshot; the text names it.
        """
        assert deploy_flow is not None  # noqa: S101 - set before anybody has this class
        return deploy_flow(self, route=route, note=note, weight=weight)

    def _inputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        names = [p.name for p in self.binder.signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        twice = [name for name in names[: len(args)] if name in kwargs]
        if twice or len(args) > len(names):
            what = f"two values for {twice[0]}" if twice else f"{len(args)} values for {len(names)} positional inputs"
            raise BadInput(f"{self.name} got {what}", hint=f"its signature is {self.name}{self.binder.signature}")
        return {**dict(zip(names, args, strict=False)), **kwargs}

    def with_options(self, **options: Unpack[FlowArguments]) -> Flow[P, R]:
        """Return the same flow with other options for the runs started from it; they are those of `@flow`.

        Raises:
            BadConfig: an option is unknown, or cannot be.
        """
        return Flow(self.fn, name=self.name, options=self.options.changed(options))

    def __call__(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Refuse: a flow is started, not called."""
        raise CalledDirectly(
            f"flow {self.name} was called like a function",
            hint=f"start it with {self.name}.run(...), or call {self.name}.fn(...) for the bare function",
        )

    def __repr__(self) -> str:
        return f"<flow {self.name}>"


@overload
def checkpoint(fn: Callable[P, R], /) -> Checkpoint[P, R]: ...
@overload
def checkpoint(**options: Unpack[CheckpointArguments]) -> Callable[[Callable[P, R]], Checkpoint[P, R]]: ...
def checkpoint(
    fn: Callable[P, R] | None = None, /, **options: Unpack[CheckpointArguments]
) -> Checkpoint[P, R] | Callable[[Callable[P, R]], Checkpoint[P, R]]:
    """Make each call of a function a checkpoint: recorded once, returned from the record afterwards.

    Args:
        fn: the function, where the decorator is used without parentheses.
        options: see `kitaru.runtime.options.CheckpointOptions`, which tells each.

    Raises:
        NotCheckpointable: a generator, or not a function.
        BadConfig: an option is unknown, or cannot be.
    """
    checked = CheckpointOptions().changed(options)

    def decorate(function: Callable[P, R]) -> Checkpoint[P, R]:
        made = Checkpoint(function, checked)
        _checkpoints[made.name] = made
        return made

    return decorate if fn is None else decorate(fn)


@overload
def flow(fn: Callable[P, R], /) -> Flow[P, R]: ...
@overload
def flow(*, name: str = "", **options: Unpack[FlowArguments]) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
def flow(
    fn: Callable[P, R] | None = None, /, *, name: str = "", **options: Unpack[FlowArguments]
) -> Flow[P, R] | Callable[[Callable[P, R]], Flow[P, R]]:
    """Make a function a flow: its runs are recorded, resumed and replayed.

    Args:
        fn: the function, where the decorator is used without parentheses.
        name: name its runs and versions are kept under; the function's own by default.
        options: see `kitaru.runtime.options.FlowOptions`, which tells each.

    Raises:
        NotCheckpointable: a generator, or not a function.
        BadConfig: an option is unknown, or cannot be.
    """
    checked = FlowOptions().changed(options)

    def decorate(function: Callable[P, R]) -> Flow[P, R]:
        made = Flow(function, name=name, options=checked)
        _live_flows[function.__module__, function.__qualname__] = made
        return made

    return decorate if fn is None else decorate(fn)
