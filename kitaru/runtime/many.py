"""Many calls of one checkpoint at once: `.submit()`, `.map()`, `.starmap()`, `.product()`.

Owns: these verbs as a checkpoint has them, also as a method of an instance. In a run they go to its submitter; anywhere
else, and inside of another checkpoint, the function is called at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from kitaru.runtime.context import active_call, current_engine, executing_runs, warn_if_beside
from kitaru.runtime.options import check_on_error

if TYPE_CHECKING:
    from kitaru.runtime.decorators import Checkpoint
    from kitaru.runtime.futures import CallFuture, CallFutures

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Many(Generic[P, R]):
    """What a checkpoint can do with many calls.

    Attributes:
        fn: the function.
        name: the name its calls are recorded under.
        is_async: it is a coroutine function.
    """

    fn: Callable[P, R]
    name: str
    is_async: bool

    @overload
    def submit(self: Many[P, Coroutine[Any, Any, T]], *args: object, **kwargs: object) -> CallFuture[T]: ...
    @overload
    def submit(self, *args: object, **kwargs: object) -> CallFuture[R]: ...
    def submit(self, *args: object, **kwargs: object) -> CallFuture[Any]:
        """Make a call that executes on another thread, or as a task of the running loop if it is async.

        Its place in the run's order is settled here. A future as an argument, also inside of lists, tuples and dicts,
        stands for its result: the call begins when it is there. A result that is recorded is there at once. Outside a
        run, or inside a checkpoint, the function is called at once.

        Returns:
            The future of its result. The run does not end before it; a failure that nobody asks for fails the run.

        Raises:
            RunStopped: the run stops here.
        """
        return self._submit((args, kwargs))

    @overload
    def map(
        self: Many[P, Coroutine[Any, Any, T]], *items: Iterable[Any], on_error: str = ..., **constants: object
    ) -> CallFutures[T]: ...
    @overload
    def map(self, *items: Iterable[Any], on_error: str = ..., **constants: object) -> CallFutures[R]: ...
    def map(self, *items: Iterable[Any], on_error: str = "finish", **constants: object) -> CallFutures[Any]:
        """Make a call for each item, at once; several iterables are taken in step, as by the builtin `map`.

        Items are known by their arguments: after a crash they may come in another order, or others among them.

        Args:
            items: iterables of the first, second, … argument.
            on_error: `finish` lets the others end when one fails; `cancel` calls off those that can be.
            constants: arguments that are the same for each call.

        Raises:
            BadConfig: `on_error` is neither.
            RunStopped: the run stops here.
        """
        return self._map(zip(*items, strict=False), on_error, constants)

    @overload
    def starmap(
        self: Many[P, Coroutine[Any, Any, T]],
        items: Iterable[Iterable[Any]],
        *,
        on_error: str = ...,
        **constants: object,
    ) -> CallFutures[T]: ...
    @overload
    def starmap(
        self, items: Iterable[Iterable[Any]], *, on_error: str = ..., **constants: object
    ) -> CallFutures[R]: ...
    def starmap(
        self, items: Iterable[Iterable[Any]], *, on_error: str = "finish", **constants: object
    ) -> CallFutures[Any]:
        """As `map`, with each item holding all positional arguments of its call."""
        return self._map(items, on_error, constants)

    @overload
    def product(
        self: Many[P, Coroutine[Any, Any, T]], *items: Iterable[Any], on_error: str = ..., **constants: object
    ) -> CallFutures[T]: ...
    @overload
    def product(self, *items: Iterable[Any], on_error: str = ..., **constants: object) -> CallFutures[R]: ...
    def product(self, *items: Iterable[Any], on_error: str = "finish", **constants: object) -> CallFutures[Any]:
        """As `map`, for each combination of the iterables' items; the last one changes fastest."""
        return self._map(itertools.product(*items), on_error, constants)

    @property
    def _made(self) -> Checkpoint[..., Any]:
        return self  # type: ignore[return-value]  # this is what a checkpoint is made of, and nothing else

    def _submit(self, given: tuple[tuple[Any, ...], dict[str, Any]]) -> CallFuture[Any]:
        engine = current_engine.get()
        if engine is not None and active_call.get() is None:
            return engine.submitter.submit(self._made, given)
        if engine is None and executing_runs:
            warn_if_beside(self.name)
        from kitaru.runtime.outside import outside_run

        return outside_run(self._made, given)

    def _map(self, items: Iterable[Iterable[Any]], on_error: str, constants: dict[str, object]) -> CallFutures[Any]:
        cancels = check_on_error(on_error)
        given = [(tuple(item), constants) for item in items]
        engine = current_engine.get()
        if engine is not None and active_call.get() is None:
            return engine.submitter.map(self._made, given, cancel_others=cancels)
        from kitaru.runtime.futures import CallFutures

        return CallFutures([self._submit(each) for each in given])

    def run_to_end(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - what the function returns
        """Call the function, and if it is async, execute it on a loop of its own."""
        value: Any = self.fn(*args, **kwargs)
        if not self.is_async:
            return value
        import asyncio

        return asyncio.run(value)


class Bound:
    """A checkpoint that is a method, of one instance."""

    __slots__ = ("__func__", "__self__")

    def __init__(self, made: Checkpoint[..., Any], instance: object) -> None:
        self.__func__, self.__self__ = made, instance

    def __call__(self, *args: object, **kwargs: object) -> Any:  # noqa: ANN401 - what the method returns
        """Call the method."""
        return self.__func__(self.__self__, *args, **kwargs)

    def submit(self, *args: object, **kwargs: object) -> CallFuture[Any]:
        """As `Many.submit`."""
        return self.__func__.submit(self.__self__, *args, **kwargs)

    def map(self, *items: Iterable[Any], on_error: str = "finish", **constants: object) -> CallFutures[Any]:
        """As `Many.map`."""
        return self.starmap(zip(*items, strict=False), on_error=on_error, **constants)

    def starmap(
        self, items: Iterable[Iterable[Any]], *, on_error: str = "finish", **constants: object
    ) -> CallFutures[Any]:
        """As `Many.starmap`."""
        return self.__func__.starmap(((self.__self__, *item) for item in items), on_error=on_error, **constants)

    def product(self, *items: Iterable[Any], on_error: str = "finish", **constants: object) -> CallFutures[Any]:
        """As `Many.product`."""
        return self.starmap(itertools.product(*items), on_error=on_error, **constants)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the checkpoint
        return getattr(self.__func__, name)
