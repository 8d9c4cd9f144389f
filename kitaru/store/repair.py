"""Mending a store: what is damaged is put aside in `lost/`, and what follows from other bytes is made again.

Owns: what is done about each kind of damage (docs/format.md tells why). Nothing is deleted, and no name that can be
read is changed: it says which bytes belong there, and a copy of them may come from elsewhere. What was recorded before
the damage in a run stays readable, as a run of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, KitaruError, StoreError
from kitaru.model.ids import new_run_id
from kitaru.store import layout, loose, names, recovery, repair_names, runs, salvage
from kitaru.store.mending import Mending, Repaired
from kitaru.store.strand import read_segment
from kitaru.store.sync.tracking import forget

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.store.repository import Repository
    from kitaru.store.strand import Strand


def repair(repo: Repository, *, nonce: Callable[[], str], now: int, dry_run: bool = False) -> list[Repaired]:
    """Mend what can be mended; with `dry_run` only tell what would be done.

    Args:
        nonce: makes the names under which damage is put aside.
        now: microseconds since 1970 UTC.

    Raises:
        StoreError: gc is at work, which moves segments about, or the disk refused.
    """
    lock = repo.blobs.lock(layout.GC_LOCK)
    if lock is None:
        raise StoreError("gc, or another repair, is at work in this store", hint="try again when it is done")
    try:
        return _Repair(Mending(repo, nonce, now, dry_run=dry_run)).all()
    finally:
        lock.release()


class _Repair:
    def __init__(self, hands: Mending) -> None:
        self._hands, self._repo, self._blobs, self._nonce = hands, hands.repo, hands.blobs, hands.nonce

    def all(self) -> list[Repaired]:
        repair_names.mend(self._hands)
        self._packs()
        self._segments()  # before runs' names: one that is whole again may be what a damaged name named
        repair_names.mend_runs(self._hands)
        self._objects()
        for run in self._hands.runs(layout.OPEN):
            self._journals(run)
        if self._hands.done and not self._hands.is_dry:
            forget(self._blobs)
        return self._hands.done

    # -- packs, segments and objects -------------------------------------------------------------------------------

    def _packs(self) -> None:
        for name in self._blobs.children(layout.PACKS):
            key = f"{layout.PACKS}/{name}"
            data = self._view(key)
            if hashlib.sha256(data).hexdigest() != name or key not in self._repo.segments.packs():
                self._pack(key, data)

    def _pack(self, key: str, data: bytes | memoryview) -> None:
        """Give each segment that is whole in a damaged pack a file, and put the pack aside."""
        named = {name.segment for run in self._hands.runs(layout.RUNS) for name in self._hands.names_of(run)}
        whole, hurt = {}, []
        for part in salvage.parts(data, self._blobs.where(key)):
            if part.id in named or part.id == part.segment:
                whole[part.id] = part.whole
            elif part.segment is not None:
                hurt.append(part)
        told = f"{len(whole)} whole segments in it got files of their own, and it was put aside"
        is_done = self._hands.tell(key, told)
        for segment, content in whole.items() if is_done else ():
            recovery.put_segment(self._blobs, segment, content, self._nonce)
        for part in hurt:
            self._salvage(part, but=key)
        if is_done:
            self._hands.put_aside(key)
            self._repo.segments.packs()

    def _salvage(self, part: salvage.Part, *, but: str) -> bool:
        """Keep what came before the damage in a segment, unless there is another copy of it; tell if there is one."""
        segment = part.segment
        if segment is None or self._is_elsewhere(segment, but):
            return True
        for run, number in self._naming(segment):
            self._recover(run, number, part.strand, part.whole)
        return False

    def _is_elsewhere(self, segment: str, but: str) -> bool:
        """Tell whether there is a whole copy of a segment in another file than this."""
        copies = [pack.segment(segment) for key, pack in self._repo.segments.packs().items() if key != but]
        if layout.segment_key(segment) != but:
            with contextlib.suppress(KeyError):
                copies.append(self._view(layout.segment_key(segment)))
        return any(copy is not None and hashlib.sha256(copy).hexdigest() == segment for copy in copies)

    def _segments(self) -> None:
        for key in list(self._blobs.keys(layout.SEGMENTS)):
            segment = "".join(key.split("/")[1:])
            if not layout.is_object_id(segment):
                if self._hands.tell(key, "no segment has such a name: put aside"):
                    self._hands.put_aside(key)
                continue
            try:
                read_segment(self._blobs.view(key), segment, self._blobs.where(key))
            except Damaged:
                self._segment(key, segment)

    def _view(self, key: str) -> bytes | memoryview:
        """Return what is at a key; nothing where it is no file, or the disk cannot read it."""
        try:
            return self._blobs.view(key)
        except Damaged:
            return b""

    def _segment(self, key: str, segment: str) -> None:
        part = salvage.part(self._view(key), self._blobs.where(key), segment)
        if part.id == segment:
            if self._hands.tell(key, "its index was made again"):
                self._blobs.replace(key, part.whole, self._hands.aside(key))
        elif self._salvage(part, but=key):
            if self._hands.tell(key, "put aside; a pack has a whole copy"):
                self._hands.put_aside(key)
        elif self._hands.tell(key, "put aside; a copy of it makes the run whole again"):
            self._hands.put_aside(key)

    def _naming(self, segment: str) -> list[tuple[str, int]]:
        return [
            (run, n.number)
            for run in self._hands.runs(layout.RUNS)
            for n in self._hands.names_of(run)
            if n.segment == segment
        ]

    def _recover(self, run: str, number: int, strand: Strand | None, whole: bytes) -> None:
        """Make a run of its own of what was recorded before the damage: the number itself is another segment's."""
        content = runs.RunContent()
        before = [name for name in self._hands.names_of(run) if name.number < number]
        try:
            for name in before:
                content.follow(self._repo.segments.strand(name.segment))
            if strand is not None and strand.records:
                content.follow(strand)
        except (Damaged, KeyError):
            return
        seed = hashlib.shake_128(f"what was whole of {run} {number}".encode())
        recovered = new_run_id(seed.digest)
        known = self._repo.has_run(recovered) or self._repo.tombstone(recovered) is not None
        where = layout.run_key(run)
        told = f"{len(content.records)} records before the damage are kept as run {recovered}"
        if not content.records or known or not self._hands.tell(where, told):
            return
        for name in before:
            names.claim_segment(self._blobs, recovered, name.number, name.segment, self._nonce())
        if strand is not None and strand.records:
            salvaged = hashlib.sha256(whole).hexdigest()
            recovery.put_segment(self._blobs, salvaged, whole, self._nonce)
            names.claim_segment(self._blobs, recovered, number, salvaged, strand.journal.nonce)

    def _objects(self) -> None:
        for key in list(self._blobs.keys(layout.OBJECTS)):
            object_id = "".join(key.split("/")[1:])
            if layout.is_object_id(object_id):
                try:
                    loose.read(self._blobs, object_id)
                    continue
                except Damaged:
                    told = "put aside; whoever makes this value again writes it anew"
            else:
                told = "no object has such a name: put aside"
            if self._hands.tell(key, told):
                self._hands.put_aside(key)

    # -- journals --------------------------------------------------------------------------------------------------

    def _journals(self, run: str) -> None:
        """Seal what a dead process left open, as resuming does; of a damaged journal, what is before the damage."""
        if self._repo.is_held(run) or self._repo.tombstone(run) is not None:
            return
        for key in runs.open_keys(self._blobs, run):
            try:
                runs.open_journal(self._blobs, key)
            except Damaged:
                self._journal(run, key)
        try:
            found = runs.read_run(self._repo.segments, run)
            torn = any(journal.torn for journal in [*found.journals, *found.strays])
            if torn and self._hands.tell(layout.open_key(run), "the torn end was cut off, and kept in tmp/"):
                self._repo.reopen(run).close()
        except KitaruError:  # its segments are damaged, or a process has just taken it up
            return

    def _journal(self, run: str, key: str) -> None:
        try:
            data = self._blobs.get(key, limit=runs.MAX_SEGMENT)
        except Damaged:  # larger than any journal, or no file: nothing of it can be had
            data = b""
        strand = salvage.whole_part(data, self._blobs.where(key))
        kept = len(strand.records) if strand else 0
        if not self._hands.tell(
            key, f"put aside; {kept} records before the damage are kept, and calls behind it run again"
        ):
            return
        lock = self._blobs.lock(layout.lock_name(run))
        if lock is None:
            return
        try:
            if strand is not None and strand.records:
                self._seal(run, strand, data[: strand.end] + strand.footer())
            self._hands.put_aside(key)
        except StoreError:  # its segments are damaged as well, or end elsewhere: the journal stays where it is
            self._hands.done.pop()
        finally:
            lock.release()

    def _seal(self, run: str, strand: Strand, whole: bytes) -> None:
        content = runs.RunContent()
        for name in names.segments(self._blobs, run):
            content.follow(self._repo.segments.strand(name.segment))
            content.segments.append(name.segment)
        if strand.records[0].id in {stored.id for stored in content.records}:
            return  # sealed before a crash
        content.follow(strand)
        segment = hashlib.sha256(whole).hexdigest()
        recovery.put_segment(self._blobs, segment, whole, self._nonce)
        recovery.name_segment(self._blobs, run, len(content.segments) + 1, segment, strand.journal.nonce)
