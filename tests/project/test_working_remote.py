"""A worker that works for a team, in this process: what it pulls, claims, carries on, pushes, and what it rests for."""

from __future__ import annotations

import pytest

import kitaru
from kitaru import flow
from kitaru.blobs.folder import FolderBlobs
from kitaru.errors import UnknownRemote
from kitaru.model.records import Answer, Resumed, Wait
from kitaru.project import Project
from kitaru.project.due import Due
from kitaru.project.working import Carried, NotNowError, Told, Work
from kitaru.project.working_here import LocalWork
from kitaru.project.working_remote import RemoteWork
from kitaru.store import claims, layout, names
from kitaru.store.invocations import Invocation, put_invocation
from kitaru.store.sync import Pair, pull, push
from kitaru.store.sync.results import PushChoice
from kitaru.store.sync.tracking import Tracking
from kitaru.store.trust import VERSIONS
from kitaru.testing import FixedClock, fixed_services


def asking():
    @flow
    def body():
        return kitaru.wait("approve")

    return body


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Machine:
    """A project of its own, and a user, who shares a folder with others."""

    def __init__(self, root, name, clock):
        Project.init(root / name)
        services = fixed_services(clock, seed=name)
        self.project = Project.open(root / name, services=services)
        object.__setattr__(services, "user", name)
        self.remote = self.project.add_remote("team", str(root / "shared"))
        self.carried, self.handed, self.code = [], [], 0

    def run(self, code):
        return self.project.run(code, {}, foreground=True).exec_id

    def answer(self, run):
        self.project.answer(run, None, True, resume=False)

    @property
    def tracking(self):
        return Tracking.open(self.project.repo.blobs, "team", self.remote.place)

    @property
    def pair(self):
        return Pair(self.project.repo, self.remote.connect(), self.tracking, 9)

    def push(self, *runs):
        return push(self.pair, PushChoice(runs=runs))

    def pull(self):
        return pull(self.pair)

    def trusts(self, run):
        version = self.project.state(run).version["id"]
        self.project.repo.trust.decide(VERSIONS, version, trusted=True, at=1, by="")

    def carry(self, due, claim):
        """Carry a run on in this process, once its end is waited for."""
        self.carried.append(due.run)
        self.handed.append(claim)

        def wait():
            if not self.code:
                self.project.resume(due.run, offline=True, foreground=True)
            return self.code, ""

        return wait

    def worker(self, clock=None, **options):
        team = RemoteWork(self.project, "team", self.carry, poll_s=5, clock=clock or Clock())
        return team, Work(self.project, start=team.start, before=team.before, clock=clock or Clock(), **options)

    def work_once(self, **options):
        return list(self.worker(**options)[1].carry(once=True))

    def status(self, run):
        return str(self.project.state(run).status)


@pytest.fixture
def machines(tmp_path):
    clock = FixedClock()
    return [Machine(tmp_path, name, clock) for name in ("ann", "bob", "cem")]


@pytest.fixture
def shared(tmp_path):
    return FolderBlobs(tmp_path / "shared")


def ends(told):
    return [(t.due.run, t.due.why, t.status) for t in told if isinstance(t, Carried)]


def said(told):
    return [(t.kind, t.run) for t in told if isinstance(t, Told)]


def test_what_another_pushed_is_pulled_carried_on_and_pushed(machines):
    ann, bob, _ = machines
    code = asking()
    run = ann.run(code)
    ann.answer(run)
    ann.push()
    assert said(bob.work_once()) == [("pulled", ""), ("untrusted", "")]
    bob.trusts(run)
    told = bob.work_once()
    assert ends(told) == [(run, "answered", "completed")]
    assert said(told) == [("pushed", run)]
    (claim,) = bob.handed
    assert (claim.run, claim.remote, claim.segment) == (run, "team", 2)
    ann.pull()
    assert ann.status(run) == "completed"
    assert ann.work_once() == []


