"""Names of ours that were second: what stands on a remote takes their place, and nothing of ours is thrown away.

Owns: what that means for each kind of name. Who lost is told. Knows nothing of where the winner's bytes came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.model.records import Resumed, Start
from kitaru.store import layout, names
from kitaru.store.catalog import Catalog
from kitaru.store.kinds import ANSWERS, PRUNED, Key, parse
from kitaru.store.sync import numbering, parting
from kitaru.store.sync.placing import must_get, put_away
from kitaru.store.sync.results import Lost, Parted, VersionMoved

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.store.sync.content import Part
    from kitaru.store.sync.incoming import RunThere
    from kitaru.store.sync.job import Job
    from kitaru.store.sync.placing import Placing

HELD = "is being executed here"


class Conflicts:
    """Lets what a remote has stand.

    Args:
        todo: what is brought together.
    """

    def __init__(self, todo: Job) -> None:
        self._repo, self._blobs = todo.repo, todo.repo.blobs
        self._tracking, self._outcome = todo.tracking, todo.outcome

    def versions(self, flow: str, theirs: Mapping[int, bytes]) -> list[VersionMoved]:
        """Let a flow's versions have the numbers that they have there; return those of ours that have another now."""
        moved = numbering.fit(self._repo, flow, theirs)
        for number in theirs:
            self._tracking.match(layout.flow_key(flow, number))
        return moved

    # -- answers and others ------------------------------------------------------------------------------------------

    def resolve(self, key: Key, theirs: bytes) -> bool:
        """Let a name of a remote stand where ours is another; False where that has to wait for a run executing here."""
        if key.kind is ANSWERS:
            return self._answer(key, theirs)
        if key.kind.is_log:
            for later in self._later(key):
                put_away(self._repo, later)
        else:
            put_away(self._repo, key.key)
        self._stand(key, theirs)
        return True

    def _later(self, key: Key) -> list[str]:
        """Return the entries of a log of ours from one on, the last first: they follow one that does not stand."""
        numbers = [layout.number_of(part) or 0 for part in self._blobs.children(key.log)]
        return [key.log + layout.numbered(number) for number in sorted(numbers, reverse=True) if number >= key.number]

    def _answer(self, key: Key, theirs: bytes) -> bool:
        run = key.owner
        with parting.held(self._repo, run) as ok:
            if not ok:
                self._outcome.skip(run, HELD)
                return False
            self.answered_elsewhere(key, theirs)
            put_away(self._repo, key.key)
            self._stand(key, theirs)
        return True

    def answered_elsewhere(self, key: Key, theirs: bytes) -> None:
        """Let a run that took an answer of ours part from itself there; its lock is held."""
        run, digest = key.owner, parse(key.key).key.rpartition("/")[2]
        parting.seal(self._repo, run)
        number = parting.consumed_in(self._repo, run, layout.unescape(digest))
        if number is None:
            return
        fields = names.unpack(theirs, key.kind.shape, key.key)
        self._part(run, number, Parted(run, "", number, fields["by"], "", fields["at"]))

    def _stand(self, key: Key, theirs: bytes) -> None:
        self._blobs.create(key.key, theirs)
        if key.kind is not PRUNED:  # it says the same, whoever said it first
            fields = names.unpack(theirs, key.kind.shape, key.key)
            lost = Lost(key.kind.directory, key.owner, key.key, fields.get("by", ""), fields.get("at", 0))
            self._outcome.lost.append(lost)

    # -- runs --------------------------------------------------------------------------------------------------------

    def place_run(self, run: RunThere, placing: Placing) -> int | None:
        """Make the names of a run as a remote has it, and return how many there were not before.

        What was recorded here beyond where both agree becomes a run of its own first. None where the run executes here.
        """
        with parting.held(self._repo, run.run) as ok:
            if not ok:
                self._outcome.skip(run.run, HELD)
                return None
            parting.seal(self._repo, run.run)
            ours = self._ours(run)
            for number, (mine, data) in enumerate(zip(ours, run.names, strict=True), 1):
                if mine is not None and mine != data:
                    self._part(run.run, number, _theirs(run, number))
                    break
            made, is_new = 0, ours[:1] == [None]
            for key, data in zip(run.keys, run.names, strict=True):
                made += not self._blobs.exists(key.key)
                placing.put(key.key, data)
            if made and not is_new:
                Catalog(self._repo).forget(run.run)
            return made

    def _ours(self, run: RunThere) -> list[bytes | None]:
        there = {layout.number_of(part) for part in self._blobs.children(layout.run_key(run.run))}
        return [must_get(self._blobs, key.key) if key.number in there else None for key in run.keys]

    def _part(self, run: str, number: int, told: Parted) -> None:
        new_run = parting.part(self._repo, run, number)
        parting.give_way(self._repo, run, number)
        self._outcome.parted.append(Parted(run, new_run, number, told.by, told.host, told.at))


def _theirs(run: RunThere, number: int) -> Parted:
    """Tell who continued a run elsewhere, and when."""
    part = run.parts[number - 1]
    return Parted(run.run, "", number, _who(run, part), part.host, part.records[0].record.at)


def _who(run: RunThere, part: Part) -> str:
    for stored in [*part.records, *reversed(run.records)]:
        record = stored.record
        if isinstance(record, Start | Resumed) and record.origin:
            return str(record.origin.get("user", ""))
    return ""
