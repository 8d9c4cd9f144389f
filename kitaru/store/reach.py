"""What a store still needs: which runs, and through them which files.

Owns: the walk from runs and names to every file that they reach. Changes nothing, and errs on the side of keeping: all
that lies in a segment or journal of a kept run counts as used, and each 64 hex digits in a record as an object it
names. What cannot be read names nobody knows what, so it stops the walk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, UnknownRun
from kitaru.model.encoding import Malformed, references
from kitaru.model.records import Start
from kitaru.store import envelope, kinds, layout, loose, names, parted, runs
from kitaru.store.strand import FrameCache

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from kitaru.blobs.contract import Workspace
    from kitaru.store.repository import Repository
    from kitaru.store.segments import Segments
    from kitaru.store.strand import Strand

_ID = re.compile(rb"[0-9a-f]{64}")


@dataclass(slots=True)
class Unreached:
    """Keys of what nothing needs; who removes them goes from the first list to the last, and through each in order.

    Attributes:
        names: of pruned runs that no replay needs, and of runs that never recorded anything: journals, segments' names
            from the last to the first, answers, a request to cancel, an invocation that was queued.
        segments: files of sealed journals that no run names.
        packed: ids of such in packs, and how many bytes each has.
        objects: large objects that nothing names.
        needed: ids of the sealed journals that are needed, those of the oldest run first.
    """

    names: list[str] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)
    packed: dict[str, int] = field(default_factory=dict)
    objects: list[str] = field(default_factory=list)
    needed: list[str] = field(default_factory=list)


def unreached(
    repo: Repository, known: dict[str, frozenset[str]] | None = None, spared: Collection[str] = ()
) -> Unreached:
    """Return what nothing in the store needs.

    Args:
        repo: the store.
        spared: pruned runs that are kept with all that they need, where they can be read.
        known: what large objects name, by id, as far as it is known; more is put in. With it, one that cannot change
            the result is not read.

    Raises:
        Damaged: something that is needed cannot be read, so that nobody knows what it names.
    """
    _check_names(repo.blobs)
    return _Walk(repo.segments, repo.run_ids(), repo.pruned_ids(), known, spared).all()


def _check_names(blobs: Workspace) -> None:
    """Refuse a store with a run that no id stands for: it is listed nowhere, and still names what it needs."""
    for directory in (layout.OPEN, layout.RUNS, layout.PRUNED):
        for part in blobs.children(directory):
            try:
                layout.unescape(part)
            except ValueError as error:
                raise Damaged(blobs.where(f"{directory}/{part}"), f"no run has such a name: {error}") from error


class _Walk:
    def __init__(
        self,
        segments: Segments,
        live: list[str],
        pruned: list[str],
        known: dict[str, frozenset[str]] | None,
        spared: Collection[str],
    ) -> None:
        self._store, self._blobs, self._cache = segments, segments.blobs, FrameCache()
        self._known, self._thrifty = known if known is not None else {}, known is not None
        self._live, self._pruned, self._spared = live, set(pruned), frozenset(spared).intersection(pruned)
        self._kept: set[str] = set()
        self._segments: dict[str, int] = {}  # id to when its run began
        self._used: set[str] = set()
        self._held: set[str] = set()
        self._empty: list[str] = []

    def all(self) -> Unreached:
        # Listed before what names them is read: what comes later is nobody's candidate.
        files, packed = dict(self._store.files()), self._packed()
        objects = dict(_ids(self._blobs, layout.OBJECTS))
        self._runs()
        self._names()
        self._contents(files.keys() | packed.keys(), objects)
        gone = sorted(self._pruned - self._kept)
        return Unreached(
            [
                *(key for run in self._empty for key in _names_of(self._blobs, run, begun=False)),
                *(key for run in gone for key in _names_of(self._blobs, run, begun=True)),
            ],
            [key for segment, key in files.items() if segment not in self._segments],
            {segment: size for segment, size in packed.items() if segment not in self._segments},
            [key for object_id, key in objects.items() if object_id not in self._used],
            sorted(self._segments, key=self._segments.__getitem__),
        )

    def _packed(self) -> dict[str, int]:
        packs = self._store.packs()
        if self._store.damaged:
            raise self._store.damaged[0]
        return {segment: size for pack in packs.values() for segment, _, size in pack.in_order()}

    def _runs(self) -> None:
        """Keep every run that was not pruned, and every one whose calls a kept one shares."""
        waiting = [*sorted(self._spared), *self._live]
        while waiting:
            run = waiting.pop()
            if run in self._kept:
                continue
            content = self._read(run)
            if content is None:
                continue
            self._kept.add(run)
            start = content.records[0].record
            for segment, strand in zip(content.segments, content.sealed, strict=True):
                self._hold_segment(segment, strand, start.at)
            for journal in [*content.journals, *content.strays]:
                if journal.strand is not None:
                    self._hold(journal.strand, lambda data=journal.data: data)  # type: ignore[misc]  # bound now
            if isinstance(start, Start) and start.source is not None:
                waiting += parted.family(self._blobs, _source(run, start.source))

    def _read(self, run: str) -> runs.RunContent | None:
        """Return what is recorded of a run; None where it was killed before anything of it was durable."""
        try:
            content = runs.read_run(self._store, run, self._cache)
        except UnknownRun:
            return None
        except Damaged:
            if run in self._spared:
                return None
            raise
        if not content.records:
            self._empty.append(run)
            return None
        return content

    def _names(self) -> None:
        gone = {layout.run_part(run) for run in self._pruned - self._kept}
        for kind in kinds.KINDS:
            for key in self._blobs.keys(kind.directory) if kind.reaches is not None else ():
                if not kind.is_of_run or key.split("/")[1] not in gone:
                    self._used.update(_reached(self._blobs, key))

    def _contents(self, segments: set[str], objects: dict[str, str]) -> None:
        """Follow what is named, through segments and large objects, until nothing is new."""
        unnamed = {segment: self._ids_in(segment) for segment in segments - self._segments.keys()}
        seen: set[str] = set()
        while True:
            if self._thrifty and not unnamed and objects.keys() <= self._used:
                return
            fresh = (self._used & objects.keys()) - seen
            for object_id in fresh:
                self._follow(object_id, objects[object_id])
            seen |= fresh
            only_here = self._used - self._held - objects.keys()
            needed = [segment for segment, ids in unnamed.items() if not ids.isdisjoint(only_here)]
            for segment in needed:
                del unnamed[segment]
                self._hold_segment(segment, self._store.strand(segment, self._cache), 0)
            if not fresh and not needed:
                return

    def _follow(self, object_id: str, key: str) -> None:
        if object_id not in self._known:
            self._known[object_id] = _referred(loose.view(self._blobs, object_id), self._blobs.where(key))
        self._used |= self._known[object_id]

    def _ids_in(self, segment: str) -> set[str]:
        try:
            return set(self._store.strand(segment).objects)
        except (Damaged, KeyError):  # nobody names it, and what it holds cannot be had from it
            return set()

    def _hold_segment(self, segment: str, strand: Strand, began: int) -> None:
        if segment not in self._segments:
            self._segments[segment] = began
            self._hold(strand, lambda: self._store.find(segment).data)

    def _hold(self, strand: Strand, data: Callable[[], bytes | memoryview]) -> None:
        self._held.update(strand.objects)
        for frame, raw in zip(strand.frames, runs.frames(strand, self._cache, data), strict=True):
            for kind, start, end in envelope.entries(raw, strand.where, frame.offset):
                content = raw[start:end]
                if kind == envelope.RECORD:
                    self._used.update(_found(content))
                else:
                    self._used |= _referred(content, strand.where)


def _reached(blobs: Workspace, key: str) -> list[str]:
    where = blobs.where(key)
    try:
        name = kinds.parse(key)
    except ValueError as error:
        raise Damaged(where, str(error)) from error
    return kinds.reached(name, kinds.read(name, blobs.get(key, limit=names.MAX_NAME), where))


def _referred(content: bytes | memoryview, where: str) -> frozenset[str]:
    try:
        return frozenset(references(content))
    except Malformed as error:
        raise Damaged(where, f"an object in it is no value: {error}") from error


def _source(run: str, source: dict[str, object]) -> str:
    named = source.get("run")
    try:
        layout.run_part(str(named))
    except ValueError:
        named = None
    if not isinstance(named, str):
        raise Damaged(f"run {run}", "branches from something that is no run")
    return named


def _found(content: bytes) -> Iterator[str]:
    return (found.decode("ascii") for found in _ID.findall(content))


def _ids(blobs: Workspace, directory: str) -> Iterator[tuple[str, str]]:
    for key in blobs.keys(directory):
        content_id = "".join(key.split("/")[1:])
        if layout.is_object_id(content_id):
            yield content_id, key


def _names_of(blobs: Workspace, run: str, *, begun: bool) -> Iterable[str]:
    """Return the keys of a run's names in the order in which they go: what is left is a whole run at any time.

    One that never recorded anything may be queued, and is begun yet, or never, if that was called off.
    """
    numbered = [layout.run_key(run, n) for p in blobs.children(layout.run_key(run)) if (n := layout.number_of(p))]
    queued = [layout.queue_key(run)] if blobs.exists(layout.queue_key(run)) else []
    cancelled = [layout.cancel_key(run)] if blobs.exists(layout.cancel_key(run)) else []
    return [
        *runs.open_keys(blobs, run),
        *sorted(numbered, key=lambda key: (len(key), key), reverse=True),
        *blobs.keys(layout.answer_key(run)),
        *(blobs.keys(layout.parted_key(run)) if begun else []),
        *(cancelled if begun or not queued else []),
        *(queued if begun else []),
    ]
