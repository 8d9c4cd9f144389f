"""`@flow` and `@checkpoint`: what they accept, refuse and remember about a function.

Owns: the two public decorators and the objects they make. A checkpoint called where a run executes goes to that run's
engine; anywhere else it is the function it decorates. Knows nothing of stores; a flow asks the project to run it.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeVar, overload
from weakref import WeakValueDictionary

from kitaru.errors import BadConfig, BadInput, CalledDirectly, NotCheckpointable
from kitaru.model.ids import is_call_name
from kitaru.runtime.binding import Binder
from kitaru.runtime.context import active_call, current_engine, executing_runs, warn_if_beside

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kitaru.runtime.handle import FlowHandle

P = ParamSpec("P")
R = TypeVar("R")

DRIFT_POLICIES = ("stop", "new", "reuse")

_live_flows: WeakValueDictionary[tuple[str, str], Flow[Any, Any]] = WeakValueDictionary()
_checkpoints: WeakValueDictionary[str, Checkpoint[Any, Any]] = WeakValueDictionary()

start_flow: Callable[[Flow[Any, Any], dict[str, Any]], FlowHandle[Any]] | None = None
"""Set by the package's `__init__`: how `.run()` reaches the floor above without importing it."""


def find_live_flow(module: str, qualname: str) -> Flow[Any, Any] | None:
    """Return the flow that this process defined under these names, if it lives; a script's module may be `__main__`."""
    return _live_flows.get((module, qualname)) or _live_flows.get(("__main__", qualname))


def checkpoint_named(name: str) -> Checkpoint[Any, Any] | None:
    """Return the checkpoint of this name that this process defined last, if it lives."""
    return _checkpoints.get(name)


def check_policy(policy: str) -> str:
    """Return a drift policy, or the empty string for "not said here".

    Raises:
        BadConfig: it is none of `stop`, `new` and `reuse`.
    """
    if policy and policy not in DRIFT_POLICIES:
        raise BadConfig(f"on_drift is {policy!r}", hint="use stop, new or reuse")
    return policy


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
    if inspect.iscoroutinefunction(fn):
        raise NotCheckpointable(
            f"@{what} cannot decorate the async function {name}",
            hint="write `def` and call asyncio.run(...) inside it",
        )


