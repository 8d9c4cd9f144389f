"""Claiming a run while it is carried on: when a remote is asked, what others see, and what a lost claim does."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.blobs.folder import FolderBlobs
from kitaru.errors import CodeUnloadable, Diverged, RemoteUnreachable, RunCancelled, RunClaimed, RunHeld, RunInterrupted
from kitaru.model.history import Status
from kitaru.model.records import Resumed
from kitaru.project import Project
from kitaru.project.claiming import HANDED_OVER, Handed, Hold, Home, handed_over, hold_of
from kitaru.store import claims, layout, names
from kitaru.store.sync.tracking import Tracking
from kitaru.testing import fixed_services


@flow
def asks():
    return kitaru.wait("approve")


class Team:
    """A project and the folder that it shares; what is on the remote was put there as a push does."""

    def __init__(self, root):
        Project.init(root / "here")
        self.project = Project.open(root / "here", services=fixed_services())
        self.remote = self.project.add_remote("team", str(root / "shared"))
        self.folder = FolderBlobs(root / "shared")

    def waiting(self):
        return self.project.run(asks, {}, foreground=True).exec_id

    def publish(self, run):
        """Put a run's names on the remote, and note that they are there."""
        tracking = Tracking.open(self.project.repo.blobs, "team", self.remote.place)
        tracking.at = tracking.at or 1
        for key in self.project.repo.blobs.keys(layout.run_key(run)):
            self.folder.create(key, self.project.repo.blobs.get(key))
            tracking.match(key)
        tracking.save()
        return run

    def claims(self, run, segment=2):
        """Who claimed a segment, in order, and whether each name holds it."""
        found = []
        for listed in self.folder.listing(layout.claim_key(run, segment)):
            name = claims._read(self.folder, listed.key)
            found.append((name.by, name.lease // 1_000_000))
        return found

    def claimed_by(self, by, run, segment=2, number=1):
        fields = {"nonce": f"{by}-nonce", "by": by, "host": "h", "at": 1, "lease": claims.LEASE_US}
        claims._write(self.folder, run, segment, number, fields)

    def age(self, run, segment, number, seconds):
        path = Path(self.folder.where(layout.claim_key(run, segment, number)))
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))

    def answer(self, run, **options):
        return self.project.answer(run, None, True, foreground=True, **options)


@pytest.fixture
def team(tmp_path):
    return Team(tmp_path)


def test_a_run_that_lives_on_no_remote_asks_none(team, monkeypatch):
    monkeypatch.setattr("kitaru.project.remotes.open_remote", None)
    assert team.answer(team.waiting()).wait() is True


def test_an_answered_run_is_claimed_and_kept_until_it_can_be_pushed(team):
    run = team.publish(team.waiting())
    assert team.answer(run).wait() is True
    assert team.claims(run) == [("tester", 60), ("tester", 600)]


def test_resume_claims_too(team):
    run = team.publish(team.waiting())
    team.project.answer(run, None, True, resume=False)
    assert team.claims(run) == []
    assert team.project.resume(run, foreground=True).wait() is True
    assert len(team.claims(run)) == 2


def test_offline_asks_nobody(team):
    run = team.publish(team.waiting())
    team.claimed_by("bob", run)
    assert team.answer(run, offline=True).wait() is True
    assert team.claims(run) == [("bob", 60)]


def test_what_another_carries_on_is_not_and_the_answer_stands(team):
    run = team.publish(team.waiting())
    team.claimed_by("bob", run)
    with pytest.raises(RunClaimed, match=f"run {run} is being carried on by bob on h"):
        team.answer(run)
    state = team.project.state(run)
    assert state.status is Status.WAITING
    assert team.project.given(state, state.open_waits[0]) is not None
    assert not team.project.repo.is_held(run)
    team.age(run, 2, 1, 61)
    assert team.project.resume(run, foreground=True).wait() is True
    assert [by for by, _ in team.claims(run)] == ["bob", "tester", "tester"]


def test_what_another_has_carried_on_is_not(team):
    run = team.publish(team.waiting())
    team.claimed_by("bob", run)
    team.folder.create(layout.run_key(run, 2), b"whatever it says")
    team.age(run, 2, 1, 61)
    with pytest.raises(Diverged, match=f"run {run} was continued by bob at ") as told:
        team.answer(run)
    assert told.value.hint == "kitaru pull"
    assert team.claims(run)[-1] == ("tester", 0)


def test_a_remote_that_is_gone_is_one_line_with_the_way_out(team, tmp_path):
    run = team.publish(team.waiting())
    (tmp_path / "shared").rename(tmp_path / "away")
    (tmp_path / "shared").write_text("")
    with pytest.raises(RemoteUnreachable, match=f"run {run} was not claimed: ") as told:
        team.answer(run)
    assert f"kitaru resume {run} --offline" in told.value.hint
    assert team.project.resume(run, offline=True, foreground=True).wait() is True


