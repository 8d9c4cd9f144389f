"""From a remote to here: content first, verified, then names, runs last.

Owns: the order of a fetch and a pull. What becomes of names of ours that were second is `conflicts`. Interrupted, it is
simply done again. Nothing is ever written to the remote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged
from kitaru.store import layout, names
from kitaru.store.kinds import (
    ANSWERS,
    CANCELS,
    FLOWS,
    KEYS,
    KINDS,
    PARTED,
    PRUNED,
    QUEUE,
    ROUTES,
    RUNS,
    is_unbroken,
    reached,
    read,
)
from kitaru.store.sync import sight as sights
from kitaru.store.sync.conflicts import Conflicts
from kitaru.store.sync.content import Incoming
from kitaru.store.sync.incoming import Verifier
from kitaru.store.sync.job import Job, Pair, job
from kitaru.store.sync.placing import Placing
from kitaru.store.sync.results import Outcome, PullChoice, RunMoved, VersionMoved

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kitaru.store.kinds import Key
    from kitaru.store.sync.incoming import RunThere
    from kitaru.store.sync.sight import Sight

BATCH = 200
"""So many runs are verified before their names are made, and what was read of them is let go."""
OF_RUNS = (ANSWERS, CANCELS, PRUNED, PARTED, QUEUE)
OF_FLOWS = (FLOWS, KEYS, ROUTES)


def pull(pair: Pair, choose: PullChoice | None = None, *, dry_run: bool = False) -> Outcome:
    """Bring what a remote has and this store has not.

    Args:
        pair: the two.
        choose: what to bring; all by default.
        dry_run: only look at the names.

    Returns:
        What was brought; what is not as it should be is in `refused`, and nothing of it is visible.

    Raises:
        UnknownFormat: that is no store, or one of another version.
        RemoteError: the remote said no, or nothing. What was brought until then is whole.
        StoreError: the disk here said no.
    """
    with job(pair) as todo:
        pulling = Pulling(todo, choose or PullChoice(), todo.look())
        if dry_run:
            todo.outcome.dry_run = True
            pulling.foretell()
        else:
            pulling.all(named=True)
    return todo.outcome


def fetch(pair: Pair, choose: PullChoice | None = None) -> Outcome:
    """As `pull`, but only content is brought and tracking brought up to date: no name is made, nothing is visible."""
    with job(pair) as todo:
        Pulling(todo, choose or PullChoice(), todo.look()).all(named=False)
    return todo.outcome


class Pulling:
    """One pull.

    Args:
        todo: what is brought together.
        choose: what is wanted.
        theirs: the remote's names.
    """

    def __init__(self, todo: Job, choose: PullChoice, theirs: Sight) -> None:
        self._repo, self._blobs, self._transfer = todo.repo, todo.repo.blobs, todo.transfer
        self._tracking, self._outcome, self._at = todo.tracking, todo.outcome, todo.at
        self._choose, self._theirs = choose, theirs
        self._incoming = Incoming(todo.repo, todo.transfer)
        self._verifier = Verifier(todo, self._incoming, theirs)
        self._placing = Placing(todo.repo.blobs, todo.transfer)
        self._pruned = {key.owner for key in theirs.names.values() if key.kind is PRUNED} | set(todo.repo.pruned_ids())
        self._waiting: set[str | None] = set()  # runs that execute here, and what branches from them
        self._conflicts = Conflicts(todo)

    # -- what is wanted ------------------------------------------------------------------------------------------

    def all(self, *, named: bool) -> None:
        """Bring what is wanted; with `named` False only content."""
        choose = self._choose
        if not (choose.runs or choose.flow or choose.since_us is not None):
            self.names([key for key in self._theirs.names.values() if key.kind is not RUNS], named=named)
        elif choose.flow:
            self.names(self._of_flow(choose.flow), named=named)
        runs = self._news()
        self._transfer.expect(len(runs), 0)
        for first in range(0, len(runs), BATCH):
            self.runs(runs[first : first + BATCH], named=named)

    def foretell(self) -> None:
        """Tell what would be brought, by the names alone."""
        ours = sights.here(self._blobs)
        for run in self._news():
            more = sum(key.key not in ours.names for key in self._theirs.run(run))
            self._outcome.runs.append(RunMoved(run, "", layout.run_key(run, 1) not in ours.names, more))
        for key in self._theirs.names.values():
            if key.kind is not RUNS and key.key not in ours.names:
                self._outcome.count(key.kind.directory)

    def _of_flow(self, flow: str) -> list[Key]:
        return [key for key in self._theirs.names.values() if key.kind in OF_FLOWS and key.owner == flow]

    def _of_run(self, run: str) -> list[Key]:
        return [key for key in self._theirs.names.values() if key.kind in OF_RUNS and key.owner == run]

    def _news(self) -> list[str]:
        """Return the runs of which the remote has a name that is not known to be the same here."""
        same, chosen = self._tracking.same, set(self._choose.runs)
        found = {key.owner for key in self._theirs.names.values() if key.kind is RUNS and key.key not in same}
        return sorted(run for run in found if run not in self._pruned and (not chosen or run in chosen))

    # -- names other than those of segments ------------------------------------------------------------------------

    def names(self, keys: Iterable[Key], *, named: bool = True) -> None:
        """Bring names, with the values that they name."""
        wanted = [key for key in keys if key.key not in self._tracking.same and not self._is_over(key)]
        found = [(key, data) for key, data in zip(wanted, self._transfer.each(self._read, wanted), strict=True) if data]
        whole = self._unbroken(wanted, self._with_values(found))
        if not named:
            return
        self._note_origins([str(fields["id"]) for key, _, fields in whole if key.kind is FLOWS])
        for kind in KINDS:
            group = [(key, data) for key, data, _ in whole if key.kind is kind]
            if kind is FLOWS:
                self._versions(group)
            elif group:
                self._put(group)

    def _is_over(self, key: Key) -> bool:
        """Tell whether a name is of a run that was pruned, and is not needed here: gc removes it."""
        of_run = key.kind in OF_RUNS and key.kind is not PRUNED
        return of_run and key.owner in self._pruned and not self._repo.has_run(key.owner)

    def _read(self, key: Key) -> bytes | None:
        try:
            return self._transfer.get(key.key, names.MAX_NAME)
        except KeyError:  # gc there was faster
            return None
        except Damaged as error:
            self._outcome.refuse(key.key, error)
            return None

    def _with_values(self, found: list[tuple[Key, bytes]]) -> list[tuple[Key, bytes, dict[str, Any]]]:
        """Fetch what names name, and return those of which all is here."""
        read_: list[tuple[Key, bytes, dict[str, Any]]] = []
        for key, data in found:
            try:
                read_.append((key, data, read(key, data, self._transfer.remote.where(key.key))))
            except Damaged as error:
                self._outcome.refuse(key.key, error)
        values = {key.key: set(reached(key, fields)) for key, _, fields in read_}
        failed = self._incoming.objects({value for of_name in values.values() for value in of_name})
        whole = []
        for name in read_:
            lacking = [i for value in values[name[0].key] for i in self._incoming.closure(value) if i in failed]
            if lacking:
                self._outcome.refuse(name[0].key, failed[lacking[0]])
            else:
                whole.append(name)
        self._incoming.settle()
        return whole

    def _unbroken(
        self, wanted: list[Key], whole: list[tuple[Key, bytes, dict[str, Any]]]
    ) -> list[tuple[Key, bytes, dict[str, Any]]]:
        """Leave out the entries of a log behind one that did not come: here it is read without a gap."""
        came = {key.key for key, _, _ in whole}
        breaks: dict[str, int] = {}
        for key in wanted:
            if is_unbroken(key.kind) and key.key not in came:
                breaks[key.log] = min(key.number, breaks.get(key.log, key.number))
        for key, _, _ in whole:
            if key.number > breaks.get(key.log, key.number):
                self._outcome.refuse(key.key, f"entry {breaks[key.log]} of {key.log} did not come, which is before it")
        return [name for name in whole if name[0].number <= breaks.get(name[0].log, name[0].number)]

    def _versions(self, group: list[tuple[Key, bytes]]) -> None:
        flows: dict[str, dict[int, bytes]] = {}
        for key, data in group:
            flows.setdefault(key.owner, {})[key.number] = data
        for flow, theirs in flows.items():
            before = {name.id for name in self._repo.versions(flow)}
            self._outcome.versions += self._conflicts.versions(flow, theirs)
            for number, data in theirs.items():
                name = names.unpack(data, names.VERSION_SHAPE, "")
                if name["id"] not in before:
                    self._outcome.versions.append(VersionMoved(flow, number, name["id"]))

    def _put(self, group: list[tuple[Key, bytes]]) -> None:
        """Make names of one kind; where another is, ours was second."""
        new = {key.key for key, _ in group if not self._blobs.exists(key.key)}
        taken = set(self._placing.put_all((key.key, data) for key, data in group))
        self._placing.settle()
        for key, data in group:
            if key.key not in taken or self._conflicts.resolve(key, data):
                self._tracking.match(key.key)
                if key.key in new:
                    self._outcome.count(key.kind.directory)

    def _note_origins(self, versions: Iterable[str]) -> None:
        """Note where versions came from before anything names them: whose code is executed depends on it."""
        here = {name.id for flow in self._repo.flows() for name in self._repo.versions(flow)}
        new = sorted(set(versions) - here)
        if new:
            self._repo.trust.came_from(new, self._tracking.name, self._tracking.place, self._at)

    # -- runs --------------------------------------------------------------------------------------------------------

    def runs(self, wanted: Sequence[str], *, named: bool = True) -> None:
        """Bring runs, with all that they reach."""
        loaded = self._verifier.load(wanted)
        loaded = self._chosen(loaded, wanted)
        whole = self._verifier.objects(loaded, large=not self._choose.runs_only)
        for run, error in self._verifier.refused.items():
            self._outcome.refuse(run, error)
        self._verifier.refused.clear()
        self._incoming.settle()
        if not named:
            return
        self._names_of(whole)
        self._note_origins({version for run in whole for version in run.versions()})
        for level in _levels(whole):
            self._place(level)

    def _chosen(self, loaded: list[RunThere], wanted: Sequence[str]) -> list[RunThere]:
        """Leave out the runs that are not of the flow or the time that was asked for, and nobody's source."""
        choose = self._choose
        asked = {
            run.run
            for run in loaded
            if run.run in wanted
            and (not choose.flow or run.start.flow == choose.flow)
            and (choose.since_us is None or run.start.at >= choose.since_us or self._repo.has_run(run.run))
        }
        for run in reversed(loaded):
            if run.run in asked and run.source:
                asked.add(run.source)
        return [run for run in loaded if run.run in asked]

    def _names_of(self, runs: list[RunThere]) -> None:
        """Bring the other names of runs, where not all names are wanted."""
        choose = self._choose
        if choose.runs or choose.flow or choose.since_us is not None:
            flows = {run.start.flow for run in runs}
            self.names(key for flow in sorted(flows) for key in self._of_flow(flow) if key.kind is FLOWS)
            self.names(key for run in runs for key in self._of_run(run.run))

    def _place(self, runs: list[RunThere]) -> None:
        ours = {run.run: self._blobs.exists(layout.run_key(run.run, 1)) for run in runs}
        if self._choose.runs_only:
            mark = self._repo.partial.mark
            for run in runs:
                mark(run.run, remote=self._tracking.name, url=self._tracking.place, at=self._at)
        placed = []
        for run in runs:
            made = None if run.source in self._waiting else self._conflicts.place_run(run, self._placing)
            if made is None:
                self._waiting.add(run.run)
                continue
            placed += [key.key for key in run.keys]
            if made:
                self._outcome.runs.append(RunMoved(run.run, run.start.flow, not ours[run.run], made))
        self._placing.settle()
        for key in placed:
            self._tracking.match(key)


def _levels(runs: list[RunThere]) -> Iterator[list[RunThere]]:
    """Yield runs so that those that others branch from come before these."""
    depth: dict[str, int] = {}
    for run in runs:  # sources first
        depth[run.run] = depth.get(run.source or "", -1) + 1
    for level in range(max(depth.values(), default=-1) + 1):
        yield [run for run in runs if depth[run.run] == level]