class Checkpoint(Generic[P, R]):
    """A function whose every call in a run is recorded once and never executed again.

    Called outside a run, or inside another checkpoint, it is the ordinary function it decorates.

    Attributes:
        fn: the function.
        name: the name its calls are recorded under.
    """

    def __init__(
        self,
        fn: Callable[P, R],
        *,
        name: str = "",
        ignore: Iterable[str] = (),
        key: Callable[P, object] | None = None,
        on_drift: str = "",
    ) -> None:
        _check_function(fn, "checkpoint")
        self.fn = fn
        self.name = name or fn.__name__
        if not is_call_name(self.name) or self.name == "<lambda>":
            raise NotCheckpointable(
                f"{self.name!r} is no name for a checkpoint", hint="use letters, digits, - and _, as in name='fetch'"
            )
        self.key = key
        self.on_drift = check_policy(on_drift)
        self.binder = Binder(fn)
        self.ignore = frozenset((ignore,) if isinstance(ignore, str) else ignore)
        unknown = self.ignore - set(self.binder.names)
        if unknown:
            raise NotCheckpointable(
                f"checkpoint {self.name} ignores {', '.join(sorted(unknown))}, which is no parameter of it",
                hint=f"its parameters are {', '.join(self.binder.names) or 'none'}",
            )
        self.receiver = self._receiver()
        _checkpoints[self.name] = self
        functools.update_wrapper(self, fn, updated=())

    def _receiver(self) -> str:
        """Name of the parameter that a method's instance is passed in, or empty."""
        first = next(iter(self.binder.names), "")
        return first if first in ("self", "cls") and "." in self.fn.__qualname__ else ""

    @functools.cached_property
    def code(self) -> str:
        """Fingerprint of the function's source less its name, 16 hex digits."""
        function = inspect.unwrap(self.fn)
        try:
            source = inspect.getsource(function)
        except (OSError, TypeError):
            return hashlib.sha256(function.__code__.co_code).hexdigest()[:16]
        nameless = source.replace(f"def {function.__name__}", "def ", 1)  # a rename alone is no change of code
        return hashlib.sha256(nameless.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function: recorded where a run executes, plain anywhere else."""
        engine = current_engine.get()
        if engine is None:
            if executing_runs:
                warn_if_beside(self.name)
            return self.fn(*args, **kwargs)
        if active_call.get() is not None:
            return self.fn(*args, **kwargs)
        return engine.call(self, args, kwargs)  # type: ignore[no-any-return]  # the recorded result of fn

    def __get__(self, instance: object, owner: type | None = None) -> Any:  # noqa: ANN401 - as a function's __get__
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<checkpoint {self.name}>"


@dataclass(frozen=True, slots=True)
class FlowOptions:
    """What a flow's runs are started with. `on_drift` is empty where the flow does not say."""

    on_drift: str = ""
    tags: tuple[str, ...] = ()


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
        self.binder = Binder(fn)
        for parameter in self.binder.signature.parameters.values():
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
                raise NotCheckpointable(
                    f"flow {self.name} takes {parameter} by position; a flow's inputs have names",
                    hint=f"make {parameter.name} an ordinary parameter",
                )
        functools.update_wrapper(self, fn, updated=())

    def run(self, *args: P.args, **kwargs: P.kwargs) -> FlowHandle[R]:
        """Start a run on a background thread and return its handle at once.

        The process waits for the run before it ends. Inputs are the function's own parameters.

        Raises:
            BadInput: the inputs do not fit the signature.
            NotAProject: no `.kitaru/` here or above.
        """
        assert start_flow is not None  # noqa: S101 - set before anybody has this class
        return start_flow(self, self._inputs(args, kwargs))

    def _inputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        names = [p.name for p in self.binder.signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        twice = [name for name in names[: len(args)] if name in kwargs]
        if twice or len(args) > len(names):
            what = f"two values for {twice[0]}" if twice else f"{len(args)} values for {len(names)} positional inputs"
            raise BadInput(f"{self.name} got {what}", hint=f"its signature is {self.name}{self.binder.signature}")
        return {**dict(zip(names, args, strict=False)), **kwargs}

    def with_options(self, *, tags: Iterable[str] | None = None, on_drift: str | None = None) -> Flow[P, R]:
        """Return the same flow with other options for the runs started from it."""
        options = self.options
        if tags is not None:
            options = replace(options, tags=tuple(tags))
        if on_drift is not None:
            options = replace(options, on_drift=check_policy(on_drift))
        return Flow(self.fn, name=self.name, options=options)

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
def checkpoint(
    *, name: str = "", ignore: Iterable[str] = (), key: Callable[..., object] | None = None, on_drift: str = ""
) -> Callable[[Callable[P, R]], Checkpoint[P, R]]: ...
def checkpoint(
    fn: Callable[P, R] | None = None,
    /,
    *,
    name: str = "",
    ignore: Iterable[str] = (),
    key: Callable[..., object] | None = None,
    on_drift: str = "",
) -> Checkpoint[P, R] | Callable[[Callable[P, R]], Checkpoint[P, R]]:
    """Make each call of a function a checkpoint: recorded once, returned from the record afterwards.

    Args:
        fn: the function, where the decorator is used without parentheses.
        name: name its calls are recorded under; the function's own by default.
        ignore: parameters that are not part of a call's identity and are not stored (a client, a logger).
        key: called with the same arguments; what it returns is the call's identity instead of the arguments.
        on_drift: `stop`, `new` or `reuse`; empty leaves it to the flow.

    Raises:
        NotCheckpointable: a generator, an async function, or not a function.
    """

    def decorate(function: Callable[P, R]) -> Checkpoint[P, R]:
        return Checkpoint(function, name=name, ignore=ignore, key=key, on_drift=on_drift)

    return decorate if fn is None else decorate(fn)


@overload
def flow(fn: Callable[P, R], /) -> Flow[P, R]: ...
@overload
def flow(*, name: str = "", on_drift: str = "", tags: Iterable[str] = ()) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
def flow(
    fn: Callable[P, R] | None = None, /, *, name: str = "", on_drift: str = "", tags: Iterable[str] = ()
) -> Flow[P, R] | Callable[[Callable[P, R]], Flow[P, R]]:
    """Make a function a flow: its runs are recorded, resumed and replayed.

    Args:
        fn: the function, where the decorator is used without parentheses.
        name: name its runs and versions are kept under; the function's own by default.
        on_drift: policy for its checkpoints that say none: `stop` (default), `new` or `reuse`.
        tags: given to each of its runs.

    Raises:
        NotCheckpointable: a generator, an async function, or not a function.
    """

    def decorate(function: Callable[P, R]) -> Flow[P, R]:
        made = Flow(function, name=name, options=FlowOptions(check_policy(on_drift), tuple(tags)))
        _live_flows[function.__module__, function.__qualname__] = made
        return made

    return decorate if fn is None else decorate(fn)