def test_an_answer_that_came_with_a_pull_counts_as_one_given_here(machines):
    ann, bob, _ = machines
    code = asking()
    run = ann.run(code)
    ann.push()
    bob.pull()
    bob.answer(run)
    bob.push()
    told = ann.work_once()
    assert ends(told) == [(run, "answered", "completed")]
    assert ann.project.state(run).waits
    assert [view.answer.by for view in ann.project.state(run).waits.values()] == ["bob"]


def test_what_is_not_on_the_remote_is_carried_on_as_ever_and_stays_here(machines, shared):
    ann, _, _ = machines
    code = asking()
    run = ann.run(code)
    ann.answer(run)
    assert ends(ann.work_once()) == [(run, "answered", "completed")]
    assert ann.handed == [None]
    assert not shared.exists(layout.run_key(run, 1))


def test_what_another_machine_has_claimed_rests_for_as_long_as_that_counts(machines, shared):
    ann, _, _ = machines
    code, clock = asking(), Clock()
    run = ann.run(code)
    ann.answer(run)
    ann.push()
    holder = claims.Holder("bobs", "bob", "h", lambda: 1)
    claim = claims.take(
        shared, run, [name.segment for name in names.segments(ann.project.repo.blobs, run)], holder, same=1
    )
    team, worker = ann.worker(clock)
    assert list(worker.carry(once=True)) == []
    assert worker.due() == []
    clock.now += 61
    assert [due.run for due in worker.due()] == [run]
    claim.release()
    assert ends(worker.carry(once=True)) == [(run, "answered", "completed")]
    assert team.trouble is None


def test_what_another_machine_has_carried_on_is_pulled_and_not_done_again(machines, shared):
    ann, bob, _ = machines
    code, clock = asking(), Clock()
    run = ann.run(code)
    ann.answer(run)
    ann.push()
    _, worker = ann.worker(clock)
    told = worker.carry()
    bob.pull()
    bob.trusts(run)

    def carry_on_there(key, data, create=FolderBlobs.create):
        if key.startswith("claims/") and not bob.carried:
            bob.carried.append(run)
            bob.project.resume(run, offline=True, foreground=True)
            bob.push()
        return create(shared, key, data)

    ann_team = worker._before.__self__
    ann_team._blobs.create = carry_on_there
    told = list(worker.carry(once=True))
    assert ends(told) == []
    assert ann.carried == []
    clock.now += 6
    assert said(worker.carry(once=True)) == [("pulled", "")]
    assert ann.status(run) == "completed"


def test_untrusted_code_is_told_of_once_and_taken_up_once_it_is_trusted(machines):
    ann, bob, _ = machines
    code, clock = asking(), Clock()
    runs = [ann.run(code) for _ in range(3)]
    for run in runs:
        ann.answer(run)
    ann.push()
    _, worker = bob.worker(clock)
    told = list(worker.carry(once=True))
    assert [t.hint for t in told if t.kind == "untrusted"] == ["kitaru trust body@v1"]
    for _ in range(3):
        clock.now += 6
        assert list(worker.carry(once=True)) == []
    bob.trusts(runs[0])
    clock.now += 6
    assert sorted(run for run, _, _ in ends(worker.carry(once=True))) == sorted(runs)


def test_a_remote_that_fails_is_told_of_once_and_asked_later_and_later(machines, tmp_path):
    ann, _, _ = machines
    ann.push()
    code, clock = asking(), Clock()
    team, worker = ann.worker(clock)
    (tmp_path / "shared").rename(tmp_path / "away")
    (tmp_path / "shared").write_text("a share that is not mounted")
    here = ann.run(code)
    ann.answer(here)
    told = list(worker.carry(once=True))
    assert [t.kind for t in told if isinstance(t, Told)] == ["trouble"]
    assert ends(told) == [(here, "answered", "completed")]
    assert team.trouble is not None
    rests = []
    for _ in range(8):
        rests.append(team._retry_at - clock.now)
        clock.now = team._retry_at
        assert list(worker.carry(once=True)) == []
    assert rests == [10, 20, 40, 80, 160, 300, 300, 300]
    (tmp_path / "shared").unlink()
    (tmp_path / "away").rename(tmp_path / "shared")
    clock.now = team._retry_at
    assert list(worker.carry(once=True)) == []
    assert team.trouble is None


