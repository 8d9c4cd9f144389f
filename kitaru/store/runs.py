"""A run as it lies in the store: its segments in order, then the journal that is still open.

Owns: the order in which a run's strands are read, and that each follows the one before it. Knows nothing of writing.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, UnknownRun
from kitaru.store import envelope, layout, names
from kitaru.store.strand import read_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kitaru.blobs.contract import Workspace
    from kitaru.model.records import Stored
    from kitaru.store.segments import Segments
    from kitaru.store.strand import FrameCache, Strand

MAX_SEGMENT = 1 << 30
_TRIES = 4
_MANY_OBJECTS = 5_000


@dataclass(slots=True)
class OpenJournal:
    """A journal found in `open/`: its strand is None where a crash came before its first sync."""

    key: str
    data: bytes
    strand: Strand | None
    torn: bytes

    @property
    def has_records(self) -> bool:
        """Whether anything was recorded in it."""
        return self.strand is not None and bool(self.strand.records)


@dataclass(slots=True)
class RunContent:
    """All that is recorded of a run.

    Attributes:
        records: in chain order.
        segments: ids of its sealed segments.
        sealed: these, as they were read.
        journals: what lies open, in the order in which it continues the chain.
        strays: journals in `open/` that do not continue the chain: sealed already, or not of this run's history.
        known: ids of all objects in its segments and journals.
    """

    records: list[Stored] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)
    sealed: list[Strand] = field(default_factory=list)
    journals: list[OpenJournal] = field(default_factory=list)
    strays: list[OpenJournal] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    @property
    def head(self) -> str | None:
        """Id of the last record."""
        return self.records[-1].id if self.records else None

    def follow(self, strand: Strand) -> None:
        """Take the records of the strand that comes next.

        Raises:
            Damaged: its first record names another parent than the last record so far.
        """
        if strand.records and strand.records[0].parent != self.head:
            raise Damaged(strand.where, "its first record does not follow the run's last record before it")
        self.records += strand.records
        self.known.update(strand.objects)


def read_run(segments: Segments, run: str, cache: FrameCache | None = None) -> RunContent:
    """Read and verify a run.

    `open/` is looked at before the names, for a journal that is being sealed moves from the first to the second.

    Raises:
        UnknownRun: nothing is recorded under that id.
        Damaged: something of it is not what was written.
    """
    if not layout.is_run(run):  # what another run, or a key, names need be none
        raise UnknownRun(run)
    error: Exception | None = None
    for _ in range(_TRIES):
        try:
            return _read_once(segments, run, cache)
        except KeyError as missing:  # sealed and removed between two looks
            error = missing
        except Damaged as damage:  # a running writer's bytes, seen half-way; otherwise it is seen again
            if not segments.blobs.is_locked(layout.lock_name(run)):
                raise
            error = damage
    if isinstance(error, Damaged):
        raise error
    raise Damaged(segments.blobs.where(layout.run_key(run)), f"a file that is named is missing: {error}")


@contextmanager
def collector_paused() -> Iterator[None]:
    """Let the garbage collector rest: reading makes many objects and no cycles, and it would look at them all often.

    Where they are many, they are among the old ones when it goes on: as young ones they would be looked at three times
    more, which costs as much as a third of reading them.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if gc.get_count()[0] > _MANY_OBJECTS and not gc.get_freeze_count():  # what the program froze stays frozen
                gc.freeze()
                gc.unfreeze()
            gc.enable()


@collector_paused()
def _read_once(segments: Segments, run: str, cache: FrameCache | None) -> RunContent:
    blobs = segments.blobs
    journals = [open_journal(blobs, key, cache) for key in open_keys(blobs, run)]
    content = RunContent()
    for name in names.segments(blobs, run):
        strand = segments.strand(name.segment, cache)
        content.follow(strand)
        content.segments.append(name.segment)
        content.sealed.append(strand)
    _arrange(content, journals)
    if not content.records:
        if not journals and not content.segments:
            raise UnknownRun(run)
        content.strays, content.journals = journals, []
    return content


def _arrange(content: RunContent, journals: Iterable[OpenJournal]) -> None:
    """Put the open journals in chain order; those that fit nowhere are strays."""
    left = list(journals)
    while True:
        fitting = [j for j in left if j.strand and j.strand.records and j.strand.records[0].parent == content.head]
        if not fitting:
            break
        content.follow(fitting[0].strand)  # type: ignore[arg-type]  # has a strand: asked just above
        content.journals.append(fitting[0])
        left.remove(fitting[0])
    content.strays = left


def open_keys(blobs: Workspace, run: str) -> list[str]:
    """Return the keys of a run's journals in `open/`."""
    return [layout.open_key(run, nonce) for nonce in blobs.children(layout.open_key(run))]


def open_journal(blobs: Workspace, key: str, cache: FrameCache | None = None) -> OpenJournal:
    """Read a journal in `open/`; KeyError when it is gone."""
    data = blobs.get(key, limit=MAX_SEGMENT)
    return OpenJournal(key, data, *read_journal(data, blobs.where(key), cache))


def frames(strand: Strand, cache: FrameCache, data: Callable[[], bytes | memoryview]) -> Iterator[bytes]:
    """Yield the raw bytes of each frame of a strand; of one that was just read with this cache, at no cost.

    Args:
        data: returns the bytes of the journal or segment, asked for when the cache has not kept a frame.
    """
    for frame in strand.frames:
        raw = cache.get((strand.where, frame.offset, frame.raw_length))
        yield envelope.inflate(data(), frame, strand.where) if raw is None else raw
