"""What one execution of a run keeps of event loops.

Owns: who may look for what, and that it is closed. What it is, those know that put it there; nothing here imports
asyncio, which a run without async code does without.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from kitaru.runtime.parking import Lot
    from kitaru.runtime.syncing import Shared


@dataclass(slots=True)
class OnLoops:
    """What there is of event loops, by loop.

    Attributes:
        tasks: those that carry calls, of all loops.
        shared_syncs: what shares syncs among a loop's tasks.
        parked: a loop's branches that wait for an answer, or for a time.
        threads: what a loop has given to threads and is not done.
    """

    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    shared_syncs: dict[asyncio.AbstractEventLoop, Shared] = field(default_factory=dict)
    parked: dict[asyncio.AbstractEventLoop, Lot] = field(default_factory=dict)
    threads: dict[asyncio.AbstractEventLoop, set[asyncio.Future[Any]]] = field(default_factory=dict)

    def close(self) -> None:
        """The execution is over."""
        for shared in self.shared_syncs.values():
            shared.close()
