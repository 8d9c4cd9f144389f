"""From here to a remote: objects, segments, then names, runs last.

Owns: what is sent, and in which order. Names are made there by `publishing`; what is second there gives way here, after
all else has gone. Interrupted, it is simply done again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kitaru.errors import KitaruError, NotExclusive
from kitaru.store import layout, names
from kitaru.store.kinds import FLOWS, KINDS, PARTED, PRUNED, QUEUE, RUNS, parse
from kitaru.store.sync import parting
from kitaru.store.sync import sight as sights
from kitaru.store.sync.conflicts import HELD
from kitaru.store.sync.guarding import Guard
from kitaru.store.sync.job import Job, Pair, job
from kitaru.store.sync.outgoing import Outgoing, RunHere
from kitaru.store.sync.publishing import Publishing
from kitaru.store.sync.pull import OF_FLOWS, OF_RUNS, Pulling
from kitaru.store.sync.results import Outcome, PullChoice, PushChoice, RunMoved
from kitaru.store.sync.sending import Content

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from kitaru.blobs.contract import RemoteBlobs
    from kitaru.store.kinds import Key
    from kitaru.store.sync.sight import Sight


def push(pair: Pair, choose: PushChoice | None = None, *, dry_run: bool = False, unsafe: bool = False) -> Outcome:
    """Send what this store has and a remote has not. A remote that is empty becomes a store.

    Args:
        pair: the two.
        choose: what to send; by default what is finished or waiting, and every other name.
        dry_run: only find out what would be sent.
        unsafe: send even where nobody can tell who of two writers was first.

    Returns:
        What was sent. Its `error()` is what the push ends with: all else has been done.

    Raises:
        UnknownFormat: that is no store, or one of another version.
        NotExclusive: see `unsafe`.
        RemoteError: the remote said no, or nothing. What was sent until then is whole.
    """
    tracking, remote = pair.tracking, pair.remote
    with job(pair) as todo:
        guard = Guard(pair.repo, todo.transfer, tracking)  # before anything is found there
        theirs = todo.look()
        pushing = Pushing(todo, choose or PushChoice(), theirs, guard)
        if dry_run:
            todo.outcome.dry_run = True
            pushing.foretell()
        else:
            if not tracking.exclusive:
                # Tried out even where anything is to be sent anyhow: what is not exclusive looks before it writes then.
                tracking.exclusive = remote.is_exclusive()
            if not (tracking.exclusive or unsafe):
                raise _not_exclusive(remote)
            if not theirs.is_store:
                sights.initialise(todo.transfer)
            pushing.all()
    return todo.outcome


def _not_exclusive(remote: RemoteBlobs) -> NotExclusive:
    return NotExclusive(
        f"{remote.url} cannot tell who of two writers was first, so one could lose a run",
        hint="kitaru push --unsafe, if you are the only one who pushes there",
    )


class Pushing:
    """One push.

    Args:
        todo: what is brought together.
        choose: what is wanted.
        theirs: the remote's names.
        guard: sees to it that no gc there takes away what is relied on.
    """

    def __init__(self, todo: Job, choose: PushChoice, theirs: Sight, guard: Guard) -> None:
        self._todo, self._repo, self._blobs, self._transfer = todo, todo.repo, todo.repo.blobs, todo.transfer
        self._tracking, self._outcome, self._choose = todo.tracking, todo.outcome, choose
        self._theirs, self._ours, self._guard = theirs, sights.here(todo.repo.blobs), guard
        self._publishing = Publishing(todo, theirs)
        self._parting = self._publishing.parting
        self._parted: set[str] = set()  # those of them whose continuation is there as a run of its own
        self._late: dict[str, RunHere] = {}  # runs that branch from one that is to part

    def foretell(self) -> None:
        """Tell what would be sent."""
        outgoing = self._outgoing()
        runs = outgoing.runs(self._choose, dry_run=True)
        for run in runs:
            self._outcome.runs.append(RunMoved(run.run, run.flow, run.known == 0, len(run.parts)))
        for key in self._fitting(outgoing, self._names(runs, self._choose)):
            if key.key not in self._theirs.names:
                self._outcome.count(key.kind.directory)

    def all(self) -> None:
        """Send what is wanted; then let what was second here give way."""
        self._send(self._choose)
        tried: set[str] = set()
        while waiting := sorted(self._parting.keys() - tried):
            tried.update(waiting)
            new = self._part(waiting)
            self._ours = sights.here(self._blobs)
            self._send_runs(new.values())
            self._parted.update(new)
            late, self._late = self._late, {}
            self._send_runs(late)
        for run, branch in self._late.items():
            self._outcome.skip(run, f"branches from run {branch.source}, which waits")
        again = self._asked_again()
        if again:
            self._guard.relies_on((), again)
        self._guard.settle(self._keys_of, anyway=bool(again))
        self._give_way()

    def _asked_again(self) -> set[str]:
        """Return the runs there that were asked for with nothing new: somebody wants to know that they are whole."""
        pruned = {key.owner for key in self._theirs.names.values() if key.kind is PRUNED}
        asked = set(self._repo.run_ids() if self._choose.everything else self._choose.runs)
        moved = {run.run for run in self._outcome.runs} | self._parting.keys() | pruned
        return {run for run in asked - moved if layout.run_key(run, 1) in self._theirs.names}

    def _keys_of(self, runs: Iterable[str]) -> set[str]:
        """Return the keys of all that runs are; of one that is damaged here, or gone by now, none."""
        found, outgoing = set[str](), self._outgoing()
        for run in runs:
            try:
                found |= outgoing.keys_of([run])
            except (KitaruError, KeyError) as error:
                self._outcome.skip(run, error.message if isinstance(error, KitaruError) else "is damaged here")
        return found

    def _outgoing(self) -> Outgoing:
        return Outgoing(self._repo, self._ours, self._theirs, self._outcome, self._transfer.remote)

    def _send_runs(self, runs: Collection[str]) -> None:
        if runs:
            self._send(PushChoice(runs=tuple(runs)))

    def _send(self, choose: PushChoice) -> None:
        outgoing = self._outgoing()
        runs = outgoing.runs(choose, dry_run=False)
        wanted = self._fitting(outgoing, self._names(runs, choose))
        self._publishing.compare(self._common(runs, choose))
        self._settle(runs, wanted)
        runs, wanted = Content(self._repo, self._transfer, self._outcome, outgoing).send(runs, wanted, self._known())
        if runs or wanted:
            self._guard.relies_on(self._outcome.reached, (run.run for run in runs))
        for kind in KINDS:
            group = [key for key in wanted if key.kind is kind]
            if kind is FLOWS:
                self._publishing.versions(group)
            elif kind is not RUNS:
                self._publishing.publish(group)
        self._todo.anchor()
        self._runs(runs)

    def _common(self, runs: Iterable[RunHere], choose: PushChoice) -> list[Key]:
        """Return the names of segments that both have: of a run, too, that is as long there as it is here."""
        limited = choose.runs or choose.flow
        asked = choose.runs if limited else (key.owner for key in self._ours.names.values())
        wanted = {*asked, *(run.run for run in runs)}
        common = [key for key in self._ours.names.values() if key.kind is RUNS and key.key in self._theirs.names]
        return [key for key in common if key.owner in wanted]

    # -- what is wanted ------------------------------------------------------------------------------------------

    def _names(self, runs: Iterable[RunHere], choose: PushChoice) -> list[Key]:
        """Return the names to be sent, less those of segments."""
        sent = {run.run for run in runs}
        there = {key.owner for key in self._theirs.names.values() if key.kind in (RUNS, QUEUE)}
        there |= {key.owner for key in self._ours.names.values() if key.kind is QUEUE}  # they go, begun or not
        flows = {run.flow for run in runs}
        wanted = []
        for key in self._ours.names.values():
            if key.kind is RUNS or key.key in self._tracking.same:
                continue
            if key.kind in OF_RUNS:
                of = {key.owner, key.key.rpartition("/")[2]} if key.kind is PARTED else {key.owner}
                limits = sent | set(choose.runs) if choose.runs or choose.flow else sent | there
                ok = (key.kind in (PRUNED, QUEUE) and not (choose.runs or choose.flow)) or not of.isdisjoint(limits)
            elif choose.flow:
                ok = key.kind in OF_FLOWS and key.owner == choose.flow
            else:
                ok = not choose.runs or (key.kind is FLOWS and key.owner in flows)
            if ok:
                wanted.append(key)
        return wanted

    def _fitting(self, outgoing: Outgoing, wanted: Iterable[Key]) -> list[Key]:
        """Leave out the names that can have no key there."""
        fitting = []
        for key in wanted:
            if too_long := outgoing.too_long(key.key):
                self._outcome.skip(key.key, f"its name is too long: {too_long}")
            else:
                fitting.append(key)
        return fitting

    def _known(self) -> set[str]:
        """Return the ids of flow versions that are there for certain, with all that they are."""
        known = set()
        for key in self._ours.names.values():
            if key.kind is FLOWS and key.key in self._tracking.same:
                known.add(names.version(self._blobs, key.owner, key.number).id)
        return known

    def _settle(self, runs: Iterable[RunHere], wanted: Iterable[Key]) -> None:
        """Make durable what is to be sent: nobody else is told of what could be gone here tomorrow."""
        directories = {key.key.rpartition("/")[0]: key.key for key in wanted}
        directories |= {layout.run_key(run.run): layout.run_key(run.run, 1) for run in runs}
        self._transfer.each(self._blobs.settle, directories.values())

    # -- runs ------------------------------------------------------------------------------------------------------

    def _runs(self, runs: list[RunHere]) -> None:
        """Name runs there, those that others branch from first."""
        waiting, done = list(runs), set[str]()
        while waiting:
            now = [run for run in waiting if run.source not in {other.run for other in waiting} - done]
            now = now or waiting
            self._transfer.each(self._name_run, now)
            done |= {run.run for run in now}
            waiting = [run for run in waiting if run.run not in done]

    def _name_run(self, run: RunHere) -> None:
        if run.source in self._parting.keys() - self._parted or run.source in self._late:
            self._late[run.run] = run
            return
        made = 0
        for number in range(run.known + 1, run.known + 1 + len(run.parts)):
            if number >= self._parting.get(run.run, number + 1):
                break
            key = layout.run_key(run.run, number)
            if not self._publishing.claim(parse(key)):
                break
            made += 1
        if made:
            self._outcome.runs.append(RunMoved(run.run, run.flow, run.known == 0, made))

    # -- what was second ---------------------------------------------------------------------------------------------

    def _part(self, runs: Iterable[str]) -> dict[str, str]:
        """Make what was recorded here of runs that were continued there runs of their own; return what these are."""
        new = {}
        for run in runs:
            with parting.held(self._repo, run) as ok:
                if ok:
                    parting.seal(self._repo, run)
                    new[run] = parting.part(self._repo, run, self._parting[run])
                else:
                    self._outcome.skip(run, HELD)
        return new

    def _give_way(self) -> None:
        """Let what stands there take the place of what was second here, now that all of ours is there."""
        second = self._publishing.second
        if not (second or self._parting):
            return
        self._todo.anchor()  # else what was just pushed would have to be compared again
        theirs = self._todo.look()
        taken = Outcome()
        pulling = Pulling(replace(self._todo, outcome=taken), PullChoice(), theirs)
        flows = {key.owner for key in second.values() if key.kind is FLOWS}
        logs = {key.log for key in second.values() if key.kind.is_log and key.kind is not RUNS}
        pulling.names(
            key
            for key in theirs.names.values()
            if (key.key in second and key.kind is not RUNS)
            or (key.kind is FLOWS and key.owner in flows)
            or (key.kind is not FLOWS and key.log in logs)
        )
        pulling.runs(sorted({run for run in self._parting if layout.run_key(run, 1) in theirs.names}))
        self._outcome.give_way(taken)
