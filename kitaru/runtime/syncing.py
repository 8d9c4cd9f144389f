"""Making durable what calls on an event loop have recorded, without holding up the loop.

Owns: the shared syncs of a run's loops. Knows nothing of calls.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from kitaru.runtime.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.runtime.engine import Engine


async def ended(task: asyncio.Future[Any], engine: Engine | None = None) -> None:
    """Wait for a task to end, whoever cancels this one meanwhile; unless the engine is left at once."""
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            if engine is not None and engine.left_at_once:
                raise


def on_thread(pool: Pool, work: Callable[[], Any]) -> asyncio.Future[Any]:
    """Have a thread do something, and return the future of it on the running loop."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def act() -> None:
        try:
            tell = (future.set_result, work())
        except BaseException as error:  # whoever waits for the future meets it
            tell = (future.set_exception, error)
        with contextlib.suppress(RuntimeError):  # a second Ctrl-C has closed the loop
            loop.call_soon_threadsafe(_settle, future, *tell)

    pool.put(act)
    return future


def _settle(future: asyncio.Future[Any], settle: Callable[[Any], None], value: object) -> None:
    if not future.done():
        settle(value)


async def durable(engine: Engine) -> None:
    """Return when what was recorded is durable. Calls that end at about the same time share one sync."""
    if not engine.in_flight.is_busy and len(asyncio.all_tasks()) <= 3:
        engine.sync()
        return
    await _shared(engine).wait()


class Shared:
    """Syncs of one run, on a thread, one after the other, each for all that was recorded before it began."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._loop = engine, asyncio.get_running_loop()
        self._pool = Pool(1, f"kitaru-sync-{engine.run}")  # never behind what user code has given the loop's threads
        self._next: asyncio.Future[None] | None = None
        self._busy = False

    def close(self) -> None:
        """The execution is over."""
        self._pool.close()

    async def wait(self) -> None:
        """Wait for a sync that begins from now on, whoever cancels this meanwhile."""
        if self._next is None:
            self._next = self._loop.create_future()
        mine = self._next
        if not self._busy:
            self._go()
        await ended(mine)
        error = mine.exception()
        if error is not None:
            raise error

    def _go(self) -> None:
        batch, self._next, self._busy = self._next, None, True
        on_thread(self._pool, self._engine.sync).add_done_callback(lambda done: self._synced(batch, done))

    def _synced(self, batch: asyncio.Future[None] | None, done: asyncio.Future[None]) -> None:
        self._busy = False
        if batch is not None:
            error = done.exception()
            if error is None:
                batch.set_result(None)
            else:
                batch.set_exception(error)
        if self._next is not None:
            self._go()


def _shared(engine: Engine) -> Shared:
    loop = asyncio.get_running_loop()
    found = engine.on_loops.shared_syncs.get(loop)
    if found is None:
        found = engine.on_loops.shared_syncs[loop] = Shared(engine)
    return found