def test_a_restarted_worker_pushes_what_the_one_before_left(machines, shared):
    ann, _, _ = machines
    code = asking()
    run = ann.run(code)
    ann.push()
    ann.project.answer(run, None, True, offline=True, foreground=True)
    told = ann.work_once()
    assert said(told) == [("pushed", run)]
    assert shared.exists(layout.run_key(run, 2))


def test_a_claim_is_given_back_where_the_run_came_no_further(machines, shared):
    ann, _, _ = machines
    code = asking()
    run = ann.run(code)
    ann.answer(run)
    ann.push()
    ann.code = 1
    (end,) = [told for told in ann.work_once() if isinstance(told, Carried)]
    assert (end.code, end.again_s) == (1, 2)
    assert claims.standing(shared, run, 2).left_us == 0


def test_two_that_both_carried_a_run_on_are_told(machines):
    ann, bob, _ = machines
    code, clock = asking(), Clock()
    run = ann.run(code)
    ann.answer(run)
    ann.push()
    bob.pull()
    bob.project.resume(run, offline=True, foreground=True)

    def carry(due, claim, carry=ann.carry):
        bob.push()  # whose claim had run out
        return carry(due, claim)

    ann.carry = carry
    told = ann.work_once(clock=clock)
    assert ("diverged", run) in said(told)
    assert ends(told) == [(run, "answered", "completed")]


def test_there_must_be_such_a_remote(machines):
    ann, _, _ = machines
    with pytest.raises(UnknownRemote):
        RemoteWork(ann.project, "nowhere", ann.carry)


def queue(machine):
    """Queue an invocation whose run is to be called q1."""
    project = machine.project
    encoded = project.values.encode({}, frozenset(), "inputs")
    project.repo.put_objects(encoded.objects)
    put_invocation(project.repo.blobs, Invocation("q1", "body@latest", "body", encoded.id, nonce="n"))


@pytest.mark.parametrize("known", [True, False], ids=["queued there", "queued here only"])
def test_what_is_queued_there_is_claimed_and_pushed_and_what_is_queued_here_only_stays(machines, shared, known):
    ann, _, _ = machines
    ann.push()
    queue(ann)
    if known:
        ann.push()
    team, _ = ann.worker()
    team._carry = lambda due, claim: lambda: (0 if claim else 1, "")
    code, _ = team.start(Due("q1", "body", "queued", ()))()
    assert code == (0 if known else 1)
    assert (claims.standing(shared, "q1", 1) is not None) == known


def test_a_worker_that_was_told_of_no_remote_leaves_what_is_queued_there(machines):
    ann, _, _ = machines
    here = LocalWork(ann.project, ann.carry, clock=(clock := Clock()))
    queue(ann)
    due = Due("q1", "body", "queued", ())
    here.start(due)
    assert ann.carried == ["q1"], "nobody else knows of it"
    ann.push()
    clock.now = 6.0
    for told in ("left", None):
        with pytest.raises(NotNowError) as left:
            here.start(due)
        assert (left.value.told and left.value.told.kind) == told, "once"
    assert ann.carried == ["q1"]
    here.start(Due("q1", "body", "answered", ()))
    assert ann.carried == ["q1", "q1"], "who carries it on claims it himself"


def test_a_run_that_was_begun_of_a_queue_and_not_pushed_is_pushed_by_the_next_worker(machines, shared):
    ann, _, _ = machines
    code = asking()
    queue(ann)
    ann.push()
    options = ann.project._options("", None)
    options.run = "q1"
    prepared = ann.project.runner.start(code, {}, options, text=False)
    prepared.execute()
    assert said(ann.work_once()) == [("pushed", "q1")]
    assert shared.exists(layout.run_key("q1", 1))


