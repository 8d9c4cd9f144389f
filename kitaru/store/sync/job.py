"""What a push, fetch or pull is given and works with: the store, the remote, what is known of it, and what was done.

Owns: that what is known is kept, and what was sent is counted, however it ends. Knows nothing of what is copied.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kitaru.store import layout
from kitaru.store.sync import sight as sights
from kitaru.store.sync.results import Outcome, tell_nobody
from kitaru.store.sync.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kitaru.blobs.contract import RemoteBlobs
    from kitaru.store.repository import Repository
    from kitaru.store.sync.results import Tell
    from kitaru.store.sync.sight import Sight
    from kitaru.store.sync.tracking import Tracking


@dataclass(frozen=True, slots=True)
class Pair:
    """What is to be brought together.

    Attributes:
        repo: the store.
        remote: the other one.
        tracking: what is known of it.
        at: the time, microseconds since 1970 UTC.
        tell: is told how far it is.
    """

    repo: Repository
    remote: RemoteBlobs
    tracking: Tracking
    at: int
    tell: Tell = tell_nobody


@dataclass(frozen=True, slots=True)
class Job:
    """One push, fetch or pull.

    Attributes:
        repo: the store.
        transfer: the remote.
        tracking: what is known of it.
        at: the time, microseconds since 1970 UTC.
        outcome: takes what is done.
    """

    repo: Repository
    transfer: Transfer
    tracking: Tracking
    at: int
    outcome: Outcome = field(default_factory=Outcome)

    def look(self) -> Sight:
        """Look at the names of the remote; raises as `sight.there`."""
        theirs = sights.there(self.transfer)
        self.tracking.looked(theirs.stamps, self.at)
        self.tracking.same &= sights.here(self.repo.blobs).names.keys()
        self.outcome.refused = list(dict.fromkeys([*self.outcome.refused, *theirs.refused]))
        return theirs

    def anchor(self) -> None:
        """See to it that the next look tells whether this is the same store still: before what takes long."""
        tracking = self.tracking
        tracking.settle({})
        if tracking.anchor is None and tracking.same:
            log = min(tracking.same, key=lambda key: (not key.startswith(layout.FLOWS), key)).rpartition("/")[0]
            tracking.settle({listed.key: listed.changed_us for listed in self.transfer.listing(log)})


@contextmanager
def job(pair: Pair) -> Iterator[Job]:
    """Have what a push, fetch or pull works with."""
    with Transfer(pair.remote, pair.tell) as transfer:
        todo = Job(pair.repo, transfer, pair.tracking, pair.at)
        try:
            yield todo
        finally:
            pair.tracking.save()
            counted = (transfer.requests, transfer.files, transfer.bytes)
            todo.outcome.requests, todo.outcome.files, todo.outcome.bytes = counted
            todo.outcome.sort()