def test_a_run_that_executes_here_already_is_not_claimed_again(team):
    run = team.publish(team.waiting())
    with team.project.repo.reopen(run):
        with pytest.raises(RunHeld) as told:
            team.project.resume(run)
    assert not isinstance(told.value, RunClaimed)
    assert team.claims(run) == []


def test_what_the_others_wait_for_is_known(team):
    here, there = team.waiting(), team.publish(team.waiting())
    assert team.project.lives_on(here) == ""
    assert team.project.lives_on(there) == "team"
    assert team.project.lives_on(there, behind=True) == ""
    team.answer(there)
    assert team.project.lives_on(there, behind=True) == "team"


def test_a_claim_is_given_back_where_nothing_was_done(team):
    run = team.publish(team.waiting())
    handle = team.project.resume(run, foreground=True)
    assert handle.outcome.status is Status.WAITING
    assert [lease for _, lease in team.claims(run)] == [60, 0]


def test_a_claim_is_given_back_where_the_code_is_not_here(team):
    file = team.project.root / "flows.py"
    file.write_text("import kitaru\n@kitaru.flow\ndef asks_here():\n    return kitaru.wait('approve')\n")
    run = team.publish(team.project.run(f"{file}:asks_here", {}, foreground=True).exec_id)
    del sys.modules["flows"]
    file.unlink()
    with pytest.raises(CodeUnloadable):
        team.project.resume(run, foreground=True)
    assert [lease for _, lease in team.claims(run)] == [60, 0]


def test_what_is_kept_from_others_is_not_kept_from_ourselves(team):
    @flow
    def twice():
        return kitaru.wait("a"), kitaru.wait("b")

    run = team.publish(team.project.run(twice, {}, foreground=True).exec_id)
    team.answer(run)
    team.project = Project.open(team.project.root, services=fixed_services(seed="another process"))
    assert team.answer(run).wait() == (True, True)
    assert {lease for _, lease in team.claims(run)} == {60, 600}
    with pytest.raises(RunClaimed):
        claims.take(team.folder, run, [], claims.Holder("other", "bob", "h", lambda: 1), same=1)


# -- while it executes -----------------------------------------------------------------------------------------------


def hold(team, lease_us=3_000, handed=None):
    who = claims.Holder("mine", "tester", "here", team.project.services.clock_us, lease_us)
    home = Home("team", lambda: team.folder, 1)
    return Hold(team.project.repo, lambda run: home, who, handed)


def test_it_is_claimed_once_however_often_it_is_taken(team):
    run = team.publish(team.waiting())
    held = hold(team)
    held.take(run)
    held.take(run)
    assert len(team.claims(run)) == 1


def test_others_are_kept_from_a_run_that_was_left_in_the_middle_here(team):
    run = team.publish(team.waiting())
    held = hold(team)
    with held.held(run), team.project.repo.reopen(run) as writer:
        writer.commit(Resumed(at=1, version=team.project.state(run).version))
    assert team.claims(run)[-1] == ("tester", 600)


def test_segments_that_were_lost_here_are_not_known_to_be_the_same(team):
    run = team.publish(team.waiting())
    team.folder.create(layout.run_key(run, 2), names.pack({"segment": "ab" * 32, "nonce": "n"}))
    held = hold(team)
    held._find = lambda run: Home("team", lambda: team.folder, 2)
    with pytest.raises(Diverged):
        held.take(run)


def test_a_store_is_told_from_others_by_what_it_wrote_itself(team):
    nonce = hold_of(team.project)._who.nonce
    assert hold_of(team.project)._who.nonce == nonce
    (team.project.repo.blobs.scratch / "holder").write_text("anything\n")
    assert hold_of(team.project)._who.nonce not in (nonce, "anything\n")


def test_it_is_renewed_while_the_run_executes(team):
    run = team.publish(team.waiting())
    held, renewed = hold(team), threading.Event()
    create = team.folder.create

    def watched(key, data):
        if key == layout.claim_key(run, 2, 4):
            renewed.set()
        return create(key, data)

    team.folder.create = watched
    held.take(run)
    with held.renewed(lambda reason: None):
        assert renewed.wait(10)
    assert {by for by, _ in team.claims(run)} == {"tester"}
    assert team.claims(run)[-1] == ("tester", 0)