# -- a claim that was lost ---------------------------------------------------------------------------------------------


def cut_short(machine, run, *, taken=True):
    """Have an answered run go on, and its process be gone in the middle."""
    project = machine.project
    with project.repo.reopen(run) as writer:
        origin = {"user": machine.project.services.user, "host": "h"}
        writer.commit(Resumed(at=1, version=project.state(run).start.version, origin=origin))
        if taken:
            wait = next(stored for stored in project.repo.records(run) if isinstance(stored.record, Wait))
            given = project.repo.answer(run, wait.record.digest)
            writer.commit(Answer(at=1, wait=wait.id, value=given.value, by=given.by, answered=given.at))
        writer.seal()


def lost_claim(ann, bob, shared, code, **how):
    """Ann's process is stopped in the middle of a run that Bob has claimed by then; return the run, and her worker."""
    run = ann.run(code)
    ann.answer(run)
    ann.push()
    bob.pull()
    here = [name.segment for name in names.segments(shared, run)]
    ann.carry = lambda due, claim: lambda: (cut_short(ann, run, **how), (130, ""))[1]
    team, worker = ann.worker(clock := Clock())
    create = shared.create

    def taken_over(key, data):  # once her own claim is made, its time is over and Bob's comes
        made = create(key, data)
        if key == layout.claim_key(run, 2, 1):
            holder = claims.Holder("bobs", "bob", "h", lambda: 1)
            create(layout.claim_key(run, 2, 2), names.pack(holder.fields(claims.LEASE_US)))
        return made

    team._connection = shared
    shared.create = taken_over
    told = list(worker.carry(once=True))
    shared.create = create
    return run, told, worker, clock, here


def test_what_was_stopped_here_waits_for_whoever_has_the_claim_now(machines, shared):
    ann, bob, _ = machines
    code = asking()
    run, told, worker, clock, _ = lost_claim(ann, bob, shared, code)
    assert [t for t in said(told) if t[0] != "pulled"] == [("claimed", run)]
    assert not shared.exists(layout.run_key(run, 2))
    bob.project.resume(run, offline=True, foreground=True)
    bob.push()
    clock.now += 6
    told = list(worker.carry(once=True))
    (new,) = [t.text.split()[-2] for t in told if isinstance(t, Told) and t.kind == "diverged"]
    clock.now += 6
    told += worker.carry(once=True)
    assert ("pushed", new) in said(told)
    assert ends(told) == []
    ann.pull()
    assert (ann.status(run), ann.status(new)) == ("completed", "interrupted")
    assert shared.exists(layout.run_key(new, 2))


@pytest.mark.parametrize("taken", [True, False], ids=["it had its answer", "its answer was copied"])
def test_what_parted_is_carried_on_only_where_somebody_says_so(machines, shared, taken):
    ann, bob, cem = machines
    code = asking()
    run, *_ = lost_claim(ann, bob, shared, code, taken=taken)
    bob.project.resume(run, offline=True, foreground=True)
    bob.push()
    ann.pull()
    ann.push(*(found.run for found in ann.project.log()))
    cem.pull()
    cem.trusts(run)
    assert len(cem.project.log()) == 2
    assert ends(cem.work_once(interrupted=True)) == []


def test_what_was_stopped_here_is_pushed_when_nobody_else_has_the_claim_any_more(machines, shared):
    ann, bob, _ = machines
    run, _, worker, clock, here = lost_claim(ann, bob, shared, asking())
    holder = claims.Holder("bobs", "bob", "h", lambda: 1)
    claims.Claim(shared, run, 2, holder, 2).release()
    clock.now += 6
    assert ("pushed", run) in said(worker.carry(once=True))
    assert len(names.segments(shared, run)) == len(here) + 1
