"""What `.submit()` and `.map()` return: results that are still to come.

Owns: the future of a call and the list of many. Knows of the run only who cancels a call and where its result is shown.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from kitaru.errors import CallCancelled, UsageError
from kitaru.runtime.scopes import Scope, current_scope

if TYPE_CHECKING:
    import asyncio

    from kitaru.model.records import Call

R = TypeVar("R")

_CANCELLED = "CANCELLED"
"""The state of a future that was cancelled, and whose waiters were not told yet."""


class CallFuture(concurrent.futures.Future[R]):
    """The result of a submitted call, to come or there already.

    It is a `concurrent.futures.Future`, which `concurrent.futures.wait` and `as_completed` take, and it can be awaited
    in async code. Given as an argument to another submitted call, also inside of lists, tuples and dicts, it stands for
    its result.

    Attributes:
        name: the checkpoint's name.
        taken: somebody asked for the result: a failure that nobody asked for fails the run.
    """

    def __init__(self, name: str, maker: Scope | None = None) -> None:
        super().__init__()
        self.name, self.taken = name, False
        self.shown: Call | None = None
        """The record that the result is in."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop that it executes on, which must not be blocked by waiting for it."""
        self.call_off: Callable[[], bool] | None = None
        """Cancels what executes; tells whether that can be."""
        self._maker = maker

    def result(self, timeout: float | None = None) -> R:
        """Return the call's result, as soon as it is there; raise its exception.

        Args:
            timeout: seconds to wait, or None for as long as it takes.

        Raises:
            TimeoutError: it is not there by then.
            UsageError: it executes on the event loop that this would block.
        """
        self._await_it()
        value = super().result(timeout)
        if self.shown is not None and self._maker is not None and current_scope.get() is self._maker:
            self._maker.shown = self.shown
        return value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the call's exception, or None where it has a result; waits as `result` does."""
        self._await_it()
        return super().exception(timeout)

    def executes_here(self) -> None:
        """Say that it executes on the event loop that runs here, if one does."""
        from asyncio import _get_running_loop

        self.loop = _get_running_loop()

    def _await_it(self) -> None:
        self.taken = True
        if self.loop is not None and not self.done():
            from asyncio import _get_running_loop

            if _get_running_loop() is self.loop:
                hint = f"write: await {self.name}.submit(...)"
                raise UsageError(f"the result of {self.name} would block the event loop it executes on", hint=hint)

    def cancel(self) -> bool:
        """Call it off; tell whether that could be: what runs on a thread of this process cannot be stopped."""
        self.taken = True
        return self.drop()

    def drop(self) -> bool:
        """As `cancel`, without taking the result."""
        if super().cancel():
            with self._condition:
                if self._state == _CANCELLED:  # tell those who wait for several
                    self.set_running_or_notify_cancel()
            return True
        return not self.done() and self.call_off is not None and self.call_off()

    def starts(self) -> bool:
        """Mark it as executing, unless it was called off; tell which."""
        with self._condition:
            return not self.cancelled() and self.set_running_or_notify_cancel()

    def input(self) -> R:
        """Return the result as the input of another call: unlike `result`, it has not come to the code that made it."""
        return super().result()

    def failure(self) -> BaseException | None:
        """Return the exception it ended by, without taking it; None where it was called off in time."""
        return None if self.cancelled() else super().exception()

    def add_done_callback(self, fn: Callable[[concurrent.futures.Future[R]], object]) -> None:
        """Have `fn` called with this future once it is done, on whichever thread that happens."""
        self.taken = True
        super().add_done_callback(fn)

    def when_done(self, tell: Callable[[CallFuture[R]], object]) -> None:
        """As `add_done_callback`, without taking the result."""
        super().add_done_callback(tell)  # type: ignore[arg-type]  # called with this very future

    def __await__(self) -> Generator[Any, None, R]:
        from asyncio import wrap_future

        if not self.done():
            yield from wrap_future(self).__await__()
        return self.result()


class CallFutures(Sequence[CallFuture[R]], Generic[R]):
    """The futures of `.map()`, in the order of its items."""

    def __init__(self, futures: Sequence[CallFuture[R]]) -> None:
        self._futures = list(futures)

    def results(self, timeout: float | None = None) -> list[R]:
        """Return all results, in order, once every call is over.

        Args:
            timeout: seconds to wait for all of them, or None.

        Raises:
            TimeoutError: they are not there by then.
            BaseException: the first failure in the order of items; what was called off because of another is none.
        """
        for future in self._futures:
            future._await_it()
        _, late = concurrent.futures.wait(self._futures, timeout)
        if late:
            raise TimeoutError(f"{len(late)} of {len(self._futures)} calls still execute")
        return self._gathered()

    def _gathered(self) -> list[R]:
        failed = [f for f in self._futures if f.cancelled() or f.failure() is not None]
        first = next((f for f in failed if not _is_called_off(f)), failed[0] if failed else None)
        if first is not None:
            first.result()
        return [future.result() for future in self._futures]

    def __await__(self) -> Generator[Any, None, list[R]]:
        return self._awaited().__await__()

    async def _awaited(self) -> list[R]:
        import asyncio

        for future in self._futures:
            future.taken = True
        waited = [asyncio.wrap_future(f) for f in self._futures if not f.done()]
        for one in waited:
            one.add_done_callback(_look_at)
        if waited:
            try:
                await asyncio.wait(waited)
            except asyncio.CancelledError:
                for future in self._futures:
                    future.cancel()
                raise
        return self._gathered()

    @overload
    def __getitem__(self, index: int) -> CallFuture[R]: ...
    @overload
    def __getitem__(self, index: slice) -> CallFutures[R]: ...
    def __getitem__(self, index: int | slice) -> CallFuture[R] | CallFutures[R]:
        found = self._futures[index]
        return CallFutures(found) if isinstance(found, list) else found

    def __len__(self) -> int:
        return len(self._futures)

    def __iter__(self) -> Iterator[CallFuture[R]]:
        return iter(self._futures)


def _look_at(done: asyncio.Future[Any]) -> None:
    """Have asyncio not report a failure as lost, which whoever waits for all takes from the call's own future."""
    if not done.cancelled():
        done.exception()


def _is_called_off(future: CallFuture[Any]) -> bool:
    return future.cancelled() or isinstance(future.failure(), CallCancelled)


def inputs_in(values: object) -> list[CallFuture[Any]]:
    """Return the futures among values, also inside of lists, tuples and dicts."""
    if isinstance(values, CallFuture):
        return [values]
    kind = type(values)
    if kind is dict:
        values = list(values.values())  # type: ignore[attr-defined]  # a dict by its exact type
    elif kind is not list and kind is not tuple:
        return []
    return [future for value in values for future in inputs_in(value)]  # type: ignore[attr-defined]  # a list or tuple now


def filled(values: Any) -> Any:  # noqa: ANN401 - any value
    """Return values with each future in them replaced by its result; what holds none is returned as it is."""
    if isinstance(values, CallFuture):
        return values.input()
    if not inputs_in(values):
        return values
    if type(values) is dict:
        return {name: filled(value) for name, value in values.items()}
    return type(values)(filled(value) for value in values)
