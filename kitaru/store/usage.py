"""What takes the room in a store: every byte of every file, once, under a flow, a run and an artifact.

Owns: to whom a file's bytes are counted. Changes nothing. A journal or segment is shared out among its objects by their
length before compression, and what is no artifact's is the records'. A large object counts for the oldest run that
reaches it; an object that several artifacts of a run hold, for the first of them.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, KitaruError
from kitaru.model.encoding import Malformed, references
from kitaru.model.ids import display_call
from kitaru.model.records import Answer, Call, End, Note, Start, Wait
from kitaru.store import kinds, layout, names
from kitaru.store.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kitaru.model.records import Record, Stored
    from kitaru.store.repository import Repository
    from kitaru.store.runs import RunContent
    from kitaru.store.strand import Strand

TOMBSTONES, RECORDS, UNREACHED = "(tombstones)", "(records)", "(nothing reaches it)"
INDEXES = "(indexes of packs)"
_ASIDE = {
    layout.CANCELS: "(requests to cancel)",
    layout.KEYS: "(keys)",
    layout.LOST: "(put aside in lost/)",
    layout.TMP: "(tmp/)",
    layout.CACHE: "(cache/)",
    layout.VISITS: "(gc/)",
}


@dataclass(frozen=True, slots=True)
class Use:
    """Bytes on disk, and what they are for.

    Attributes:
        flow, run: empty where it is nobody's.
        artifact: a call, `call.name` of what it saved, `call(name)` of an argument, an input, a version, or in
            parentheses what is none of these.
    """

    flow: str
    run: str
    artifact: str
    size: int


def usage(repo: Repository) -> list[Use]:
    """Return who uses how many bytes; the sum is that of all the store's files.

    What is damaged counts as nothing's, for who can tell what it was.
    """
    return list(_Count(repo).all())


class _Count:
    def __init__(self, repo: Repository) -> None:
        self._repo, self._blobs = repo, repo.blobs
        self._left = self._sizes(layout.SEGMENTS) | self._sizes(layout.OBJECTS)
        self._packs = self._packed()

    def _sizes(self, directory: str) -> dict[str, int]:
        found = {}
        for key in self._blobs.keys(directory):
            with contextlib.suppress(KeyError, Damaged):  # removed meanwhile; a link, as environments in cache/ have
                found[key] = self._blobs.size(key)
        return found

    def _packed(self) -> int:
        """Count what is in packs as if each segment had a file; return what the packs have beyond that."""
        beyond = 0
        packs = self._repo.segments.packs()
        for key, size in self._sizes(layout.PACKS).items():
            beyond += size
            for segment, _, length in packs[key].in_order() if key in packs else ():
                part = layout.segment_key(segment)
                self._left[part] = self._left.get(part, 0) + length
                beyond -= length
        return beyond

    def all(self) -> Iterator[Use]:
        yield from self._versions()
        yield from self._invoked()
        for _, run in sorted(self._begun()):
            try:
                yield from self._run(run, self._repo.run_content(run))
            except KitaruError:
                continue
        yield from (Use("", "", UNREACHED, size) for size in self._left.values())
        yield from (Use("", run, TOMBSTONES, self._blobs.size(layout.pruned_key(run))) for run in self._pruned())
        if self._packs:
            yield Use("", "", INDEXES, self._packs)
        for directory, told in _ASIDE.items():
            size = sum(self._sizes(directory).values())
            if size:
                yield Use("", "", told, size)

    def _pruned(self) -> list[str]:
        return self._repo.pruned_ids()

    def _begun(self) -> Iterator[tuple[int, str]]:
        """Yield when each run that can be read began, and the run; the pruned included while they are there."""
        for summary in Catalog(self._repo).summaries():
            yield summary.started, summary.run
        for run in self._pruned():
            with contextlib.suppress(KitaruError):
                yield self._repo.records(run)[0].record.at, run

    def _versions(self) -> Iterator[Use]:
        for flow in names.flows(self._blobs):
            for version in names.versions(self._blobs, flow):
                size = self._blobs.size(layout.flow_key(flow, version.n))
                yield Use(flow, "", f"v{version.n}", size + sum(self._claim(version.id, "", {}, set())))

    def _invoked(self) -> Iterator[Use]:
        """Yield what is queued and scheduled, with its inputs, the routes, and what parted from what."""
        for kind in (kinds.QUEUE, kinds.SCHEDULES, kinds.ROUTES, kinds.PARTED):
            size = 0
            for key in self._blobs.keys(kind.directory):
                size += self._blobs.size(key)
                with contextlib.suppress(ValueError, KeyError, Damaged):
                    name, data = kinds.parse(key), self._blobs.get(key, limit=names.MAX_NAME)
                    reached = kinds.reached(name, kinds.read(name, data, self._blobs.where(key)))
                    size += sum(sum(self._claim(value, "", {}, set())) for value in reached)
            if size:
                yield Use("", "", f"({kind.directory})", size)

    def _run(self, run: str, content: RunContent) -> Iterator[Use]:
        records = content.records
        flow = records[0].record.flow if isinstance(records[0].record, Start) else ""
        total, own = self._own(run, content)
        seen: set[str] = set()
        for artifact, object_id in _artifacts(records):
            inside, large = self._claim(object_id, run, own, seen)
            total -= inside
            if inside + large:
                yield Use(flow, run, artifact, inside + large)
        yield Use(flow, run, RECORDS, total)

    def _own(self, run: str, content: RunContent) -> tuple[int, dict[str, int]]:
        """Return the bytes of a run's journals, segments and names, and how many of them each object has."""
        own: dict[str, int] = {}
        total = sum(
            self._blobs.size(key) for d in (layout.run_key(run), layout.answer_key(run)) for key in self._blobs.keys(d)
        )
        for journal in [*content.journals, *content.strays]:
            total += len(journal.data)
            if journal.strand is not None:
                _share_out(journal.strand, journal.strand.end, own)
        for segment, strand in zip(content.segments, content.sealed, strict=True):
            size = self._left.pop(layout.segment_key(segment), 0)  # once, though two runs may name it
            total += size
            if size:
                _share_out(strand, size, own)
        return total, own

    def _claim(self, object_id: str, run: str, own: dict[str, int], seen: set[str]) -> tuple[int, int]:
        """Return the bytes that a value takes of the run's own files, and of large objects, beyond what is counted."""
        inside = large = 0
        waiting = [object_id]
        while waiting:
            wanted = waiting.pop()
            if wanted in seen or not layout.is_object_id(wanted):
                continue
            seen.add(wanted)
            inside += own.get(wanted, 0)
            large += self._left.pop(layout.object_key(wanted), 0)
            try:
                waiting += reversed(references(self._repo.object(wanted, [run] if run else [])))
            except (KitaruError, Malformed):
                continue
        return inside, large


