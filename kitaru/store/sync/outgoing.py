"""What a push is to send: runs, read and verified, and everything that they and the other names reach.

Owns: which runs go, and the walk from a run to its segments and large objects. Changes nothing anywhere but that the
end of an interrupted run is sealed, for only what is sealed can be named.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, KitaruError, UnknownRun
from kitaru.model.history import Status
from kitaru.model.records import Start
from kitaru.store import layout, loose, names, parted
from kitaru.store.states import run_state
from kitaru.store.sync import parting
from kitaru.store.sync.conflicts import HELD
from kitaru.store.sync.content import local_part
from kitaru.store.sync.incoming import source_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kitaru.blobs.contract import RemoteBlobs
    from kitaru.store.repository import Repository
    from kitaru.store.sync.content import Part
    from kitaru.store.sync.results import Outcome, PushChoice
    from kitaru.store.sync.sight import Sight

AT_ONCE = 4
"""So many large objects are read and hashed at once."""
SETTLED = (Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.WAITING)
"""What a push takes of its own accord: runs that go on, if at all, when somebody does something."""


@dataclass(slots=True)
class RunHere:
    """A run as it is here, sealed.

    Attributes:
        run, flow: its id, and its flow.
        source, head: the run that it branches from, and the record there.
        known: how many of its segments the remote has already, as of the listing.
        parts: ids of those that it has not.
        refers: ids of the objects that these name, and that no segment of the run or of its sources holds.
    """

    run: str
    flow: str
    source: str | None
    head: str
    known: int
    parts: list[str] = field(default_factory=list)
    refers: set[str] = field(default_factory=set)


class Outgoing:
    """Finds out what is to be sent.

    Args:
        repo: the store.
        ours: its names.
        theirs: the remote's.
        outcome: takes what is skipped.
        remote: the place that the remote's names are at.
    """

    def __init__(self, repo: Repository, ours: Sight, theirs: Sight, outcome: Outcome, remote: RemoteBlobs) -> None:
        self._repo, self._blobs = repo, repo.blobs
        self._ours, self._theirs, self._outcome = ours, theirs, outcome
        self._remote = remote
        self._loose: set[str] | None = None
        self._held: dict[str, frozenset[str]] = {}

    # -- which runs ------------------------------------------------------------------------------------------------

    def runs(self, choose: PushChoice, *, dry_run: bool) -> list[RunHere]:
        """Return the runs to be sent, those that others branch from first; an interrupted one is sealed."""
        asked = set(choose.runs) or set(self._candidates())
        found: dict[str, RunHere] = {}
        for run in sorted(asked):
            if layout.pruned_key(run) in self._theirs.names:
                self._outcome.skip(run, "was pruned there")
                continue
            self._add(found, run, choose, asked=run in choose.runs, dry_run=dry_run)
        return list(found.values())

    def _candidates(self) -> Iterable[str]:
        """Return the runs of which the remote may lack something."""
        opened = set(self._blobs.children(layout.OPEN))
        for run in self._repo.run_ids():
            if layout.run_part(run) in opened or self._lacks(run):
                yield run

    def _lacks(self, run: str) -> bool:
        ours = self._ours.run(run)
        return bool(ours) and ours[-1].key not in self._theirs.names

    def _add(self, found: dict[str, RunHere], run: str, choose: PushChoice, *, asked: bool, dry_run: bool) -> None:
        if run in found:
            return
        try:
            here = self._look(run, choose, asked=asked, dry_run=dry_run)
        except KitaruError as error:
            self._outcome.skip(run, error.message)
            return
        if here is None:
            return
        if here.source is not None:
            for member in parted.family(self._blobs, here.source):
                if self._repo.has_run(member):
                    self._add(found, member, choose, asked=True, dry_run=dry_run)
            if here.parts and not self._is_there(here.source, here.head, found):
                self._outcome.skip(run, f"branches from run {here.source}, which cannot go")
                return
        if here.parts:
            found[run] = here

    def _is_there(self, source: str, head: str, found: Iterable[str]) -> bool:
        """Tell whether a record of a run that another branches from is on the remote, or goes there."""
        for member in parted.family(self._blobs, source):
            segments = names.segments(self._blobs, member)
            for name in segments if member in found else segments[: self._known(member, len(segments))]:
                with contextlib.suppress(KitaruError, KeyError):
                    if any(stored.id == head for stored in self._repo.segments.strand(name.segment).records):
                        return True
        return False

    def _look(self, run: str, choose: PushChoice, *, asked: bool, dry_run: bool) -> RunHere | None:
        """Read a run, if it is to go; every byte that is to be sent is verified."""
        if self._blobs.children(layout.open_key(run)) and not self._sealed(run, choose, asked=asked, dry_run=dry_run):
            return None
        segments = names.segments(self._blobs, run)
        if not segments:
            return None
        known = self._known(run, len(segments))
        parts = self._parts(run, segments[known:])
        records = parts[0].records if _is_all(parts, segments) else self._repo.records(run)
        start = records[0].record
        here = RunHere(run, str(getattr(start, "flow", "")), source_of(records), _head_of(start), known)
        if choose.flow and here.flow != choose.flow and not asked:
            return None
        if not (asked or choose.everything) and run_state(self._repo, run, records)[0].status not in SETTLED:
            self._outcome.skip(run, "is not finished")
            return None
        if too_long := self.too_long(layout.flow_key(here.flow, 1)):
            self._outcome.skip(run, f"the name of its flow is too long: {too_long}")
            return None
        here.parts = [part.segment for part in parts]
        here.refers = self._not_held(here, parts)
        return here

    def _parts(self, run: str, segments: Iterable[names.SegmentName]) -> list[Part]:
        try:
            return [local_part(self._repo, name.segment) for name in segments]
        except KeyError:
            self._repo.records(run)  # tells what is missing
            raise

    def _not_held(self, here: RunHere, parts: Iterable[Part]) -> set[str]:
        """Return what segments name and do not hold, nor those before them, nor the runs that theirs branches from.

        Whatever is left has a file of its own, or is not here.
        """
        held, refers = set[str](), set[str]()
        for part in parts:
            held |= part.objects
            refers |= part.refers
        refers -= held
        waiting, seen = [here.run], set[str]()
        while waiting and not refers <= self._large():
            run = waiting.pop()
            seen.add(run)
            refers -= self._held_by(run)
            source = source_of(self._repo.records(run)) if self._repo.has_run(run) else None
            waiting += [other for other in parted.family(self._blobs, source or run) if other not in seen]
        return refers

    def _held_by(self, run: str) -> frozenset[str]:
        if run not in self._held:
            try:
                self._held[run] = frozenset(self._repo.run_content(run).known)
            except KitaruError:
                self._held[run] = frozenset()
        return self._held[run]

    def _known(self, run: str, count: int) -> int:
        known = 0
        while known < count and layout.run_key(run, known + 1) in self._theirs.names:
            known += 1
        return known

    def _sealed(self, run: str, choose: PushChoice, *, asked: bool, dry_run: bool) -> bool:
        """Tell whether a run with an open journal is to go, and seal it then."""
        if self._repo.is_held(run):
            self._outcome.skip(run, HELD)
            return False
        if not self._has_begun(run):
            return False
        if not (asked or choose.everything):
            self._outcome.skip(run, "was interrupted")
            return False
        if dry_run:
            return True
        with parting.held(self._repo, run) as ok:
            if ok:
                parting.seal(self._repo, run)
            else:
                self._outcome.skip(run, HELD)
        return ok

    def _has_begun(self, run: str) -> bool:
        """Tell whether anything is recorded of a run: what could not write its start is none, and goes with gc."""
        try:
            return bool(self._ours.run(run) or self._repo.records(run))
        except UnknownRun:
            return False
        except Damaged:  # told when it is to go
            return True

    def too_long(self, key: str) -> str:
        """Return why a key cannot be made there; empty where it can."""
        most = self._remote.max_key_bytes
        if most is None or len(key) <= most:  # keys are ASCII
            return ""
        return f"{self._remote.url} takes keys of {most} bytes, and this makes one of {len(key)}"

    # -- what they reach -------------------------------------------------------------------------------------------

    def objects(self, ids: Iterable[str]) -> tuple[set[str], dict[str, KitaruError]]:
        """Return the large objects that these ids lead to, and what is wrong with those that cannot be had here."""
        found: set[str] = set()
        wrong: dict[str, KitaruError] = {}
        waiting = set(ids)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while waiting:
                known = sorted(waiting & self._large())
                for object_id in waiting.difference(known):
                    wrong[object_id] = Damaged(f"object {object_id[:16]}", "is not here", hint="kitaru fsck")
                found.update(known)
                waiting = set()
                for object_id, named in zip(known, pool.map(self._named, known), strict=True):
                    if isinstance(named, KitaruError):
                        wrong[object_id] = named
                    else:
                        waiting.update(named)
                waiting -= found | wrong.keys()
        return found, wrong

    def _named(self, object_id: str) -> list[str] | KitaruError:
        """Return what a large object names, verified."""
        try:
            return loose.references_of(self._blobs, object_id)
        except KeyError:
            return Damaged(f"object {object_id[:16]}", "is gone")
        except Damaged as error:
            return error

    def keys_of(self, runs: Iterable[str]) -> set[str]:
        """Return the keys of all that these runs are, and those that they branch from: names and content."""
        keys: set[str] = set()
        waiting, seen = set(runs), set[str]()
        while waiting:
            run = waiting.pop()
            seen.add(run)
            if not self._repo.has_run(run):  # it parted from another, and is not here yet
                continue
            source = source_of(self._repo.records(run))
            waiting |= set(parted.family(self._blobs, source) if source else ()) - seen
            for name in names.segments(self._blobs, run):
                keys |= {layout.run_key(run, name.number), layout.segment_key(name.segment)}
                large, _ = self.objects(local_part(self._repo, name.segment).refers)
                keys.update(map(layout.object_key, large))
        return keys

    def _large(self) -> set[str]:
        if self._loose is None:
            self._loose = {"".join(key.split("/")[1:]) for key in self._blobs.keys(layout.OBJECTS)}
        return self._loose


def _is_all(parts: Sequence[Part], segments: Sequence[names.SegmentName]) -> bool:
    """Tell whether one part is a whole run: most are, and need not be read twice."""
    return len(parts) == len(segments) == 1 and bool(parts[0].records) and parts[0].records[0].parent is None


def _head_of(start: object) -> str:
    return str((start.source or {}).get("head")) if isinstance(start, Start) else ""
