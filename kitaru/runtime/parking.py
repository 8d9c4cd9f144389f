"""Branches of an event loop that are blocked until something comes from outside: an answer, or a time.

Owns: looking for what they wait for, and knowing when nothing else can go on, so that the run lets go of its process.
Knows nothing of questions and sleeps.

The loop is still when nothing is ready to run on it, no timer that the body made is pending, no call of the run is in
flight or submitted, and no thread that the loop started is at work. Then every other branch waits for one that is
parked, and two such looks in a row let go. What is not seen is left out on the safe side, for to let go early loses
nothing that is recorded: I/O that the body does itself (an idle connection would keep the process for ever), threads
and subprocesses of its own. Timers made inside of checkpoints, as clients keep them, do not count.
"""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from kitaru.errors import RunSleeping
from kitaru.runtime.context import active_call, current_engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.errors import KitaruError
    from kitaru.runtime.engine import Engine

T = TypeVar("T")

FIRST_LOOK_S, LOOK_EVERY_S = 0.005, 0.2
LOOKS = 2
"""How many looks in a row must find the loop still: a thread that is done may not have told the loop yet."""


async def park(engine: Engine, came: Callable[[], T | None], until_us: int, reason: Callable[[], KitaruError]) -> T:
    """Block the branch at hand until something came, while other branches go on; return it.

    Args:
        came: looks for it; None for not yet.
        until_us: until when the process stays although all branches are blocked.
        reason: why the run stops, where it does.

    Raises:
        RunStopped: the run stops: all branches are blocked, or something else stopped it.
    """
    engine.check_latch()
    loop = asyncio.get_running_loop()
    lot = engine.on_loops.parked.get(loop)
    if lot is None:
        lot = engine.on_loops.parked[loop] = Lot(engine, loop)
    parked = Parked(came, until_us, reason, loop.create_future())
    return await lot.hold(parked)  # type: ignore[no-any-return]  # what `came` returns


@dataclass(slots=True, eq=False)
class Parked:
    """One blocked branch."""

    came: Callable[[], Any]
    until_us: int
    reason: Callable[[], KitaruError]
    future: asyncio.Future[Any]


class Lot:
    """The blocked branches of one loop."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine, self._loop = engine, loop
        self._parked: list[Parked] = []
        self._timer: asyncio.TimerHandle | None = None
        self._every_s = FIRST_LOOK_S
        self._still = 0

    async def hold(self, parked: Parked) -> Any:  # noqa: ANN401 - what it waited for
        """Wait with the others."""
        self._parked.append(parked)
        self._every_s, self._still = FIRST_LOOK_S, 0
        if self._timer is not None:
            self._timer.cancel()
        self._look_later()
        try:
            return await parked.future
        finally:
            self._parked.remove(parked)

    def _look_later(self) -> None:
        delay_s = self._engine.services.delay(self._every_s)
        # in no context of the body's, so that this timer is none of those that keep the loop from being still
        self._timer = self._loop.call_later(delay_s, self._look, context=contextvars.Context())

    def _look(self) -> None:
        self._timer = None
        waiting = [parked for parked in self._parked if not parked.future.done()]
        if self._engine.has_stopped:
            self._unwind(waiting)
            return
        if not waiting:
            return
        woken = [parked for parked in waiting if self._wakes(parked)]
        self._still = 0 if woken or self._can_go_on(waiting) else self._still + 1
        if self._still >= LOOKS:
            first = min((parked.reason() for parked in waiting), key=lambda reason: isinstance(reason, RunSleeping))
            self._engine.stop(first)
            self._every_s = FIRST_LOOK_S
            self._unwind(waiting)
            return
        self._every_s = min(self._every_s * 2, LOOK_EVERY_S)
        self._look_later()

    def _unwind(self, waiting: list[Parked]) -> None:
        """The run has stopped: have each blocked branch meet that; then cancel what waited for one and is not told so.

        A task that waits at a queue, say, learns nothing of the end of the one that was to fill it.
        """
        for parked in waiting:
            parked.future.set_exception(self._engine.stopped())
        self._still = 0 if waiting or self._engine.is_busy or self._has_work() else self._still + 1
        if self._still >= LOOKS:
            self._still = 0
            for task in asyncio.all_tasks(self._loop) - self._engine.on_loops.tasks:
                task.cancel()
        self._look_later()

    def _wakes(self, parked: Parked) -> bool:
        try:
            found = parked.came()
        except BaseException as error:  # met where it waits
            parked.future.set_exception(error)
            return True
        if found is not None:
            parked.future.set_result(found)
        return found is not None

    def _can_go_on(self, waiting: list[Parked]) -> bool:
        engine = self._engine
        now = engine.now()
        return (
            any(parked.until_us > now for parked in waiting)
            or engine.is_busy
            or bool(engine.on_loops.threads.get(self._loop))
            or self._has_work()
        )

    def _has_work(self) -> bool:
        """Tell whether something is ready on the loop, or a timer of the body's is pending, as asyncio's loops tell."""
        ready: Any = getattr(self._loop, "_ready", ())
        timers: Any = getattr(self._loop, "_scheduled", ())
        return any(not handle.cancelled() for handle in ready) or any(self._is_bodys(timer) for timer in timers)

    def _is_bodys(self, timer: asyncio.TimerHandle) -> bool:
        context: contextvars.Context | None = getattr(timer, "_context", None)
        if timer.cancelled() or context is None:
            return False
        return context.get(current_engine) is self._engine and context.get(active_call) is None


def count_threads(engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
    """Have a loop of the run's own count the threads that it starts and that are not done."""
    working: set[Any] = engine.on_loops.threads.setdefault(loop, set())
    start = loop.run_in_executor

    def run_in_executor(executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # noqa: ANN401 - as asyncio's
        future = start(executor, func, *args)
        working.add(future)
        future.add_done_callback(working.discard)
        return future

    loop.run_in_executor = run_in_executor  # type: ignore[method-assign,assignment]  # this loop, made for this body
