"""Runs that come from a remote: read, and verified as a whole, before any name of theirs is made.

Owns: what must hold of a run that others wrote: its segments follow each other, its records add up, what it branches
from and every object that it names is there. Knows nothing of how names are made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, KitaruError, UnknownRun
from kitaru.model.records import Resumed, Start
from kitaru.store import layout, names, parted
from kitaru.store.kinds import read
from kitaru.store.states import state_of
from kitaru.store.sync import sight as sights
from kitaru.store.sync.placing import must_get

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kitaru.model.records import Stored
    from kitaru.store.kinds import Key
    from kitaru.store.sync.content import Incoming, Part
    from kitaru.store.sync.job import Job
    from kitaru.store.sync.sight import Sight


@dataclass(slots=True)
class RunThere:
    """A run as a remote has it.

    Attributes:
        run: its id.
        keys: of its segments' names, in order.
        names: their bytes.
        parts: its segments.
    """

    run: str
    keys: list[Key]
    names: list[bytes] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    @property
    def records(self) -> list[Stored]:
        """All records of the run, in order."""
        return [stored for part in self.parts for stored in part.records]

    @property
    def start(self) -> Start:
        """Its first record."""
        start = self.parts[0].records[0].record if self.parts and self.parts[0].records else None
        if not isinstance(start, Start):
            raise Damaged(f"run {self.run}", "its first record is not a start")
        return start

    @property
    def source(self) -> str | None:
        """The run that it branches from."""
        return source_of(self.parts[0].records)

    def versions(self) -> set[str]:
        """Return the ids of the flow versions that it ran with."""
        records = (stored.record for stored in self.records)
        return {str(record.version["id"]) for record in records if isinstance(record, Start | Resumed)}

    def refers(self) -> set[str]:
        """Return the ids of the objects that it names and does not hold itself."""
        held = {object_id for part in self.parts for object_id in part.objects}
        return {object_id for part in self.parts for object_id in part.refers if object_id not in held}


class Verifier:
    """Reads runs of a remote.

    Args:
        todo: what is brought together.
        incoming: fetches content.
        there: the remote's names.
    """

    def __init__(self, todo: Job, incoming: Incoming, there: Sight) -> None:
        self._repo, self._transfer, self._same = todo.repo, todo.transfer, todo.tracking.same
        self._incoming, self._there = incoming, there
        self.refused: dict[str, KitaruError] = {}
        self._loaded: dict[str, RunThere] = {}
        self._held: dict[str, frozenset[str]] = {}
        self._sources: dict[str, str | None] = {}

    def load(self, wanted: Iterable[str]) -> list[RunThere]:
        """Return runs with those that they branch from, these first; what is wrong with others is in `refused`.

        A run that is in `refused` is not returned, and neither is one that branches from it.
        """
        loaded = self._loaded = {}
        waiting = sorted(set(wanted))
        while waiting:
            found = [run for run in self._transfer.each(self._load, waiting) if run is not None]
            loaded.update((run.run, run) for run in found)
            sources = {run.source for run in found} - {None}
            waiting = [s for s in sorted(map(str, sources)) if s not in loaded and self._is_wanted(s)]
        return [run for run in _sources_first(loaded) if self._verify(run, loaded)]

    def _is_wanted(self, run: str) -> bool:
        """Tell whether a run that another branches from has to come with it."""
        if run in self.refused:
            return False
        keys = self._there.run(run)
        return any(key.key not in self._same for key in keys) if keys else not self._repo.has_run(run)

    def _load(self, run: str) -> RunThere | None:
        try:
            keys = self._there.run(run) or sights.found_of(self._transfer, run)
            return self._read(run, keys) if keys else None
        except Damaged as error:
            self.refused[run] = error
            return None

    def _read(self, run: str, keys: list[Key]) -> RunThere:
        loaded = RunThere(run, keys)
        for key in loaded.keys:
            where = self._transfer.remote.where(key.key)
            data = self._name(key, where)
            loaded.names.append(data)
            loaded.parts.append(self._incoming.segment(read(key, data, where)["segment"]))
        _ = loaded.start
        return loaded

    def _name(self, key: Key, where: str) -> bytes:
        if key.key in self._same:
            return must_get(self._repo.blobs, key.key)
        try:
            return self._transfer.get(key.key, names.MAX_NAME)
        except KeyError:
            raise Damaged(where, "a name that was listed is gone") from None

    # -- what must hold ----------------------------------------------------------------------------------------------

    def _verify(self, run: RunThere, loaded: dict[str, RunThere]) -> bool:
        def records_of(other: str) -> Sequence[Stored]:
            if other in self.refused:
                raise UnknownRun(other)
            return loaded[other].records if other in loaded else self._repo.records(other)

        try:
            _check_chain(run)
            state_of(self._repo.blobs, records_of, run.run, run.records)
        except UnknownRun as error:
            self.refused[run.run] = Damaged(f"run {run.run}", f"branches from a run that is not there: {error.message}")
        except KitaruError as error:
            self.refused[run.run] = error
        return run.run not in self.refused

    def objects(self, found: Sequence[RunThere], *, large: bool) -> list[RunThere]:
        """Fetch the objects that runs name and do not hold; return those of which all is there.

        Args:
            found: sources before their branches.
            large: False leaves out all but flow versions.
        """
        held = {run.run: frozenset(i for part in run.parts for i in part.objects) for run in found}
        wanted = {run.run: self._wanted(run, held) if large else run.versions() for run in found}
        failed = self._incoming.objects({object_id for ids in wanted.values() for object_id in ids})
        whole = []
        for run in found:
            lacking = sorted(i for i in self._closure(wanted[run.run]) if i in failed)
            if lacking:
                self.refused[run.run] = failed[lacking[0]]
            elif run.source in self.refused:
                self.refused[run.run] = Damaged(f"run {run.run}", f"branches from run {run.source}, which is refused")
            else:
                whole.append(run)
        return whole

    def _closure(self, ids: set[str]) -> Iterator[str]:
        for object_id in ids:
            yield from self._incoming.closure(object_id)

    def _wanted(self, run: RunThere, held: dict[str, frozenset[str]]) -> set[str]:
        """Return the objects that a run names, less those that are in its segments, or in those of its sources."""
        wanted, source, seen = run.refers(), run.source, {run.run}
        while wanted and source is not None and source not in seen:
            for member in parted.family(self._repo.blobs, source):
                seen.add(member)
                wanted -= held.get(member) or self._held_here(member)
            source = self._source_of(source, held)
        return wanted

    def _held_here(self, run: str) -> frozenset[str]:
        if run not in self._held:
            try:
                content = self._repo.run_content(run)
            except KitaruError:
                return frozenset()
            self._held[run] = frozenset(content.known)
            self._sources[run] = source_of(content.records)
        return self._held[run]

    def _source_of(self, run: str, held: dict[str, frozenset[str]]) -> str | None:
        if run in held:
            return self._loaded[run].source
        return self._sources.get(run)


def source_of(records: Sequence[Stored]) -> str | None:
    """Return the run that records branch from, as their first one says."""
    start = records[0].record if records else None
    named = (start.source or {}).get("run") if isinstance(start, Start) else None
    return named if isinstance(named, str) and layout.is_run(named) else None


def _check_chain(run: RunThere) -> None:
    head = None
    for key, part in zip(run.keys, run.parts, strict=True):
        if not part.records:
            raise Damaged(key.key, "names a segment without a record")
        if part.records[0].parent != head:
            raise Damaged(key.key, "its first record does not follow the run's last record before it")
        head = part.records[-1].id


def _sources_first(loaded: dict[str, RunThere]) -> list[RunThere]:
    order: dict[str, RunThere] = {}
    for run in loaded.values():
        line: list[RunThere] = []
        member: RunThere | None = run
        while member is not None and member.run not in order and member not in line:
            line.append(member)
            member = loaded.get(member.source or "")
        order.update((found.run, found) for found in reversed(line))
    return list(order.values())
