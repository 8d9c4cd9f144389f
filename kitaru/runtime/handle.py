"""A run in hand: `.run()` returns one at once, while the body executes on a thread.

Owns: the thread that carries a body, and what a caller can ask of it. Knows the project only as a function that tells
a run's status.
"""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

from kitaru.errors import RunFailed, RunInterrupted, RunNotFinished
from kitaru.model.history import Status
from kitaru.runtime.ending import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

R = TypeVar("R")

_started: WeakSet[FlowHandle[Any]] = WeakSet()
_lock = threading.Lock()
_registered = False


def _join_before_shutdown() -> None:
    """Let the interpreter wait for runs before it shuts down the executors that they may still need.

    It joins their threads anyway, but only after `concurrent.futures` refuses new work: a script that ends before its
    run would break whatever in it uses a thread pool. What is registered last is called first.
    """
    global _registered  # noqa: PLW0603 - once per process, as what it is registered with
    with _lock:
        if not _registered:
            import concurrent.futures.thread  # noqa: F401 - registers itself, which must come first

            threading._register_atexit(_join_all)  # type: ignore[attr-defined]  # what concurrent.futures uses too
            _registered = True


def _join_all() -> None:
    for handle in list(_started):
        try:
            handle.join()
        except KeyboardInterrupt:
            for other in _started:
                other.stop()
            handle.join()


class FlowHandle(Generic[R]):
    """A run that executes, or has executed, in this process.

    Args:
        run: its id.
        carry: executes the body and whatever follows from it; called once.
        status: tells where the run stands in the store.
        stop: asks the body to stop at its next call.
    """

    def __init__(
        self,
        run: str,
        carry: Callable[[], Outcome],
        status: Callable[[], Status],
        stop: Callable[[], None],
    ) -> None:
        self.exec_id = run
        self.outcome: Outcome | None = None
        self._carry, self._status, self._stop = carry, status, stop
        self._crash: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._over: list[Callable[[], object]] = []

    def start(self) -> FlowHandle[R]:
        """Execute on a thread of its own, which the interpreter waits for before it ends."""
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._work,), name=f"kitaru-{self.exec_id}")
        _join_before_shutdown()
        self._thread.start()
        _started.add(self)
        return self

    def finish(self) -> FlowHandle[R]:
        """Execute on the calling thread, to the end."""
        self.outcome = self._carry()
        return self

    def join(self, timeout: float | None = None) -> None:
        """Block until the run has come to its end or to a stop, or `timeout` seconds have passed; tell nothing."""
        if self._thread is not None:
            self._thread.join(timeout)

    def stop(self) -> None:
        """Ask the body to stop at its next call; the run is interrupted then, and can be resumed."""
        self._stop()

    def _work(self) -> None:
        try:
            self.outcome = self._carry()
        except BaseException as error:  # carried to whoever waits, as a future does
            self._crash = error
        with _lock:
            waiting, self._over = self._over, []
        for tell in waiting:
            tell()

    @property
    def status(self) -> Status:
        """Where the run stands now, read from the store on each access."""
        return self._status()

    def wait(self, timeout: float | None = None) -> R:
        """Block until the run comes to its end or to a stop, and return its result.

        Args:
            timeout: seconds, or None to wait for ever.

        Raises:
            RunWaiting: the run stopped at a question; the text is the line that answers it.
            RunFailed: the body raised; `__cause__` is what it raised.
            KitaruError: any other reason why it did not complete, such as `Drift`.
            TimeoutError: it still executes.
        """
        try:
            self.join(timeout)
        except KeyboardInterrupt as interrupt:
            self.stop()
            interrupt.add_note(f"run {self.exec_id} stops at its next call; carry it on: kitaru resume {self.exec_id}")
            raise
        if self._crash is not None:
            raise self._crash
        if self.outcome is None:
            raise TimeoutError(f"run {self.exec_id} still executes")
        result: R = _result(self.outcome)
        return result

    def __await__(self) -> Generator[Any, None, R]:
        """Wait as `wait` does, without blocking the event loop."""
        return self._awaited().__await__()

    async def _awaited(self) -> R:
        import asyncio

        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        with _lock:
            executes = self._thread is not None and self.outcome is None and self._crash is None
            if executes:
                self._over.append(lambda: loop.call_soon_threadsafe(over.set))
        if executes:
            await over.wait()
        return self.wait()

    def get(self) -> R:
        """Return the result of a run that has finished; raises as `wait` where it ended otherwise.

        Raises:
            RunNotFinished: it still executes.
        """
        if self._crash is None and self.outcome is None:
            raise RunNotFinished(f"run {self.exec_id} has not finished", hint=f"kitaru log {self.exec_id}")
        return self.wait()

    def __repr__(self) -> str:
        return f"<run {self.exec_id}: {self.outcome.status if self.outcome else self.status}>"


def _result(outcome: Outcome) -> Any:  # noqa: ANN401 - what the flow returned
    if outcome.error is not None:
        raise outcome.error
    if outcome.status is Status.COMPLETED:
        return outcome.value
    if outcome.status is Status.INTERRUPTED:
        raise RunInterrupted(f"run {outcome.run} was interrupted", hint=f"kitaru resume {outcome.run}")
    if outcome.status is Status.RUNNING:
        raise RunNotFinished(f"run {outcome.run} goes on in another process", hint=f"kitaru logs -f {outcome.run}")
    raise RunFailed(f"run {outcome.run} is {outcome.status}")
