"""What one store has and another lacks is copied, with all that it reaches, and nothing else."""

from __future__ import annotations

import pytest

from kitaru.errors import NotExclusive, RemoteError, UnknownFormat
from kitaru.store import layout, loose
from kitaru.store.invocations import Invocation, put_invocation
from kitaru.store.kinds import KINDS
from kitaru.store.repair import repair
from kitaru.store.routes import Destination, RouteEntry, add_entry
from kitaru.store.sync import PullChoice, PushChoice
from tests.store.samples import value
from tests.store.sync.machines import remote_damage, share

LARGE = bytes(range(256)) * 4000


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Objects count as large sooner, so that values have some."""
    monkeypatch.setattr(loose, "LARGE", 50_000)


def test_a_run_goes_with_all_that_it_reaches(ana, bob, remote):
    ana.run("one", large=LARGE).run("two", asks=False)
    ana.answer("one")
    pushed = ana.push()
    assert [(moved.run, moved.new, moved.segments) for moved in pushed.runs] == [("one", True, 1), ("two", True, 1)]
    pulled = bob.pull()
    assert [(moved.run, moved.flow) for moved in pulled.runs] == [("one", "demo"), ("two", "demo")]
    assert bob.runs() == ana.runs()
    assert bob.repo.answer("one", "0" * 64) is None
    assert bob.repo.is_answered("one")
    assert bob.repo.versions("demo") == ana.repo.versions("demo")
    assert list(bob.blobs.keys(layout.OBJECTS)) == list(ana.blobs.keys(layout.OBJECTS))
    assert bob.damage() == remote_damage(remote) == []


def test_what_both_have_costs_listings_only(ana, bob, remote):
    for n in range(30):
        ana.run(f"run{n}", asks=bool(n % 2))
    assert ana.push().requests < 120
    assert bob.pull().requests < 120
    again = [ana.push(), bob.push(), bob.pull(), ana.pull()]
    assert all(outcome.is_nothing for outcome in again)
    assert [outcome.requests - len(KINDS) for outcome in again] == [2, 2, 1, 1]  # format, and gc/ for a push


def test_what_is_known_of_a_remote_can_be_forgotten(ana, bob):
    ana.run("one").run("two")
    ana.push()
    bob.pull()
    for machine in ana, bob:
        machine.tracking.forget()
        assert machine.standing().ahead == ("one", "two")
        assert machine.push().is_nothing
        assert machine.pull().is_nothing
        standing = machine.standing()
        assert (standing.ahead, standing.behind, standing.parted) == ((), (), ())


def test_ahead_and_behind_as_of_the_last_look(ana, bob):
    ana.run("one")
    assert ana.standing().at is None
    assert ana.standing().ahead == ("one",)
    ana.push()
    bob.run("two").fetch()
    standing = bob.standing()
    assert (standing.ahead, standing.behind) == (("two",), ("one",))
    assert standing.at == bob.now


def test_a_fetch_makes_nothing_visible(ana, bob):
    ana.run("one", large=LARGE)
    ana.answer("one")
    ana.push()
    bob.fetch()
    assert bob.repo.run_ids() == bob.repo.flows() == []
    assert list(bob.blobs.keys(layout.SEGMENTS))
    before = bob.pull()
    assert [moved.run for moved in before.runs] == ["one"]
    assert bob.damage() == []


def test_a_run_that_goes_on_goes_on_elsewhere(ana, bob):
    ana.run("one")
    ana.push()
    bob.pull()
    bob.answer("one")
    bob.carry_on("one")
    pushed = bob.push()
    assert [(moved.run, moved.new, moved.segments) for moved in pushed.runs] == [("one", False, 1)]
    pulled = ana.pull()
    assert [(moved.run, moved.new, moved.segments) for moved in pulled.runs] == [("one", False, 1)]
    assert ana.runs() == bob.runs()
    assert len(ana.repo.records("one")) == 8


def test_by_default_only_what_is_finished_or_waits_goes(ana, remote):
    ana.run("asks").run("ended", asks=False).run("killed", asks=False, seal=False)
    held = ana.repo.begin("held")
    pushed = ana.push()
    assert [moved.run for moved in pushed.runs] == ["asks", "ended"]
    assert {left.what: left.why for left in pushed.skipped} == {"killed": "was interrupted"}
    held.close()


@pytest.mark.parametrize("written", [b"", b"kita"])
def test_what_could_not_write_its_start_is_no_run(ana, written):
    ana.run("one")
    ana.blobs.create("open/never/nonce", written)
    pushed = ana.push()
    assert ([moved.run for moved in pushed.runs], pushed.skipped) == (["one"], [])
    for choose in PushChoice(), PushChoice(everything=True):
        again = ana.push(choose=choose)
        assert (again.is_nothing, again.skipped) == (True, [])


def test_a_run_that_is_named_is_taken_up(ana, bob):
    ana.run("killed", asks=False, seal=False)
    pushed = ana.push("killed")
    assert [moved.run for moved in pushed.runs] == ["killed"]
    assert not ana.blobs.children("open/killed")
    bob.pull()
    assert bob.runs() == ana.runs()


def test_a_run_that_executes_is_not_taken_up(ana):
    writer = ana.run("one").repo.reopen("one")
    ana.call(writer, 7, "going on")
    for choose in PushChoice(), PushChoice(runs=("one",)), PushChoice(everything=True):
        pushed = ana.push(choose=choose)
        assert not pushed.runs
        assert [(left.what, left.why) for left in pushed.skipped] == [("one", "is being executed here")]
    writer.close()
    assert [moved.run for moved in ana.push(choose=PushChoice(everything=True)).runs] == ["one"]


def test_only_runs_that_are_named_go_with_what_they_reach(ana, bob):
    ana.run("one").run("two").branch("three", "two").run("other", flow="other")
    pushed = ana.push("three")
    assert [moved.run for moved in pushed.runs] == ["three", "two"]
    bob.pull()
    assert bob.repo.run_ids() == ["three", "two"]
    assert bob.repo.flows() == ["demo"]
    assert bob.damage() == []


def test_only_a_flow_goes_and_comes(ana, bob, eve):
    ana.run("one").run("two", flow="other")
    ana.push(choose=PushChoice(flow="other"))
    bob.pull()
    assert (bob.repo.run_ids(), bob.repo.flows()) == (["two"], ["other"])
    ana.push()
    eve.pull(choose=PullChoice(flow="demo"))
    assert (eve.repo.run_ids(), eve.repo.flows()) == (["one"], ["demo"])
    assert eve.damage() == []


def test_only_what_is_recent_comes_with_what_it_branches_from(ana, bob):
    ana.run("old").run("older").branch("new", "old")
    since = ana.repo.records("new")[0].record.at
    ana.push()
    bob.pull(choose=PullChoice(since_us=since))
    assert bob.repo.run_ids() == ["new", "old"]
    ana.answer("old")
    ana.carry_on("old").push()
    bob.pull(choose=PullChoice(since_us=ana.now))
    assert bob.heads()["old"] == ana.heads()["old"]


def test_a_partial_pull_leaves_large_objects_there(ana, bob):
    ana.run("one", large=LARGE)
    ana.answer("one", LARGE[::-1])
    ana.push()
    bob.pull(choose=PullChoice(runs_only=True))
    assert bob.runs() == ana.runs()
    assert bob.repo.partial.is_marked("one")
    answered = bob.repo.answer("one", ana.repo.blobs.children("answers/one")[0]).value
    assert loose.exists(bob.blobs, answered)
    assert set(bob.blobs.keys(layout.OBJECTS)) < set(ana.blobs.keys(layout.OBJECTS))
    assert bob.damage() == []


def test_a_pruned_run_goes_everywhere_else(ana, bob):
    ana.run("one").run("two").branch("three", "two")
    ana.push()
    bob.pull()
    bob.prune("one").prune("two").push()
    ana.pull()
    assert ana.repo.run_ids() == bob.repo.run_ids() == ["three"]
    assert ana.push().is_nothing


def test_a_run_that_was_pruned_there_is_not_sent(ana, bob, remote):
    ana.run("one").run("two").push()
    bob.pull()
    bob.prune("one").prune("two").push()
    for run in "one", "two":
        ana.answer(run)
        ana.carry_on(run)
    ana.branch("three", "two")
    pushed = ana.push()
    assert [moved.run for moved in pushed.runs] == ["three", "two"]  # which three is a branch of
    assert ("one", "was pruned there") in [(left.what, left.why) for left in pushed.skipped]
    ana.pull()
    assert ana.push().is_nothing
    assert ana.repo.run_ids() == ["three"]
    assert remote_damage(remote) == []


def test_a_long_run_that_goes_on_is_not_read_from_its_beginning(ana, bob):
    ana.run("one").push()
    bob.pull()
    asked = []
    for n in range(5):
        ana.go_on("one", f"{n}").push()
        asked.append(bob.pull().requests)
    assert asked == asked[:1] * 5


def test_what_was_pruned_elsewhere_comes_only_where_another_branches_from_it(ana, bob):
    ana.run("one").run("two").branch("three", "two").prune("one").prune("two")
    pushed = ana.push()
    assert [moved.run for moved in pushed.runs] == ["three", "two"]
    bob.pull()
    assert bob.repo.run_ids() == ["three"]
    assert bob.repo.has_run("two")
    assert not bob.repo.has_run("one")
    assert bob.damage() == []


def test_nothing_is_written_by_a_dry_run(ana, bob, remote):
    ana.run("one")
    foretold = ana.push(dry_run=True)
    assert [moved.run for moved in foretold.runs] == ["one"]
    assert not list(remote.listing(""))
    ana.push()
    foretold = bob.pull(dry_run=True)
    assert [(moved.run, moved.segments) for moved in foretold.runs] == [("one", 1)]
    assert bob.repo.run_ids() == []


def test_one_run_whose_keys_are_too_long_keeps_no_other_from_going(ana, bob, remote):
    remote.max_key_bytes = 300
    odd = "f" * 400
    ana.run("fits").run("odd", flow=odd).branch("twig", "odd", flow=odd)
    ana.version(odd, code="y = 2")
    foretold = ana.push(dry_run=True)
    assert [moved.run for moved in foretold.runs] == ["fits"]
    pushed = ana.push()
    assert [moved.run for moved in pushed.runs] == ["fits"]
    assert [(moved.flow, moved.n) for moved in pushed.versions] == [("demo", 1)]
    left = {left.what: left.why for left in pushed.skipped}
    assert left.keys() == {"odd", "twig", *(layout.flow_key(odd, number) for number in (1, 2))}
    assert "the name of its flow is too long" in left["odd"]
    assert "takes keys of 300 bytes" in left["odd"]
    assert pushed.error() is None
    bob.pull()
    assert bob.repo.run_ids() == ["fits"]
    assert bob.damage() == []
    del remote.max_key_bytes
    assert [moved.run for moved in ana.push().runs] == ["odd", "twig"]


def test_what_is_no_store_is_left_alone(ana, remote):
    remote.create("photos/holiday.jpg", b"x")
    with pytest.raises(UnknownFormat, match="something is there"):
        ana.push()
    with pytest.raises(UnknownFormat, match="something is there"):
        ana.pull()


def test_a_store_of_another_version_is_left_alone(ana, remote):
    remote.create("format", b'{"hash":"sha256","version":2}\n')
    for act in ana.push, ana.pull, ana.fetch:
        with pytest.raises(UnknownFormat, match="format 2"):
            act()


def test_a_pull_from_an_empty_place_brings_nothing(ana, remote):
    assert ana.pull().is_nothing
    assert not list(remote.listing(""))


def test_a_place_without_exclusive_names_is_refused(ana, remote, monkeypatch):
    monkeypatch.setattr(type(remote), "is_exclusive", lambda _: False)
    with pytest.raises(NotExclusive, match="who of two writers was first"):
        ana.run("one").push()
    assert [moved.run for moved in ana.push(unsafe=True).runs] == ["one"]


def test_a_place_is_tried_out_before_an_unsafe_push_too(ana, remote, monkeypatch):
    """For where names are not exclusive, it looks before it writes from then on."""
    found = []
    monkeypatch.setattr(type(remote), "is_exclusive", lambda self: bool(found.append(list(self.listing("")))))
    ana.run("one").push(unsafe=True)
    ana.run("two").push(unsafe=True)
    assert found[0] == []
    assert len(found) == 2


def test_whoever_pushes_there_second_is_refused_as_well(ana, bob, remote, monkeypatch):
    with monkeypatch.context() as once:
        once.setattr(type(remote), "is_exclusive", lambda _: False)
        ana.run("one").push(unsafe=True)
        bob.pull()
        with pytest.raises(NotExclusive):
            bob.run("two").push()
    assert [moved.run for moved in bob.push().runs] == ["two"]
    monkeypatch.setattr(type(remote), "is_exclusive", lambda _: False)
    assert bob.push().is_nothing  # it was tried out once


def test_other_names_go_too(ana, bob):
    blobs, inputs = ana.blobs, value({"topic": "x"})
    ana.repo.put_objects(inputs[1])
    ana.run("one")
    ana.repo.put_cancellation("one", by="ana", at=5, reason="no need")
    ana.repo.put_start_key("demo", "order 7", "one", by="ana", at=5)
    pushed = ana.push()
    assert pushed.names == {"flows": 1, "cancels": 1, "keys": 1}
    bob.pull()
    assert bob.repo.cancellation("one").reason == "no need"
    assert bob.repo.start_key("demo", "order 7").run == "one"
    assert blobs.exists("keys/demo") and bob.blobs.exists("keys/demo")


def test_what_was_called_off_before_it_began_is_called_off_everywhere(ana, bob):
    for invocation in ("early", "late"):
        inputs, objects = value({"topic": invocation})
        ana.repo.put_objects(objects)
        put_invocation(ana.blobs, Invocation(invocation, "demo@v1", "demo", inputs, at=5, by="ana", nonce="n"))
    ana.repo.put_cancellation("early", by="ana", at=6, reason="no need")
    assert ana.push().names == {"queue": 2, "cancels": 1}
    bob.pull()
    assert bob.repo.cancellation("early").reason == "no need"
    bob.repo.put_cancellation("late", by="bob", at=7, reason="too late")
    bob.push()
    ana.pull()
    assert ana.repo.cancellation("late").by == "bob"
    assert (ana.standing().names_ahead, bob.standing().names_ahead) == (0, 0)


def test_a_remote_that_was_made_anew_is_compared_anew(ana, tmp_path, remote):
    ana.run("one").push()
    remote.root.rename(tmp_path / "gone")
    pushed = ana.push(remote=share(remote.root))
    assert [moved.run for moved in pushed.runs] == ["one"]
    assert pushed.names == {"flows": 1}


def test_what_pushed_names_lead_to_is_told(ana, bob):
    ana.run("one", large=LARGE).push()
    bob.version()
    reached = bob.run("two", large=LARGE).push().reached
    assert any(key.startswith("objects/") for key in reached), "though it was there"
    assert any(key.startswith("segments/") for key in reached)


def test_what_repair_put_aside_comes_back_with_the_next_pull(ana, remote):
    version = ana.version()
    for n in (1, 2, 3):
        to = (Destination(version, 1, n),)
        add_entry(ana.blobs, RouteEntry("demo", "stable", n, to, 0, n, "ana", "", f"n{n}"))
    ana.push()
    hurt = [layout.flow_key("demo", 1), layout.route_key("demo", "stable", 2)]
    for key in hurt:
        path = ana.blobs.directory / key
        path.chmod(0o600)
        path.write_bytes(b"{}")
    repair(ana.repo, nonce=lambda: ana.repo.nonce(), now=ana.tick())
    ana.pull()
    assert [ana.blobs.get(key) for key in hurt] == [remote.get(key) for key in hurt]


def test_where_a_version_came_from_is_noted_also_where_nothing_ran_with_it(ana, bob):
    version = ana.version()
    ana.push()
    bob.pull()
    assert [origin.remote for origin in bob.repo.trust.origins(version)] == ["team"]


def test_where_a_version_came_from_is_noted_also_where_it_has_no_name(ana, bob, remote):
    version = ana.run("one").repo.versions("demo")[0].id
    ana.push()
    remote.delete(layout.flow_key("demo", 1))
    bob.pull()
    assert list(bob.runs()) == ["one"]
    assert [origin.remote for origin in bob.repo.trust.origins(version)] == ["team"]


def test_a_name_that_goes_between_the_look_and_the_pull_is_not_missed(ana, bob, remote, monkeypatch):
    ana.run("one").answer("one")
    ana.push()
    get = remote.get

    def late(key, **limits):
        if key.startswith("answers/"):
            raise KeyError(key)
        return get(key, **limits)

    monkeypatch.setattr(remote, "get", late)
    pulled = bob.pull()
    assert pulled.refused == []
    assert bob.runs() == ana.runs()
    assert not bob.repo.is_answered("one")
    monkeypatch.setattr(remote, "get", get)
    bob.pull()
    assert bob.repo.is_answered("one")


def test_a_run_that_goes_between_the_look_and_the_pull_is_told_and_all_else_comes(ana, bob, remote, monkeypatch):
    ana.run("one").run("two").push()
    get = remote.get

    def late(key, **limits):
        if key == layout.run_key("one", 1):
            raise KeyError(key)
        return get(key, **limits)

    monkeypatch.setattr(remote, "get", late)
    [refused] = bob.pull().refused
    assert (refused.what, "is gone" in refused.why) == ("one", True)
    assert list(bob.runs()) == ["two"]


def test_a_name_that_was_lost_here_comes_again(ana, bob):
    ana.run("one").answer("one")
    ana.push()
    bob.pull()
    [key] = bob.blobs.keys(layout.ANSWERS)
    bob.blobs.delete(key)
    bob.pull()
    assert bob.repo.is_answered("one")


def test_what_somebody_is_just_writing_makes_no_place_another_thing_than_empty(ana, remote):
    remote.create(f"{layout.TMP}/something", b"")
    assert ana.pull().is_nothing
    assert [moved.run for moved in ana.run("one").push().runs] == ["one"]


def test_a_place_that_keeps_nothing_is_told(ana, remote, monkeypatch):
    create = remote.create
    monkeypatch.setattr(remote, "create", lambda key, data: key == layout.FORMAT_KEY or create(key, data))
    with pytest.raises(RemoteError, match="does not keep what is written to it"):
        ana.run("one").push()