def _share_out(strand: Strand, size: int, own: dict[str, int]) -> None:
    """Give each object its part of a file, by its length before compression."""
    raw = sum(frame.raw_length for frame in strand.frames) or 1
    for object_id, (_, start, end) in strand.objects.items():
        own[object_id] = own.get(object_id, 0) + (end - start) * size // raw


def _artifacts(records: list[Stored]) -> Iterator[tuple[str, str]]:
    """Yield label and value of everything that records name, in their order."""
    waits = {stored.id: stored.record for stored in records if isinstance(stored.record, Wait)}
    for stored in records:
        yield from _named(stored.record, waits)


def _named(record: Record, waits: dict[str, Wait]) -> Iterator[tuple[str, str]]:
    match record:
        case Start():
            yield from ((f"input {name}", value) for name, value in record.inputs.items())
        case Call():
            label = display_call(record.name, record.occurrence)
            given = (record.output, record.logs, record.metadata, (record.error or {}).get("value"))
            yield from ((label, value) for value in given if isinstance(value, str))
            yield from ((f"{label}.{name}", value) for name, value in record.saved.items())
            yield from ((f"{label}({name})", value) for name, value in record.args.items())
        case Wait():
            label = display_call(record.name, record.occurrence)
            yield from ((f"{label}.{name}", value) for name, value in record.shown.items())
        case Answer():
            wait = waits.get(record.wait)
            yield (display_call(wait.name, wait.occurrence) if wait else "answer", record.value)
        case End():
            if record.output:
                yield "result", record.output
        case Note():
            if isinstance(record.data.get("value"), str):
                yield "note", record.data["value"]
