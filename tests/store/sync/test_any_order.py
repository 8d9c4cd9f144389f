"""Whatever machines do, in whatever order: when all have synced they hold the same, and nothing is lost."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kitaru.model.history import Status
from kitaru.store import layout, loose, remote_gc
from kitaru.store.gc import collect
from kitaru.store.remote_gc import Who
from kitaru.store.states import run_state
from kitaru.store.sync import PullChoice, PushChoice
from tests.store.sync.machines import ASKED, Machine, remote_damage, share

WHO = ("ana", "bob", "eve")
machines = st.integers(0, len(WHO) - 1)
picks = st.integers(0, 1000)
HOUR_US = 3_600_000_000
LARGE = bytes(range(256)) * 400


@pytest.fixture(autouse=True, scope="module")
def large():
    """Objects count as large sooner, so that values have some."""
    before, loose.LARGE = loose.LARGE, 50_000
    yield
    loose.LARGE = before


class AnyOrder(RuleBasedStateMachine):
    """Three machines, or a copy of one, and a remote; after each example all of them exchange everything."""

    @initialize()
    def begin(self):
        self.path = Path(tempfile.mkdtemp(prefix="kitaru-any-order-"))
        self.remote = share(self.path / "share")
        self.machines = [Machine(self.path / who, who, self.remote) for who in WHO]
        self.visits = 0
        self.acknowledged = {}  # each record that anybody was told to be kept, to the runs that it was in
        self.runs = 0

    def teardown(self):
        try:
            if hasattr(self, "machines"):
                self.everybody_holds_the_same()
        finally:
            shutil.rmtree(getattr(self, "path", Path("/nonexistent")), ignore_errors=True)

    # -- what anybody does -----------------------------------------------------------------------------------------

    @rule(who=machines, asks=st.booleans(), large=st.booleans(), seal=st.booleans())
    def run(self, who, asks, large, seal):
        self.runs += 1
        self.machines[who].run(f"run{self.runs}", calls=1, asks=asks, large=LARGE * large, seal=seal)
        self.acknowledge(self.machines[who])

    @rule(who=machines, pick=picks)
    def replay(self, who, pick):
        machine = self.machines[who]
        if run := self.one_of(machine, pick):
            self.runs += 1
            machine.branch(f"run{self.runs}", run, calls=1)
            self.acknowledge(machine)

    @rule(who=machines, pick=picks, said=st.sampled_from(["yes", "no"]))
    def answer(self, who, pick, said):
        machine = self.machines[who]
        if run := self.one_of(machine, pick, Status.WAITING):
            machine.answer(run, said)

    @rule(who=machines, pick=picks, ends=st.booleans(), seal=st.booleans())
    def carry_on(self, who, pick, ends, seal):
        machine = self.machines[who]
        run = self.one_of(machine, pick, Status.WAITING, answered=True)
        if run:
            machine.carry_on(run, ends=ends, seal=seal or ends)
            self.acknowledge(machine)

    @rule(who=machines, code=st.sampled_from(["x = 1", "x = 2", "x = 3"]))
    def version(self, who, code):
        self.machines[who].version(code=code)

    @rule(who=machines, pick=picks)
    def prune(self, who, pick):
        machine = self.machines[who]
        if run := self.one_of(machine, pick):
            machine.prune(run)

    @rule(who=machines)
    def collect(self, who):
        machine = self.machines[who]
        for later in range(2):
            collect(machine.repo, machine.now + later * 13 * HOUR_US, grace=12 * HOUR_US, nonce=f"{later:024x}")

    @rule(who=machines, pick=picks)
    def cancel(self, who, pick):
        machine = self.machines[who]
        if run := self.one_of(machine, pick, Status.WAITING):
            machine.repo.put_cancellation(run, by=machine.who, at=machine.tick(), reason="no need")

    @rule(who=machines, pick=picks, key=st.sampled_from("xyz"))
    def key(self, who, pick, key):
        machine = self.machines[who]
        if run := self.one_of(machine, pick):
            machine.repo.put_start_key("demo", key, run, by=machine.who, at=machine.tick())

    @precondition(lambda self: (self.remote.root / layout.FORMAT_KEY).exists())
    @rule()
    def collect_there(self):
        for _ in range(2):
            remote_gc.collect(self.remote, Who("gc", "there", self.visit), grace=0)

    @precondition(lambda self: len(self.machines) == len(WHO))
    @rule(who=machines, instead=machines)
    def copy(self, who, instead):
        """Somebody copies his store to another machine, with all that it knows, and both go on; that is the fourth."""
        shutil.copytree(self.path / WHO[who], self.path / "copy")
        self.machines.append(Machine(self.path / "copy", "copy", self.remote))
        self.machines[instead], self.machines[-1] = self.machines[-1], self.machines[instead]

    @rule(who=machines, pick=picks)
    def push_one(self, who, pick):
        machine = self.machines[who]
        if run := self.one_of(machine, pick):
            machine.push(run)

    @rule(who=machines)
    def push_everything(self, who):
        self.machines[who].push(choose=PushChoice(everything=True))

    @rule(who=machines, runs_only=st.booleans(), flow=st.sampled_from(["", "demo"]))
    def pull_some(self, who, runs_only, flow):
        self.machines[who].pull(choose=PullChoice(runs_only=runs_only, flow=flow))

    @rule(who=machines)
    def fetch(self, who):
        self.machines[who].fetch()

    @rule(who=machines)
    def push(self, who):
        self.machines[who].push()

    @rule(who=machines)
    def pull(self, who):
        self.machines[who].pull()

    @rule(who=machines)
    def forget(self, who):
        self.machines[who].tracking.forget()

    def visit(self):
        self.visits += 1
        return f"{self.visits:024x}"

    # -- what must hold --------------------------------------------------------------------------------------------

    def one_of(self, machine, pick, status=None, *, answered=False):
        """Pick a run that is in a status; `answered` one whose first question has an answer that it did not take."""
        found = []
        for run in machine.repo.run_ids():
            state, _ = run_state(machine.repo, run)
            asks = any(wait.is_open and wait.record.digest == ASKED for wait in state.waits.values())
            ok = status is None or (state.status is status and asks)
            if ok and (not answered or machine.repo.answer(run, ASKED)):
                found.append(run)
        return found[pick % len(found)] if found else None

    def acknowledge(self, machine):
        for run, ids in machine.runs().items():
            for record in ids:
                self.acknowledged.setdefault(record, set()).add(run)

    @precondition(lambda self: hasattr(self, "machines"))
    @invariant()
    def nobody_is_damaged(self):
        for machine in self.machines:
            assert machine.damage() == [], machine.who
        if (self.remote.root / layout.FORMAT_KEY).exists():
            assert remote_damage(self.remote) == []

    def everybody_holds_the_same(self):
        for _ in range(3):
            for machine in self.machines:
                for run in machine.repo.run_ids():  # what is open is sealed, so that it goes
                    machine.push(run)
                machine.pull()
                machine.push()
        for machine in self.machines:
            machine.pull()
        self.nobody_is_damaged()
        first, *rest = (machine.runs() for machine in self.machines)
        for runs in rest:
            assert runs == first
        for machine in self.machines[1:]:
            assert machine.repo.versions("demo") == self.machines[0].repo.versions("demo")
            assert answers(machine) == answers(self.machines[0])
            assert others(machine) == others(self.machines[0])
        kept = {record for ids in first.values() for record in ids}
        pruned = set(self.machines[0].repo.pruned_ids())
        assert all(record in kept or runs & pruned for record, runs in self.acknowledged.items())
        for machine in self.machines:
            assert machine.push().is_nothing and machine.pull().is_nothing


def answers(machine):
    return {run: machine.repo.answer(run, ASKED) for run in machine.repo.run_ids()}


def others(machine):
    """Requests to cancel, and keys; what is of pruned runs may be gone."""
    gone = tuple(f"{layout.CANCELS}/{run}" for run in machine.repo.pruned_ids())
    keys = [key for kind in (layout.CANCELS, layout.KEYS) for key in machine.blobs.keys(kind)]
    return {key: machine.blobs.get(key) for key in keys if key not in gone}


AnyOrder.TestCase.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyOrder = AnyOrder.TestCase


class Longer(AnyOrder):
    """The documented long form."""


Longer.TestCase.settings = settings(
    max_examples=400, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLonger = pytest.mark.long(Longer.TestCase)
