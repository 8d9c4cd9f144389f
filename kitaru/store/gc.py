"""Removing what nothing reaches, in two visits, and packing what stays.

Owns: what gc notes on a visit, when a candidate is removed, and in which order. Safe while runs execute. What is
unreached is told by `reach`; the handshake with a writer who finds a candidate useful after all is `reuse`; which
segments are put into packs, and how, is `packing`.

A visit writes down what it found unreached, with each file's stamp and the time. A later visit, at least a grace
period on, looks again; only what is unreached still, and has the same stamp, is removed. The grace is the time that a
writer has between an object and the record that names it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, StoreError
from kitaru.store import layout, names, packing, reach, reuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kitaru.blobs.contract import Workspace
    from kitaru.store.repository import Repository

SCRATCH_AGE_US = 86_400_000_000
"""What lies in `tmp/` longer than a day belongs to nobody who still runs, and a torn tail kept there was seen."""

_VISIT = {"at": int, "noted": dict, "nonce": str}


@dataclass(slots=True)
class Collected:
    """What a visit did.

    Attributes:
        removed: keys removed now, and how many bytes that gave back.
        noted: keys that a later visit may remove, and how many bytes they have.
        due: when the first of these may be removed, microseconds since 1970 UTC; 0 where there are none.
        scratch: how many files in `tmp/` were removed.
        uploads: of a remote, how many uploads that nobody finished were given up; None if these credentials may not
            list them, or give them up.
        packed: how many segments that had a file of their own were put into packs.
        packs: how many packs were written.
    """

    removed: list[str] = field(default_factory=list)
    removed_bytes: int = 0
    noted: list[str] = field(default_factory=list)
    noted_bytes: int = 0
    due: int = 0
    scratch: int = 0
    uploads: int | None = 0
    packed: int = 0
    packs: int = 0


def collect(repo: Repository, now: int, *, grace: int, nonce: str, dry_run: bool = False) -> Collected:
    """Pay a visit.

    Args:
        now: microseconds since 1970 UTC.
        grace: a candidate is removed when it was noted so many microseconds ago, on an earlier visit.
        dry_run: tell what would be removed, and change nothing.

    Raises:
        Damaged: something that is needed cannot be read; nothing was removed.
        StoreError: another gc is at work, or the disk refused.
    """
    lock = repo.blobs.lock(layout.GC_LOCK)
    if lock is None:
        raise StoreError("another gc is at work in this store", hint="try again when it is done")
    try:
        return _Visit(repo, now, grace, dry_run).pay(nonce)
    finally:
        lock.release()


class _Visit:
    def __init__(self, repo: Repository, now: int, grace: int, dry_run: bool) -> None:
        self._repo, self._blobs = repo, repo.blobs
        self._now, self._grace, self._dry_run = now, grace, dry_run
        self._before = _last_visit(repo.blobs, now)
        self._noted: dict[str, list[int]] = {}
        self._done = Collected()

    def pay(self, nonce: str) -> Collected:
        found = reach.unreached(self._repo)
        self._remove(found.names)
        if not self._dry_run:  # a name must not come back, after power loss, to a segment that is gone
            self._settle(found.names)
        self._remove(found.segments)
        self._pack(found)
        self._remove(found.objects)
        if not self._dry_run:
            self._note(nonce)
            self._sweep()
        self._done.due = min((at for at, _ in self._noted.values()), default=0)
        self._done.due += self._grace if self._noted else 0
        return self._done

    def _remove(self, keys: Iterable[str]) -> None:
        """Remove the candidates among these whose time has come, and note the others."""
        for key in keys:
            try:
                stamp, size = self._blobs.stamp(key), self._blobs.size(key)
            except KeyError:
                continue
            at, before = self._before.get(key, (self._now, None))
            if before != stamp:
                at = self._now
            elif at <= self._now - self._grace and self._is_gone(key, stamp):
                self._done.removed.append(key)
                self._done.removed_bytes += size
                continue
            self._noted[key] = [at, stamp]
            self._done.noted.append(key)
            self._done.noted_bytes += size

    def _pack(self, found: reach.Unreached) -> None:
        """Pack what is needed; what nothing needs any more is left out of packs, when its time has come."""
        gone = {segment for segment, size in found.packed.items() if self._is_ripe(segment, size)}
        done = packing.pack(self._repo.segments, found.needed, gone, dry_run=self._dry_run)
        self._done.packed, self._done.packs = done.segments, done.packs

    def _is_ripe(self, segment: str, size: int) -> bool:
        """Tell whether a segment may be left out of its pack: nobody relies on it there, so it has no stamp."""
        key = layout.segment_key(segment)
        if key in self._noted:  # its own file is not
            return False
        at, _ = self._before.get(key, (self._now, 0))
        if key in self._before and at <= self._now - self._grace:
            self._done.removed.append(key)
            self._done.removed_bytes += size
            return True
        self._noted[key] = [at, 0]
        self._done.noted.append(key)
        self._done.noted_bytes += size
        return False

    def _is_gone(self, key: str, stamp: int) -> bool:
        if key.startswith(f"{layout.OPEN}/") and self._blobs.is_locked(key.split("/")[1]):
            return False
        return self._dry_run or reuse.remove(self._blobs, key, stamp)

    def _settle(self, keys: Iterable[str]) -> None:
        removed = set(self._done.removed)
        for key in {key.rpartition("/")[0]: key for key in keys if key in removed}.values():
            self._blobs.settle(key)

    def _note(self, nonce: str) -> None:
        """Write down the candidates; what was written before is not needed any more then."""
        numbers = _visits(self._blobs)
        if self._noted:
            fields = {"at": self._now, "noted": self._noted, "nonce": nonce}
            self._blobs.create(layout.visit_key(max(numbers, default=0) + 1), names.pack(fields))
        for number in numbers:
            self._blobs.delete(layout.visit_key(number))

    def _sweep(self) -> None:
        """Remove what was left in `tmp/`, and directories of runs that nothing is in.

        Those of objects and segments are few, and stay: another process that has seen to the name of one, once, relies
        on it for ever.
        """
        oldest = (self._now - SCRATCH_AGE_US) * 1000
        for key in list(self._blobs.keys(layout.TMP)):
            try:
                if self._blobs.stamp(key) < oldest:
                    self._blobs.delete(key)
                    self._done.scratch += 1
            except KeyError:
                continue
        for directory in (layout.OPEN, layout.RUNS, layout.ANSWERS):
            for part in self._blobs.children(directory):
                if not self._blobs.children(f"{directory}/{part}"):
                    self._blobs.prune(f"{directory}/{part}")


def _visits(blobs: Workspace) -> list[int]:
    return [n for part in blobs.children(layout.VISITS) if (n := layout.number_of(part)) is not None]


def _last_visit(blobs: Workspace, now: int) -> dict[str, tuple[int, int]]:
    """Return key to time and stamp of the candidates noted last; a list that cannot be read is none."""
    numbers = _visits(blobs)
    if not numbers:
        return {}
    key = layout.visit_key(max(numbers))
    try:
        noted = names.unpack(blobs.get(key), _VISIT, blobs.where(key))["noted"]
        return dict(_checked(noted, now))
    except (Damaged, KeyError, TypeError, ValueError):
        return {}


def _checked(noted: dict[str, list[int]], now: int) -> Iterator[tuple[str, tuple[int, int]]]:
    for key, (at, stamp) in noted.items():
        if type(at) is int and type(stamp) is int:
            yield key, (min(at, now), stamp)  # by a clock that was wrong, it would stay for ever