@pytest.fixture
def slowly(team, monkeypatch):
    """A run that is published and claimed; what is set when its first call has begun, and what ends that one."""
    inside, stopped = threading.Event(), threading.Event()

    @checkpoint
    def slow():
        inside.set()
        assert stopped.wait(10)

    @checkpoint
    def never():
        raise AssertionError

    @flow
    def body():
        if kitaru.wait("approve"):
            slow()
            never()

    run = team.publish(team.project.run(body, {}, foreground=True).exec_id)
    monkeypatch.setattr("kitaru.project.claiming.hold_of", lambda project: hold(team))
    yield run, inside, stopped  # and not return: the flow has to live on


def test_a_run_whose_claim_was_lost_is_stopped_and_can_be_resumed(team, slowly):
    run, inside, stopped = slowly

    def take_over():
        assert inside.wait(10)
        number = 100
        team.claimed_by("bob", run, number=number)
        held = [int(part) for part in team.folder.children(layout.claim_key(run, 2))]
        for number in range(max(n for n in held if n < 100) + 1, 100):
            team.claimed_by("bob", run, number=number)

    thread = threading.Thread(target=take_over)
    thread.start()
    handle = team.project.answer(run, None, True)
    engine = handle._stop.__self__._prepared.engine
    engine.on_stop.append(stopped.set)
    thread.join()
    with pytest.raises(RunInterrupted, match=f"run {run} was stopped here, .* carried on by bob on h") as told:
        handle.wait(10)
    assert "--offline" in told.value.hint
    state = team.project.state(run)
    assert state.status is Status.INTERRUPTED
    assert [call.label for call in state.ordered_calls if call.record] == ["slow"]


def test_a_run_that_somebody_cancels_elsewhere_ends_here_at_the_next_renewal(team, slowly):
    run, inside, stopped = slowly
    handle = team.project.answer(run, None, True)
    handle._stop.__self__._prepared.engine.on_stop.append(stopped.set)
    assert inside.wait(10)
    request = {"by": "bob", "at": 1, "reason": "enough", "nonce": "n"}
    team.folder.create(layout.cancel_key(run), names.pack(request))
    with pytest.raises(RunCancelled, match=r"by bob .*: enough"):
        handle.wait(10)
    assert team.project.state(run).status is Status.CANCELLED


def test_a_machine_that_wakes_renews_soon(team):
    """Its wall clock has gone on, though the time that it counts has not."""
    held = hold(team, lease_us=claims.LEASE_US)
    over, times = threading.Event(), iter([0, 1, 40_000_000, 40_000_000])
    over.wait = lambda seconds: False
    held._who = claims.Holder("mine", "tester", "here", lambda: next(times))
    assert next(held._beats(over)) is None
    assert next(times) == 40_000_000


def test_while_the_remote_is_away_the_run_goes_on(team):
    run = team.publish(team.waiting())
    held, tried = hold(team), threading.Event()
    held.take(run)

    def away(key, data):
        tried.set()
        raise RemoteUnreachable("no network")

    team.folder.create = away
    lost = []
    with held.renewed(lost.append):
        assert tried.wait(10)
    assert lost == []


# -- handed over -------------------------------------------------------------------------------------------------------


def test_a_claim_that_was_handed_over_is_no_connection_while_the_run_is_short(team, monkeypatch):
    run = team.publish(team.waiting())
    team.project.answer(run, None, True, resume=False)
    monkeypatch.setenv(HANDED_OVER, Handed(run, "team", 2, 1, "the-workers").to_text())
    monkeypatch.setattr("kitaru.project.remotes.open_remote", None)
    assert team.project.resume(run, foreground=True).wait() is True
    assert HANDED_OVER not in os.environ


def test_a_claim_that_was_handed_over_is_renewed_by_its_own_nonce_and_left_as_it_is(team):
    run = team.publish(team.waiting())
    team.claimed_by("tester", run)
    held, renewed, create = hold(team, handed=Handed(run, "team", 2, 1, "mine")), threading.Event(), team.folder.create
    held._who = claims.Holder("tester-nonce", "tester", "here", lambda: 1, 3_000)

    def watched(key, data):
        renewed.set()
        return create(key, data)

    team.folder.create = watched
    held.take(run)
    with held.renewed(lambda reason: None):
        assert renewed.wait(10)
    assert 0 not in [lease for _, lease in team.claims(run)[:1]]
    assert claims.standing(team.folder, run, 2).name.lease == 3_000


def test_it_is_for_one_run_only(team, monkeypatch):
    run = team.publish(team.waiting())
    monkeypatch.setenv(HANDED_OVER, Handed("another", "team", 2, 1, "the-workers").to_text())
    assert team.answer(run).wait() is True
    assert team.claims(run) == [("tester", 60), ("tester", 600)]


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"run": "r"}), ""])
def test_what_is_no_claim_is_none(text, monkeypatch):
    monkeypatch.setenv(HANDED_OVER, text)
    assert handed_over() is None
