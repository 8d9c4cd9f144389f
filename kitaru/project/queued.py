"""Which queued invocations nobody has begun yet, and how each of the others stands.

Owns: the look at the queue. What is over once is over for ever, and is not looked at again; so a look reads only the
names that came since the one before. Takes nothing up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import Damaged, UnknownRun
from kitaru.store import layout
from kitaru.store.invocations import read_invocation

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.store.invocations import Invocation
    from kitaru.store.repository import Repository


class QueueLook:
    """The queue, as one process sees it time and again.

    Args:
        repo: the store.

    Attributes:
        damaged: id to error, of the names that cannot be read.
    """

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._over: set[str] = set()
        self._known: dict[str, Invocation] = {}
        self.damaged: dict[str, Damaged] = {}

    def pending(self) -> list[Invocation]:
        """Return what no run was begun for, in the order in which it is to be taken; what is to wait is among them.

        The highest priority comes first, then the oldest.
        """
        blobs = self._repo.blobs
        parts = set(blobs.children(layout.QUEUE)) - self._over
        if not parts:
            return []
        live = set(blobs.children(layout.OPEN))  # before the runs' names: a journal moves this way
        begun = {*blobs.children(layout.RUNS), *blobs.children(layout.PRUNED), *blobs.children(layout.CANCELS)}
        self._forget(parts & begun - live)
        found = [invocation for part in parts - self._over if (invocation := self._read(part)) is not None]
        found = [i for i in found if i.id not in live or not has_begun(self._repo, i.id)]
        waiting = [invocation for invocation in found if not self._is_settled_by_key(invocation)]
        return sorted(waiting, key=lambda i: (-i.priority, i.at, i.id))

    def is_pending(self, invocation: Invocation) -> bool:
        """Tell whether nobody has begun the run of an invocation yet, as it is now."""
        repo, run = self._repo, invocation.run
        gone = repo.is_cancellation_there(run) or repo.tombstone(run) is not None or repo.is_held(run)
        return not (gone or has_begun(repo, run) or self._is_settled_by_key(invocation))

    def find(self, run: str) -> Invocation | None:
        """Return the invocation that a run is of; None if it is of none, or that cannot be read."""
        return self._read(layout.run_part(run))

    def _forget(self, parts: set[str]) -> None:
        self._over |= parts
        for part in parts:
            self._known.pop(part, None)

    def _read(self, part: str) -> Invocation | None:
        known = self._known.get(part)
        if known is not None:
            return known
        try:
            run = layout.unescape(part)
            known = self._known[part] = read_invocation(self._repo.blobs, run)
        except Damaged as error:
            self.damaged[part] = error
            self._over.add(part)
        except (KeyError, ValueError):
            self._over.add(part)
        return known

    def _is_settled_by_key(self, invocation: Invocation) -> bool:
        """Tell whether another run was begun for the same key: two stores that met had each named one."""
        if not invocation.key:
            return False
        named = self._repo.start_key(invocation.flow, invocation.key)
        if named is None or named.run == invocation.run:
            return False
        return has_begun(self._repo, named.run) or self._repo.tombstone(named.run) is not None


def has_begun(repo: Repository, run: str) -> bool:
    """Tell whether a run exists: a process holds it, or something is recorded of it."""
    if not repo.has_run(run):
        return False
    if repo.is_held(run) or repo.blobs.children(layout.run_key(run)):
        return True
    try:
        return bool(repo.records(run))
    except UnknownRun:  # who began it was killed before anything was recorded
        return False


def state_of(repo: Repository, invocation: Invocation, now_us: int, status: Callable[[str], str]) -> str:
    """Return how an invocation stands: `queued`, `delayed`, `cancelled`, `pruned`, or how its run does.

    Args:
        now_us: microseconds since 1970 UTC.
        status: tells it of a run that has begun.
    """
    run = invocation.run
    if repo.tombstone(run) is not None:
        return "pruned"
    if has_begun(repo, run):
        return status(run)
    if repo.is_cancellation_there(run):
        return "cancelled"
    return "delayed" if invocation.not_before > now_us else "queued"
