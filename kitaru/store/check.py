"""fsck: is every byte of the store what was written, and is everything there that something names?

Owns: what is looked at, and how a finding is told. Changes nothing. Knows nothing of how damage is mended.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, KitaruError, UnknownFormat, UnknownObject, UnknownRun
from kitaru.model.encoding import Malformed, references
from kitaru.model.records import Answer, Call, End, Note, Resumed, Start, Wait
from kitaru.store import layout, loose, names, runs
from kitaru.store.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kitaru.blobs.contract import Workspace
    from kitaru.model.records import Record

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
    """What a check found, and how much it looked at."""

    findings: list[Finding] = field(default_factory=list)
    runs: int = 0
    records: int = 0
    objects: int = 0

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


def named_by(record: Record) -> Iterator[str]:
    """Yield the ids of the values that a record names."""
    match record:
        case Start():
            yield record.version["id"]
            yield from record.inputs.values()
            for chosen in record.overrides.values():
                if isinstance(chosen, dict):
                    yield from (value for value in chosen.values() if isinstance(value, str))
        case Resumed():
            yield record.version["id"]
        case Call():
            yield from _given(record.key, record.output, record.logs, record.metadata, _value_of(record.error))
            yield from record.args.values()
            yield from record.saved.values()
        case Wait():
            yield from _given(record.metadata)
            yield from record.shown.values()
        case Answer():
            yield record.value
        case End():
            yield from _given(record.output, _value_of(record.error))
        case Note() if record.about == "metadata":
            yield from _given(_value_of(record.data))


def _given(*ids: str | None) -> Iterator[str]:
    yield from (object_id for object_id in ids if object_id)


def _value_of(described: dict[str, object] | None) -> str | None:
    value = (described or {}).get("value")
    return value if isinstance(value, str) else None


class _Check:
    def __init__(self, repo: Repository) -> None:
        self.repo, self.blobs = repo, repo.blobs
        self.report = Report()
        self.wanted: dict[str, set[str]] = defaultdict(set)  # value id -> who names it
        self.named: dict[str, set[str]] = defaultdict(set)  # segment id -> runs
        self.seen: set[str] = set()
        self.broken: dict[str, Damaged] = {}

    def all(self) -> Report:
        for part in sorted({*self.blobs.children(layout.OPEN), *self.blobs.children(layout.RUNS)}):
            self.run(part)
        self.segments()
        self.loose()
        self.flows()
        self.answers()
        self.requests()
        self.keys()
        self.values()
        self.leftovers()
        return self.report

    def run(self, part: str) -> None:
        try:
            run = layout.unescape(part)
        except ValueError as error:
            self.report.add(DAMAGE, self.blobs.where(f"{layout.RUNS}/{part}"), str(error))
            return
        self.report.runs += 1
        try:
            for name in names.segments(self.blobs, run):
                self.named[name.segment].add(run)
            content = runs.read_run(self.blobs, run)
        except UnknownRun:
            self.report.add(LEFTOVER, self.blobs.where(layout.open_key(run)), "a run that never recorded anything")
        except KitaruError as error:
            self.report.damage(error, self.blobs.where(layout.run_key(run)), run)
        else:
            self.content(run, content)

    def content(self, run: str, content: runs.RunContent) -> None:
        self.report.records += len(content.records)
        self.report.objects += len(content.known)
        for stored in content.records:
            for object_id in named_by(stored.record):
                self.wanted[object_id].add(run)
        for journal in [*content.journals, *content.strays]:
            where = self.blobs.where(journal.key)
            if journal.torn and not self.repo.is_held(run):
                what = f"{len(journal.torn)} bytes of an unfinished write; the next resume cuts them off"
                at = journal.strand.end if journal.strand else 0
                self.report.findings.append(Finding(TORN, where, what, at, (run,)))
        for stray in content.strays:
            self.report.add(LEFTOVER, self.blobs.where(stray.key), "a journal that is sealed, or of no use", run)

    def segments(self) -> None:
        for key in self.blobs.keys(layout.SEGMENTS):
            segment = "".join(key.split("/")[1:])
            where = self.blobs.where(key)
            affects = sorted(self.named.get(segment, ()))
            if not layout.is_object_id(segment):
                self.report.add(DAMAGE, where, "no segment has such a name")
                continue
            try:
                strand = runs.sealed_strand(self.blobs, segment)
            except Damaged as error:
                self._once(error, where, *affects)
                continue
            if bytes(self.blobs.view(key)[strand.end :]) != strand.footer():
                self.report.add(
                    DAMAGE, where, f"the index at offset {strand.end} is not that of its envelopes", *affects
                )
            elif not affects:
                self.report.add(LEFTOVER, where, "a segment that no run names")

    def _once(self, error: Damaged, where: str, *affects: str) -> None:
        """Add damage, unless it was told already, for instance by the run that it is part of."""
        told = any(f.where == error.where and f.severity == DAMAGE for f in self.report.findings)
        if not told:
            self.report.damage(error, where, *affects)

    def loose(self) -> None:
        for key in self.blobs.keys(layout.OBJECTS):
            object_id = "".join(key.split("/")[1:])
            where = self.blobs.where(key)
            if not layout.is_object_id(object_id):
                self.report.add(DAMAGE, where, "no object has such a name")
                continue
            self.report.objects += 1
            try:
                loose.read(self.blobs, object_id)
            except Damaged as error:
                self.broken[object_id] = error

    def flows(self) -> None:
        try:
            for flow in names.flows(self.blobs):
                for version in names.versions(self.blobs, flow):
                    self.wanted[version.id].add(f"{flow}@v{version.n}")
        except Damaged as error:
            self.report.damage(error, error.where)

    def answers(self) -> None:
        for key in self.blobs.keys(layout.ANSWERS):
            try:
                run, digest = (layout.unescape(part) for part in key.split("/")[1:])
                found = names.answer(self.blobs, run, digest)
                if found is not None:
                    self.wanted[found.value].add(run)
            except ValueError:
                self.report.add(DAMAGE, self.blobs.where(key), "no answer has such a name")
            except Damaged as error:
                self.report.damage(error, error.where)

    def requests(self) -> None:
        """Look at tombstones and requests to cancel."""
        for directory, read in ((layout.PRUNED, names.tombstone), (layout.CANCELS, names.cancellation)):
            for part in self.blobs.children(directory):
                try:
                    run = layout.unescape(part)
                    read(self.blobs, run)
                except ValueError:
                    self.report.add(DAMAGE, self.blobs.where(f"{directory}/{part}"), "no run has such a name")
                except Damaged as error:
                    self.report.damage(error, error.where, run)

    def keys(self) -> None:
        for key in self.blobs.keys(layout.KEYS):
            where = self.blobs.where(key)
            try:
                flow = layout.unescape("/".join(key.split("/")[1:-1]))
                if not layout.is_object_id(key.rpartition("/")[2]):
                    raise ValueError(key)  # noqa: TRY301 - as a flow that is none
                names.unpack(self.blobs.get(key, limit=names.MAX_NAME), names.KEY_SHAPE, where)
            except ValueError:
                self.report.add(DAMAGE, where, "no key has such a name")
            except Damaged as error:
                self.report.damage(error, where, flow)

    def values(self) -> None:
        """Follow every value that something names, down to its last object, each object once.

        Values are taken in the order in which records name them, in which their objects lie in the journals too.
        """
        for object_id, wanted_by in self.wanted.items():
            affects = sorted(wanted_by)
            waiting = [object_id]
            while waiting:
                wanted = waiting.pop()
                if wanted not in self.seen:
                    self.seen.add(wanted)
                    waiting += reversed(self._follow(wanted, affects))
        for damage in self.broken.values():
            self._once(damage, damage.where)

    def _follow(self, object_id: str, affects: list[str]) -> list[str]:
        """Return what an object refers to; damage is told, and leads nowhere."""
        try:
            return references(self.repo.object(object_id, affects))
        except (UnknownObject, Damaged) as error:
            where = error.where if isinstance(error, Damaged) else f"object {object_id}"
            self.report.damage(error, where, *affects)
            self.broken.pop(object_id, None)
        except Malformed as error:
            self.report.add(DAMAGE, f"object {object_id[:16]}", f"not a value: {error}", *affects)
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
