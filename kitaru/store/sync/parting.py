"""What was recorded here of a run that was continued elsewhere, too: it becomes a run of its own.

Owns: making that run, and only then putting the names that were second into `lost/`, the last one first. Every step may
be cut short and is done again by the next to come: the run's id follows from what was recorded. Knows nothing of
remotes. The caller holds the run's lock.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from kitaru.model.records import Answer, End, Note, Wait
from kitaru.store import layout, names, parted, recovery
from kitaru.store.runs import read_run
from kitaru.store.sync.placing import must_get, put_away

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kitaru.model.records import Record
    from kitaru.store.repository import Repository


@contextmanager
def held(repo: Repository, run: str) -> Iterator[bool]:
    """Hold a run's lock, so that nobody carries it on here meanwhile; False where somebody does."""
    lock = repo.blobs.lock(layout.lock_name(run), wait_s=LOCK_WAIT_S)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


LOCK_WAIT_S = 0.5


def seal(repo: Repository, run: str) -> list[str]:
    """Seal what a dead process left open of a run, as who resumes it does; return what was cut off, a line each."""
    if not repo.blobs.children(layout.open_key(run)):
        return []
    content = read_run(repo.segments, run)
    left = [*content.journals, *content.strays]
    if not any(journal.has_records for journal in left):  # who resumes is to see that a process died so soon
        return []
    return recovery.seal_leftovers(repo.blobs, run, content, repo.nonce)


def part(repo: Repository, run: str, number: int) -> str:
    """Make the continuation of a run from its n-th segment on a run of its own, and return its id.

    The run's own names stay as they are: see `give_way`.
    """
    blobs = repo.blobs
    found = names.segments(blobs, run)
    new_run = parted.parted_id(run, found[number - 1].segment)
    for part_ in blobs.children(layout.answer_key(run)):  # before its segments: who sees the run sees its answers
        data = must_get(blobs, f"{layout.answer_key(run)}/{part_}")
        blobs.create(f"{layout.answer_key(new_run)}/{part_}", data)
    parted.put(blobs, run, number, found[number - 1].segment)
    for name in found:
        blobs.create(layout.run_key(new_run, name.number), must_get(blobs, layout.run_key(run, name.number)))
    return new_run


def give_way(repo: Repository, run: str, number: int) -> None:
    """Put the names of a run's segments from the n-th on into `lost/`, the last one first."""
    for name in reversed(names.segments(repo.blobs, run)[number - 1 :]):
        put_away(repo, layout.run_key(run, name.number))


def consumed_in(repo: Repository, run: str, digest: str) -> int | None:
    """Return the number of the segment in which a run took the answer to a wait; None if it has not."""
    waits: set[str] = set()
    for name in names.segments(repo.blobs, run):
        for stored in repo.segments.strand(name.segment).records:
            if isinstance(stored.record, Wait) and stored.record.digest == digest:
                waits.add(stored.id)
            elif _takes(stored.record, waits, digest):
                return name.number
    return None


def _takes(record: Record, waits: set[str], digest: str) -> bool:
    """Tell whether a record follows from the answer to a wait: it took it, refused it, or ended the run by it."""
    match record:
        case Answer():
            return record.wait in waits
        case Note(about="refused"):
            return record.data.get("digest") == digest
        case End():
            return bool(waits) and bool((record.cancelled or {}).get("wait"))
    return False
