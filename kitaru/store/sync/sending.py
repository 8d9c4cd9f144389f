"""Content that goes to a remote: large objects and segments, before any name reaches them.

Owns: what is sent and what is found there. Knows nothing of names there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import Damaged
from kitaru.store import layout, parted
from kitaru.store.kinds import is_unbroken, reached, read
from kitaru.store.sync.placing import must_get

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kitaru.store.kinds import Key
    from kitaru.store.repository import Repository
    from kitaru.store.sync.outgoing import Outgoing, RunHere
    from kitaru.store.sync.results import Outcome
    from kitaru.store.sync.transfer import Transfer


class Content:
    """Sends content.

    Args:
        repo: the store.
        transfer: the remote.
        outcome: takes what is skipped, for something of it is damaged here.
        outgoing: knows what leads to what.
    """

    def __init__(self, repo: Repository, transfer: Transfer, outcome: Outcome, outgoing: Outgoing) -> None:
        self._repo, self._blobs, self._transfer = repo, repo.blobs, transfer
        self._outcome, self._outgoing = outcome, outgoing

    def send(self, runs: list[RunHere], wanted: list[Key], known: set[str]) -> tuple[list[RunHere], list[Key]]:
        """Send what runs and names reach; return those of which all is there.

        Args:
            runs: with their segments.
            wanted: other names.
            known: ids of values that are there for certain, with all that they name.
        """
        of_runs = {run.run: run.refers - known for run in runs}
        values = [(key.key, self._values(key)) for key in wanted]
        of_names = {key: found - known for key, found in values if found is not None}
        wanted = self._unbroken(wanted, [key for key in wanted if key.key not in of_names])
        everything = set().union(*of_runs.values(), *of_names.values())
        objects, wrong = self._outgoing.objects(everything)
        if wrong:
            runs = self._with_sources(runs, {run.run for run in runs if not self._is_whole(run.run, of_runs[run.run])})
            wanted = self._unbroken(wanted, [key for key in wanted if not self._is_whole(key.key, of_names[key.key])])
            ids = [of_runs[run.run] for run in runs] + [of_names[key.key] for key in wanted]
            objects, _ = self._outgoing.objects(set().union(*ids))
        self._send_objects(objects)
        self._send_segments({segment for run in runs for segment in run.parts})
        return runs, wanted

    def _values(self, key: Key) -> set[str] | None:
        """Return the ids of the values that a name names; None where it is damaged here."""
        if key.kind.reaches is None:
            return set()
        try:
            return set(reached(key, read(key, must_get(self._blobs, key.key), self._blobs.where(key.key))))
        except Damaged as error:
            self._outcome.skip(key.key, error.message)
            return None

    def _is_whole(self, what: str, ids: set[str]) -> bool:
        _, wrong = self._outgoing.objects(ids)
        for error in wrong.values():
            self._outcome.skip(what, error.message)
        return not wrong

    def _unbroken(self, wanted: list[Key], left: list[Key]) -> list[Key]:
        """Leave out names, and the entries of a log behind one that is left out."""
        ends = {key.log: key.number for key in sorted(left, key=lambda key: -key.number) if is_unbroken(key.kind)}
        return [key for key in wanted if key not in left and key.number < ends.get(key.log, key.number + 1)]

    def _with_sources(self, runs: list[RunHere], left: set[str]) -> list[RunHere]:
        """Leave out runs, and those that branch from one that is left out."""
        going = []
        for run in runs:  # sources first
            source = run.source and left.intersection(parted.family(self._blobs, run.source))
            if source:
                self._outcome.skip(run.run, f"branches from run {min(source)}, which cannot go")
                left.add(run.run)
            elif run.run not in left:
                going.append(run)
        return going

    def _send_objects(self, objects: Iterable[str]) -> None:
        keys = {layout.object_key(object_id) for object_id in objects}
        there = self._transfer.there(keys)
        missing = sorted(keys - there)
        self._transfer.expect(len(missing), sum(self._blobs.size(key) for key in missing))
        self._outcome.reached |= keys
        self._transfer.each(self._send_object, missing)

    def _send_object(self, key: str) -> bool:
        data = self._blobs.view(key)
        return self._transfer.create(key, data, len(data))

    def _send_segments(self, segments: Iterable[str]) -> None:
        wanted = sorted(segments)
        self._transfer.expect(len(wanted), 0)
        self._outcome.reached.update(map(layout.segment_key, wanted))
        self._transfer.each(self._send_segment, wanted)

    def _send_segment(self, segment: str) -> bool:
        data = self._repo.segments.find(segment).data
        return self._transfer.create(layout.segment_key(segment), data, len(data))
