"""Mending a store: what is damaged is put aside in `lost/`, and what follows from other bytes is made again.

Owns: what is done about each kind of damage (docs/format.md tells why). Nothing is deleted, and no name that can be
read is changed: it says which bytes belong there, and a copy of them may come from elsewhere. What was recorded before
the damage in a run stays readable, as a run of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, KitaruError, StoreError
from kitaru.model.ids import new_run_id
from kitaru.model.records import Start
from kitaru.store import layout, loose, names, recovery, runs, salvage
from kitaru.store.partial import PARTIAL_SHAPE
from kitaru.store.strand import read_segment
from kitaru.store.sync import kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kitaru.store.names import SegmentName
    from kitaru.store.repository import Repository
    from kitaru.store.strand import Strand

_AGAIN = {
    layout.QUEUE: "it can be queued anew",
    layout.SCHEDULES: "what the entry before it says holds",
    layout.ROUTES: "what the entry before it says holds",
    layout.PARTED: "the next pull brings it, if it was pushed",
}
MAX_FLIPPED = 16
"""A name of which at most so many bytes are wrong is known by the others."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """Something that was mended, or would be: the file, and what was done about it."""

    where: str
    did: str


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
        return _Repair(repo, nonce, now, dry_run).all()
    finally:
        lock.release()


class _Repair:
    def __init__(self, repo: Repository, nonce: Callable[[], str], now: int, dry_run: bool) -> None:
        self._repo, self._blobs, self._nonce, self._now, self._dry_run = repo, repo.blobs, nonce, now, dry_run
        self._done: list[Repaired] = []
        self._nameless: set[str] = set()

    def all(self) -> list[Repaired]:
        self._small_names()
        self._invoked()
        self._trust()
        self._marks()
        self._packs()
        self._segments()  # before runs' names: one that is whole again may be what a damaged name named
        for run in list(self._runs(layout.RUNS)):
            for part in self._blobs.children(layout.run_key(run)):
                self._run_name(f"{layout.run_key(run)}/{part}")
        self._objects()
        for run in self._runs(layout.OPEN):
            self._journals(run)
        return self._done

    def _tell(self, key: str, did: str) -> bool:
        """Note what is done; tell whether it is to be done."""
        self._done.append(Repaired(self._blobs.where(key), did))
        return not self._dry_run

    def _put_aside(self, key: str) -> None:
        self._blobs.move(key, self._aside(key))

    def _aside(self, key: str) -> str:
        plain = "-".join(layout.escape(part)[:40].replace("/", "-") for part in key.split("/")[-3:])
        return f"{layout.LOST}/damaged-{plain}-{self._nonce()}"

    def _runs(self, directory: str) -> Iterator[str]:
        for part in self._blobs.children(directory):
            try:
                yield layout.unescape(part)
            except ValueError:
                self._put_nameless_aside(f"{directory}/{part}")

    def _put_nameless_aside(self, directory: str, why: str = "no run has such a name") -> None:
        if directory in self._nameless:
            return
        self._nameless.add(directory)
        if self._tell(directory, f"{why}: put aside"):
            keys = list(self._blobs.keys(directory))
            for key in keys:
                self._put_aside(key)
            for empty in sorted({directory, *(key.rpartition("/")[0] for key in keys)}, key=len, reverse=True):
                self._blobs.prune(empty)

    # -- names ---------------------------------------------------------------------------------------------------

    def _small_names(self) -> None:
        """Put small damaged names aside: most can be given again; the others are made again from what is known."""
        for key in list(self._blobs.keys(layout.FLOWS)):
            damaged = self._is_damaged(key, names.VERSION_SHAPE)
            if damaged and self._tell(key, "put aside: the next run records it anew"):
                self._put_aside(key)
        for key in list(self._blobs.keys(layout.ANSWERS)):
            if self._is_damaged(key, names.ANSWER_SHAPE) and self._tell(key, "put aside: it can be answered anew"):
                self._put_aside(key)
        for directory in (layout.PRUNED, layout.CANCELS):
            files = set(self._blobs.keys(directory))
            for key in {f"{directory}/{part}" for part in self._blobs.children(directory)} - files:
                self._put_nameless_aside(key, "a directory where a name belongs")
        for run in self._runs(layout.PRUNED):
            key = layout.pruned_key(run)
            if self._is_damaged(key, names.PRUNED_SHAPE) and self._tell(key, "put aside, and put anew"):
                fields = {"by": "kitaru fsck --repair", "at": self._now, "nonce": self._nonce()}
                self._blobs.replace(key, names.pack(fields), self._aside(key))
        for run in self._runs(layout.CANCELS):
            key = layout.cancel_key(run)
            if self._is_damaged(key, names.CANCEL_SHAPE) and self._tell(key, "put aside: it can be asked anew"):
                self._put_aside(key)
        for key in list(self._blobs.keys(layout.KEYS)):
            if self._is_damaged(key, names.KEY_SHAPE):
                self._start_key(key)

    def _trust(self) -> None:
        """Put damaged decisions aside; the last one may have been to take trust back, so that is what stands then."""
        for key, _ in self._repo.trust.damaged():
            if self._tell(key, "put aside: what it was about is not trusted, until somebody says so"):
                self._repo.trust.doubt(key, at=self._now, by="kitaru fsck --repair")
                self._put_aside(key)

    def _marks(self) -> None:
        for key in list(self._blobs.keys(layout.PARTIAL)):
            if self._is_damaged(key, PARTIAL_SHAPE) and self._tell(key, "put aside: a pull of its run makes it whole"):
                self._put_aside(key)

    def _invoked(self) -> None:
        for kind in (kinds.QUEUE, kinds.SCHEDULES, kinds.ROUTES, kinds.PARTED):
            for key in list(self._blobs.keys(kind.directory)):
                if self._is_damaged(key, kind.shape) and self._tell(key, f"put aside: {_AGAIN[kind.directory]}"):
                    self._put_aside(key)

    def _start_key(self, key: str) -> None:
        """Make the name of a key again from the run that was started for it; without one it is left as it is."""
        for run in self._repo.run_ids() + self._repo.pruned_ids():
            try:
                start = self._repo.records(run)[0].record
            except KitaruError:
                continue
            if not isinstance(start, Start) or not start.key:
                continue
            if layout.start_key(start.flow, names.key_digest(start.key)) == key:
                if self._tell(key, f"put aside, and made again from run {run}, which was started for it"):
                    fields = {"run": run, "by": "kitaru fsck --repair", "at": start.at, "nonce": self._nonce()}
                    self._blobs.replace(key, names.pack(fields), self._aside(key))
                return

    def _is_damaged(self, key: str, shape: Mapping[str, type]) -> bool:
        try:
            names.unpack(self._blobs.get(key, limit=names.MAX_NAME), shape, self._blobs.where(key))
        except Damaged:
            return key not in self._nameless
        except KeyError:  # gone meanwhile
            return False
        return False

    def _run_name(self, key: str) -> None:
        """Make a run's damaged name again if one segment that nobody names must be the one it named."""
        if not self._is_damaged(key, names.SEGMENT_SHAPE):
            return
        try:
            content = self._blobs.get(key, limit=names.MAX_NAME)
        except Damaged:  # much larger than any name, or no file
            return
        fitting = [data for data in self._unclaimed() if _is_nearly(data, content)]
        if len(fitting) == 1 and self._tell(key, "put aside, and made again from the segment that it named"):
            self._blobs.replace(key, fitting[0], self._aside(key))

    def _unclaimed(self) -> Iterator[bytes]:
        """Yield the name that each whole segment would have which no name that can be read names."""
        claimed = {name.segment for run in self._runs(layout.RUNS) for name in self._names(run)}
        segments = self._repo.segments
        there = {segment for pack in segments.packs().values() for segment in pack}
        for segment in sorted((there | {segment for segment, _ in segments.files()}) - claimed):
            with contextlib.suppress(Damaged):
                nonce = segments.strand(segment).journal.nonce
                yield names.pack({"segment": segment, "nonce": nonce})

    def _names(self, run: str) -> list[SegmentName]:
        """Return those of a run's names that can be read."""
        found = []
        for part in self._blobs.children(layout.run_key(run)):
            number = layout.number_of(part)
            try:
                if number is not None:
                    found.append(names.segment_name(self._blobs, run, number))
            except Damaged:
                continue
        return sorted(found, key=lambda name: name.number)

    # -- packs, segments and objects -------------------------------------------------------------------------------

    def _packs(self) -> None:
        for name in self._blobs.children(layout.PACKS):
            key = f"{layout.PACKS}/{name}"
            data = self._view(key)
            if hashlib.sha256(data).hexdigest() != name or key not in self._repo.segments.packs():
                self._pack(key, data)

    def _pack(self, key: str, data: bytes | memoryview) -> None:
        """Give each segment that is whole in a damaged pack a file, and put the pack aside."""
        named = {name.segment for run in self._runs(layout.RUNS) for name in self._names(run)}
        whole, hurt = {}, []
        for part in salvage.parts(data, self._blobs.where(key)):
            if part.id in named or part.id == part.segment:
                whole[part.id] = part.whole
            elif part.segment is not None:
                hurt.append(part)
        told = f"{len(whole)} whole segments in it got files of their own, and it was put aside"
        is_done = self._tell(key, told)
        for segment, content in whole.items() if is_done else ():
            recovery.put_segment(self._blobs, segment, content, self._nonce)
        for part in hurt:
            self._salvage(part, but=key)
        if is_done:
            self._put_aside(key)
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
                if self._tell(key, "no segment has such a name: put aside"):
                    self._put_aside(key)
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
            if self._tell(key, "its index was made again"):
                self._blobs.replace(key, part.whole, self._aside(key))
        elif self._salvage(part, but=key):
            if self._tell(key, "put aside; a pack has a whole copy"):
                self._put_aside(key)
        elif self._tell(key, "put aside; a copy of it makes the run whole again"):
            self._put_aside(key)

    def _naming(self, segment: str) -> list[tuple[str, int]]:
        return [(run, n.number) for run in self._runs(layout.RUNS) for n in self._names(run) if n.segment == segment]

    def _recover(self, run: str, number: int, strand: Strand | None, whole: bytes) -> None:
        """Make a run of its own of what was recorded before the damage: the number itself is another segment's."""
        content = runs.RunContent()
        before = [name for name in self._names(run) if name.number < number]
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
        if not content.records or known or not self._tell(where, told):
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
            if self._tell(key, told):
                self._put_aside(key)

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
            if torn and self._tell(layout.open_key(run), "the torn end was cut off, and kept in tmp/"):
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
        if not self._tell(key, f"put aside; {kept} records before the damage are kept, and calls behind it run again"):
            return
        lock = self._blobs.lock(layout.lock_name(run))
        if lock is None:
            return
        try:
            if strand is not None and strand.records:
                self._seal(run, strand, data[: strand.end] + strand.footer())
            self._put_aside(key)
        except StoreError:  # its segments are damaged as well, or end elsewhere: the journal stays where it is
            self._done.pop()
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


def _is_nearly(right: bytes, found: bytes) -> bool:
    return len(right) == len(found) and sum(a != b for a, b in zip(right, found, strict=True)) <= MAX_FLIPPED
