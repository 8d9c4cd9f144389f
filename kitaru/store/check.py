"""fsck: is every byte of the store what was written, and is everything there that something names?

Owns: what is looked at, and how a finding is told. Changes nothing. Knows nothing of how damage is mended.

Every file is read once: what its objects refer to is noted as they pass, and the references are followed in memory at
the end. Large objects are read by several threads, for hashing and decompressing let other threads run.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, KitaruError, UnknownFormat, UnknownObject, UnknownRun
from kitaru.model.encoding import Malformed, references
from kitaru.model.records import Start
from kitaru.store import kinds, layout, loose, names, parted, runs
from kitaru.store.naming import named_by
from kitaru.store.repository import Repository
from kitaru.store.strand import FrameCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.blobs.contract import Workspace
    from kitaru.store.strand import Strand

DAMAGE, TORN, LEFTOVER = "damage", "torn tail", "leftover"
_OFFSET = re.compile(r"at offset (\d+)")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        severity: `damage`; `torn tail`, which a crash leaves and the next resume cuts; `leftover`, which hurts nobody.
        where: the file.
        what: one line.
        offset: the place in the file, where it is known.
        affects: runs and flows that depend on it.
    """

    severity: str
    where: str
    what: str
    offset: int | None = None
    affects: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """What a check found, and how much it looked at; `elsewhere` counts objects that partial runs left on a remote."""

    findings: list[Finding] = field(default_factory=list)
    runs: int = 0
    records: int = 0
    objects: int = 0
    elsewhere: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing is damaged; torn tails and leftovers are no damage."""
        return all(finding.severity != DAMAGE for finding in self.findings)

    def damage(self, error: KitaruError, where: str, *affects: str) -> None:
        """Add what an error tells."""
        path = error.where if isinstance(error, Damaged) else where
        offset = _OFFSET.search(error.message)
        what = error.message.removeprefix(f"{path}: ")
        self.findings.append(Finding(DAMAGE, path, what, int(offset[1]) if offset else None, affects))

    def add(self, severity: str, where: str, what: str, *affects: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(severity, where, what, None, affects))


def _references(data: bytes | memoryview) -> list[str] | str:
    """Return what an object refers to, or why it is no value."""
    try:
        return references(data)
    except Malformed as error:
        return f"{error}"


class _Check:
    def __init__(self, repo: Repository) -> None:
        self.repo, self.blobs = repo, repo.blobs
        self.report = Report()
        self.wanted: dict[str, set[str]] = defaultdict(set)  # value id -> who names it
        self.named: dict[str, set[str]] = defaultdict(set)  # segment id -> runs
        self.read: set[str] = set()  # ids of segments
        self.chains: dict[str, set[str]] = {}  # run that can be read -> ids of its records
        self.branches: dict[str, dict[str, object]] = {}  # run -> what it says it branches from
        self.unread: set[str] = set()  # runs that cannot be read
        self.refers: dict[str, list[str] | str] = {}  # object id -> ids, or what is wrong with it
        self.broken: dict[str, Damaged] = {}
        self.partial: set[str] = set()  # runs whose large objects are elsewhere
        self.cache = FrameCache()

    def all(self) -> Report:
        self.packs()
        for part in sorted({*self.blobs.children(layout.OPEN), *self.blobs.children(layout.RUNS)}):
            self.run(part)
        self.sources()
        self.segments()
        self.loose()
        self.names()
        self.trust()
        self.marks()
        self.values()
        self.leftovers()
        return self.report

    def run(self, part: str) -> None:
        try:
            run = layout.unescape(part)
        except ValueError as error:
            self.report.add(DAMAGE, self.blobs.where(f"{layout.RUNS}/{part}"), str(error))
            return
        try:
            for name in names.segments(self.blobs, run):
                self.named[name.segment].add(run)
            content = runs.read_run(self.repo.segments, run, self.cache)
        except UnknownRun:
            self.report.add(LEFTOVER, self.blobs.where(layout.open_key(run)), "a run that never recorded anything")
        except KitaruError as error:
            self.report.damage(error, self.blobs.where(layout.run_key(run)), run)
            self.report.runs += 1
            self.unread.add(run)
        else:
            self.report.runs += bool(content.records or content.segments)  # a journal alone may be of no use
            self.content(run, content)

    def content(self, run: str, content: runs.RunContent) -> None:
        self.report.records += len(content.records)
        self.report.objects += len(content.known)
        self.chains[run] = {stored.id for stored in content.records}
        for stored in content.records:
            if isinstance(stored.record, Start) and stored.record.source is not None:
                self.branches[run] = stored.record.source
            for object_id in named_by(stored.record):
                self.wanted[object_id].add(run)
        for segment, strand in zip(content.segments, content.sealed, strict=True):
            self.sealed(segment, strand)
        for journal in [*content.journals, *content.strays]:
            where = self.blobs.where(journal.key)
            if journal.strand is not None:
                self.objects(journal.strand, lambda data=journal.data: data)  # type: ignore[misc]  # bound now
            if journal.torn and not self.repo.is_held(run):
                what = f"{len(journal.torn)} bytes of an unfinished write; the next resume cuts them off"
                at = journal.strand.end if journal.strand else 0
                self.report.findings.append(Finding(TORN, where, what, at, (run,)))
        affects = [run] if content.records else []
        for stray in content.strays:
            self.report.add(LEFTOVER, self.blobs.where(stray.key), "a journal that is sealed, or of no use", *affects)

    def sources(self) -> None:
        """Is what a run branches from there?"""
        for run, source in self.branches.items():
            named, head = source.get("run"), source.get("head")
            where = self.blobs.where(layout.run_key(run))
            if named in self.unread:  # told as its own damage
                continue
            if named not in self.chains:
                self.report.add(DAMAGE, where, f"branches from run {named}, which is not there", run)
            elif not self._has(named, head):
                self.report.add(DAMAGE, where, f"branches from record {head} of run {named}, which has none such", run)

    def _has(self, run: object, head: object) -> bool:
        """Tell whether a run has a record, or one that parted from it."""
        return any(head in self.chains.get(member, ()) for member in parted.family(self.blobs, str(run)))

    def sealed(self, segment: str, strand: Strand) -> None:
        """Look at the index and the objects of a segment that was read."""
        if segment in self.read:
            return
        self.read.add(segment)
        data, affects = self.repo.segments.find(segment).data, sorted(self.named.get(segment, ()))
        if bytes(data[strand.end :]) != strand.footer():
            what = f"the index at offset {strand.end} is not that of its envelopes"
            self.report.add(DAMAGE, strand.where, what, *affects)
        elif not affects:
            self.report.add(LEFTOVER, strand.where, "a segment that no run names")
        self.objects(strand, lambda: data)

    def objects(self, strand: Strand, data: Callable[[], bytes | memoryview]) -> None:
        raws = list(runs.frames(strand, self.cache, data))
        for object_id, (frame, start, end) in strand.objects.items():
            if object_id not in self.refers:
                self.refers[object_id] = _references(raws[frame][start:end])

    def segments(self) -> None:
        """Look at the segments that no run that can be read names, and at those whose run cannot be read."""
        for key in self.blobs.keys(layout.SEGMENTS):
            segment = "".join(key.split("/")[1:])
            where = self.blobs.where(key)
            if not layout.is_object_id(segment):
                self.report.add(DAMAGE, where, "no segment has such a name")
            else:
                self.segment(segment, where)
        for pack in self.repo.segments.packs().values():
            for segment in pack:
                self.segment(segment, pack.where)

    def segment(self, segment: str, where: str) -> None:
        if segment in self.read:
            return
        try:
            self.sealed(segment, self.repo.segments.strand(segment, self.cache))
        except Damaged as error:
            self._once(error, where, *sorted(self.named.get(segment, ())))
        except KeyError:  # gc was faster
            return

    def packs(self) -> None:
        """Look at packs as files; what is in them is looked at as what it is."""
        for name in self.blobs.children(layout.PACKS):
            key = f"{layout.PACKS}/{name}"
            where = self.blobs.where(key)
            try:
                if not layout.is_object_id(name):
                    self.report.add(DAMAGE, where, "no pack has such a name")
                elif hashlib.sha256(self.blobs.view(key)).hexdigest() != name:
                    self.report.add(DAMAGE, where, "its content does not have the hash that names it")
            except KeyError:  # gc was faster
                continue
        packs = self.repo.segments.packs()
        for error in self.repo.segments.damaged:
            self._once(error, error.where)
        for segment, key in self.repo.segments.files():
            if any(pack.find(segment) for pack in packs.values()):
                self.report.add(LEFTOVER, self.blobs.where(key), "a segment that is in a pack too")

    def _once(self, error: Damaged, where: str, *affects: str) -> None:
        """Add damage, unless it was told already, for instance by the run that it is part of."""
        told = any(f.where == error.where and f.severity == DAMAGE for f in self.report.findings)
        if not told:
            self.report.damage(error, where, *affects)

    def loose(self) -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            wanted = []
            for key in self.blobs.keys(layout.OBJECTS):
                object_id = "".join(key.split("/")[1:])
                if layout.is_object_id(object_id):
                    self.report.objects += 1
                    wanted.append(object_id)
                else:
                    self.report.add(DAMAGE, self.blobs.where(key), "no object has such a name")
            for object_id, found in zip(wanted, pool.map(self._loose, wanted), strict=True):
                if isinstance(found, Damaged):
                    self.broken[object_id] = found
                elif found is not None:
                    self.refers[object_id] = found

    def _loose(self, object_id: str) -> list[str] | str | Damaged | None:
        try:
            return _references(loose.view(self.blobs, object_id))
        except Damaged as error:
            return error
        except KeyError:  # gc was faster
            return None

    def names(self) -> None:
        """Look at all names but those of segments, which are looked at with their run."""
        logs: dict[str, set[int]] = defaultdict(set)
        for kind in kinds.KINDS:
            for key in kinds.keys(self.blobs, kind) if kind is not kinds.RUNS else ():
                named = self.name(key)
                if named is not None and kinds.is_unbroken(kind):
                    logs[named.log].add(named.number)
        for log, numbers in logs.items():
            for number in sorted(set(range(1, max(numbers))) - numbers):
                self.report.add(DAMAGE, self.blobs.where(log), f"entry {number} of the log is missing")

    def name(self, key: str) -> kinds.Key | None:
        where = self.blobs.where(key)
        try:
            named = kinds.parse(key)
        except ValueError:
            self.report.add(DAMAGE, where, f"nothing in {key.partition('/')[0]}/ has such a name")
            return None
        try:
            fields = kinds.read(named, self.blobs.get(key, limit=names.MAX_NAME), where)
        except Damaged as error:
            self.report.damage(error, where, kinds.called(key))
        except KeyError:  # gc was faster
            return None
        else:
            for value in kinds.reached(named, fields):
                self.wanted[value].add(kinds.called(key))
        return named

    def trust(self) -> None:
        for _, error in self.repo.trust.damaged():
            self.report.damage(error, error.where)

    def marks(self) -> None:
        """Look at the marks of partial runs."""
        for part in self.blobs.children(layout.PARTIAL):
            where = self.blobs.where(f"{layout.PARTIAL}/{part}")
            try:
                self.partial.add(self.repo.partial.read(layout.unescape(part)).run)
            except (ValueError, KeyError):
                self.report.add(DAMAGE, where, "no run has such a name")
            except Damaged as error:
                self.report.damage(error, where)

    def values(self) -> None:
        """Follow every value that something names, down to its last object, each object once; partial runs' first."""
        seen: set[str] = set()
        for object_id, wanted_by in sorted(self.wanted.items(), key=lambda item: self.partial.isdisjoint(item[1])):
            waiting = [object_id]
            while waiting:
                wanted = waiting.pop()
                if wanted not in seen:
                    seen.add(wanted)
                    waiting += reversed(self._follow(wanted, wanted_by))
        for damage in self.broken.values():
            self._once(damage, damage.where)

    def _follow(self, object_id: str, wanted_by: set[str]) -> list[str]:
        """Return what an object refers to; damage is told, and leads nowhere."""
        found = self.refers.get(object_id)
        if isinstance(found, list):
            return found
        error = self.broken.pop(object_id, None) or UnknownObject(object_id)
        where = error.where if isinstance(error, Damaged) else f"object {object_id}"
        if isinstance(found, str):
            self.report.add(DAMAGE, f"object {object_id[:16]}", f"not a value: {found}", *sorted(wanted_by))
        elif isinstance(error, UnknownObject) and not self.partial.isdisjoint(wanted_by):
            self.report.elsewhere += 1
        else:
            self.report.damage(error, where, *sorted(wanted_by))
        return []

    def leftovers(self) -> None:
        for directory in (layout.TMP, layout.LOST):
            for key in self.blobs.keys(directory):
                self.report.add(LEFTOVER, self.blobs.where(key), "kept aside; nothing needs it")


def check(repo: Repository) -> Report:
    """Look at every journal, segment, object and name of a store, and follow every reference. Changes nothing."""
    return _Check(repo).all()


def check_blobs(blobs: Workspace) -> Report:
    """As `check`, of a store that may not even open."""
    try:
        return check(Repository.open(blobs))
    except (UnknownFormat, Damaged) as error:
        report = Report()
        report.damage(error, blobs.where(layout.FORMAT_KEY))
        return report
