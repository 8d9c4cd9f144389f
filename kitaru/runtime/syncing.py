"""Making durable what calls on an event loop have recorded, without holding up the loop.

Owns: the shared syncs of a run's loops. Knows nothing of calls.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kitaru.runtime.engine import Engine


async def ended(task: asyncio.Future[Any]) -> None:
    """Wait for a task to end, whoever cancels this one meanwhile."""
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            continue


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
        self._next: asyncio.Future[None] | None = None
        self._busy = False

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
        working = self._loop.run_in_executor(None, self._engine.sync)
        working.add_done_callback(lambda done: self._synced(batch, done))

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
    found = engine.shared_syncs.get(loop)
    if found is None:
        found = engine.shared_syncs[loop] = Shared(engine)
    return found
