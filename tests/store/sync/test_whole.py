"""What a push leaves out so that a remote is whole at any time."""

from __future__ import annotations

import shutil

import pytest

from kitaru.store import layout, loose, names
from kitaru.store.schedules import ScheduleEntry, put_entry
from kitaru.store.sync import PullChoice
from kitaru.store.sync.transfer import Transfer
from tests.store.samples import value
from tests.store.sync.machines import Machine, remote_damage, share

LARGE = bytes(range(256)) * 4000


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Objects count as large sooner, so that values have some."""
    monkeypatch.setattr(loose, "LARGE", 50_000)


def lose(machine, keep=()):
    """Lose the large objects of a store, as a disk may."""
    for key in set(machine.blobs.keys(layout.OBJECTS)) - set(keep):
        machine.blobs.delete(key)


def left_out(outcome):
    return {left.what: left.why for left in outcome.skipped}


def test_a_run_that_lacks_an_object_stays_and_so_does_what_branches_from_it(ana, remote):
    ana.version()
    kept = set(ana.blobs.keys(layout.OBJECTS))
    ana.run("one", large=LARGE).branch("two", "one").branch("three", "two").run("four")
    lose(ana, kept)
    pushed = ana.push()
    assert [moved.run for moved in pushed.runs] == ["four"]
    why = left_out(pushed)
    assert "is not here" in why["one"]
    assert (why["two"], why["three"]) == tuple(f"branches from run {run}, which cannot go" for run in ("one", "two"))
    assert remote_damage(remote) == []


def test_nothing_names_what_was_lost(ana, remote):
    ana.run("one")
    ana.answer("one")
    lose(ana)
    pushed = ana.push()
    assert not pushed.runs
    assert not pushed.names
    assert remote_damage(remote) == []


def test_what_lies_in_segments_before_and_in_those_of_sources_is_not_missed(ana, bob, remote):
    ana.run("one", large=LARGE).push()
    ana.answer("one", "yes")
    ana.carry_on("one", ends=False).branch("two", "one").branch("three", "two").push()
    bob.pull()
    assert bob.runs() == ana.runs()
    assert remote_damage(remote) == []


def test_what_branches_from_a_run_that_executes_waits_for_it(ana, bob, remote):
    ana.run("one", seal=False).branch("two", "one").branch("three", "two").run("four")
    held = ana.blobs.lock(layout.lock_name("one"))
    pushed = ana.push()
    assert [moved.run for moved in pushed.runs] == ["four"]
    assert left_out(pushed)["two"] == "branches from run one, which cannot go"
    assert remote_damage(remote) == []
    held.release()
    ana.push()
    bob.pull()
    assert bob.runs() == ana.runs()


def test_what_branches_from_what_is_there_goes_though_the_run_executes(ana, bob):
    ana.run("one").push()
    ana.answer("one")
    ana.branch("two", "one").carry_on("one", seal=False)
    held = ana.blobs.lock(layout.lock_name("one"))
    assert [moved.run for moved in ana.push().runs] == ["two"]
    held.release()
    bob.pull()
    assert bob.runs()["two"] == ana.runs()["two"]


def test_a_log_is_sent_up_to_what_was_lost(ana, bob, remote):
    for n, inputs in enumerate([{"n": 1}, {"n": LARGE}, {"n": 3}], 1):
        ana.repo.put_objects(value(inputs)[1])
        entry = ScheduleEntry("daily", n, "active", "demo", value(inputs)[0], "0 9 * * *", "UTC", "none", n, "ana", "")
        put_entry(ana.blobs, entry)
    ana.blobs.delete(layout.object_key(value({"n": LARGE})[0]))
    assert ana.push().names == {"schedules": 1}
    bob.pull()
    assert list(bob.blobs.keys(layout.SCHEDULES)) == list(ana.blobs.keys(layout.SCHEDULES))[:1]
    assert remote_damage(remote) == []


def test_a_damaged_name_stays(ana, bob, remote):
    ana.run("one").repo.put_cancellation("one", by="ana", at=5, reason="no need")
    ana.answer("one")
    [answer] = ana.blobs.keys(layout.ANSWERS)
    ana.blobs.delete(answer)
    ana.blobs.create(answer, b"{}")
    pushed = ana.push()
    assert list(left_out(pushed)) == [answer]
    assert pushed.names == {"cancels": 1, "flows": 1}
    bob.pull()
    assert bob.runs() == ana.runs()


def test_a_partial_run_stays_where_its_objects_were(ana, bob, remote, tmp_path):
    ana.run("one", large=LARGE).push()
    bob.pull(choose=PullChoice(runs_only=True))
    remote.root.rename(tmp_path / "gone")
    bob.remote = share(remote.root)
    assert "is not here" in left_out(bob.push())["one"]
    assert remote_damage(bob.remote) == []


@pytest.mark.parametrize("looks", [0, 1])
def test_another_store_in_the_same_place_is_one_that_is_not_known(ana, bob, remote, tmp_path, looks):
    """Whose first version has the same number as ours, and nothing that ours is."""
    ana.version(code="#" * 200_000)
    ana.run("one").push()
    for _ in range(looks):
        assert ana.push().is_nothing
    remote.root.rename(tmp_path / "gone")
    ana.remote = bob.remote = share(remote.root)
    bob.version(code="x = 2")
    bob.push()
    assert [moved.run for moved in ana.push().runs] == ["one"]
    assert remote_damage(ana.remote) == []
    bob.pull()
    assert bob.runs() == ana.runs()
    assert ana.repo.versions("demo") == bob.repo.versions("demo")


def test_a_store_that_was_put_back_as_it_was_before_is_compared_anew(ana, bob, remote, tmp_path):
    ana.version(code="#" * 200_000)
    ana.push()
    shutil.copytree(remote.root, tmp_path / "before")
    ana.version(code="#" * 300_000)
    ana.run("one").push()
    assert ana.push().is_nothing
    shutil.rmtree(remote.root)
    (tmp_path / "before").rename(remote.root)
    bob.remote = ana.remote = share(remote.root)
    bob.pull()
    bob.version(code="x = 2")
    bob.push()
    assert [moved.run for moved in ana.push().runs] == ["one"]
    assert remote_damage(ana.remote) == []
    bob.pull()
    assert ana.repo.versions("demo") == bob.repo.versions("demo")


def test_runs_are_named_after_those_that_they_branch_from(ana, remote, monkeypatch):
    """Be it that what is sent at once comes in any order."""
    ana.run("b").branch("a", "b").branch("c", "a")
    made, really = [], type(remote).create

    def create(folder, key, data):
        made.append(key)
        return really(folder, key, data)

    monkeypatch.setattr(Transfer, "each", lambda _, act, items: [act(item) for item in reversed(list(items))][::-1])
    monkeypatch.setattr(type(remote), "create", create)
    ana.push()
    assert [key for key in made if key.startswith(layout.RUNS)] == [layout.run_key(run, 1) for run in "bac"]


def test_what_was_lost_here_comes_again_though_it_was_known_to_be_the_same(ana, bob):
    ana.run("one").push()
    had = ana.runs()
    ana.blobs.delete(layout.run_key("one", 1))
    ana.pull()
    assert ana.runs() == had


def test_a_version_that_is_there_for_certain_need_not_be_here_for_a_run_to_go(ana, bob):
    ana.run("one").push()
    version = ana.run("two").repo.versions("demo")[0].id
    ana.blobs.delete(layout.object_key(version))
    pushed = ana.push()
    assert [moved.run for moved in pushed.runs] == ["two"] and pushed.skipped == []
    bob.pull()
    assert bob.runs().keys() == {"one", "two"}


def test_a_segment_that_is_damaged_here_is_put_aside_and_comes_again(ana, bob):
    ana.run("one").push()
    bob.pull()
    key = layout.segment_key(names.segment_name(bob.blobs, "one", 1).segment)
    data = bytearray(bob.blobs.get(key))
    data[len(data) // 2] ^= 1
    bob.blobs.delete(key)
    bob.blobs.create(key, bytes(data))
    assert bob.damage()
    bob.tracking.forget()
    bob = Machine(bob.blobs.root, "bob", bob.remote)
    bob.pull()
    assert bob.damage() == []
    assert bob.runs() == ana.runs()
