"""Sealing what a dead process left in `open/`.

Owns: what happens to leftovers when a run is taken up again. A journal is written only by the process that made it, so
a leftover is never continued: its whole envelopes are copied to a segment, and the torn bytes behind them are kept in
`tmp/`. Every step may be cut by a crash and is done again by the next to come.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from kitaru.errors import StoreError
from kitaru.store import layout, names, reuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.blobs.contract import Workspace
    from kitaru.store.runs import OpenJournal, RunContent


def seal_leftovers(blobs: Workspace, run: str, content: RunContent, nonce: Callable[[], str]) -> list[str]:
    """Seal every leftover journal of a run whose lock is held, so that `open/` holds nothing of it.

    Args:
        blobs: the store.
        run: its id.
        content: as just read; its journals become segments.
        nonce: makes names for what is put aside.

    Returns:
        What was cut off or put aside, and where it is kept: a line each.

    Raises:
        StoreError: a name is taken by a different continuation of the run.
    """
    told = []
    for journal in content.journals:
        told += _keep_torn(blobs, run, journal)
        content.segments.append(_seal(blobs, run, len(content.segments) + 1, journal, nonce))
        blobs.delete(journal.key)
    seen = {stored.id for stored in content.records}
    for stray in content.strays:
        told += _keep_torn(blobs, run, stray)
        if _is_new(stray, seen):
            kept = f"{layout.LOST}/journal-{layout.run_part(run)}-{nonce()}"
            blobs.move(stray.key, kept)
            told.append(f"a journal that does not continue the run was put aside as {blobs.where(kept)}")
        else:
            blobs.delete(stray.key)
    content.journals, content.strays = [], []
    return told


def _is_new(stray: OpenJournal, seen: set[str]) -> bool:
    return stray.strand is not None and any(stored.id not in seen for stored in stray.strand.records)


def _keep_torn(blobs: Workspace, run: str, journal: OpenJournal) -> list[str]:
    if not journal.torn:
        return []
    offset = journal.strand.end if journal.strand else 0
    key = f"{layout.TMP}/torn-{layout.run_part(run)}-{journal.key.rpartition('/')[2]}-{offset}"
    blobs.create(key, journal.torn)
    return [f"{len(journal.torn)} bytes of an unfinished write were cut off and kept in {blobs.where(key)}"]


def _seal(blobs: Workspace, run: str, number: int, journal: OpenJournal, nonce: Callable[[], str]) -> str:
    strand = journal.strand
    if strand is None:
        raise StoreError(f"{blobs.where(journal.key)} has nothing to seal")
    data = journal.data[: strand.end] + strand.footer()
    segment = hashlib.sha256(data).hexdigest()
    put_segment(blobs, segment, data, nonce)
    name_segment(blobs, run, number, segment, strand.journal.nonce)
    return segment


def put_segment(blobs: Workspace, segment: str, data: bytes, nonce: Callable[[], str]) -> None:
    """See to it that a segment is there, whole and durable; a damaged one is put aside and written again."""
    key = layout.segment_key(segment)
    while not blobs.create(key, data):
        try:
            whole = bytes(blobs.view(key)) == data
        except KeyError:  # gc was faster
            continue
        if not whole:
            blobs.move(key, f"{layout.LOST}/damaged-{segment}-{nonce()}")
        elif reuse.rely(blobs, key):
            return


def name_segment(blobs: Workspace, run: str, number: int, segment: str, nonce: str) -> None:
    """Make a segment the run's next.

    Raises:
        StoreError: another continuation of the run has that number.
    """
    if not names.claim_segment(blobs, run, number, segment, nonce):
        raise StoreError(
            f"run {run} was carried on elsewhere: its segment {number} is another's; what was recorded here is in "
            f"{blobs.where(layout.segment_key(segment))}",
            hint=f"kitaru log {run}",
        )
