"""Two machines make the same name: the first stands, the second is told, and nothing of either is lost."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from kitaru.blobs import LocalBlobs
from kitaru.errors import AlreadyAnswered, Diverged
from kitaru.model.records import Call, End, Note
from kitaru.store import layout, names
from kitaru.store.catalog import Catalog
from kitaru.store.gc import collect
from kitaru.store.names import VersionName
from kitaru.store.parted import parted_id
from kitaru.store.routes import Destination, RouteEntry, add_entry, route_log
from kitaru.store.states import run_state
from tests.store.samples import value
from tests.store.sync.machines import ASKED, remote_damage


def exchange(*machines):
    """Let everybody have what anybody has."""
    for _ in range(2):
        for machine in machines:
            machine.pull()
            machine.push()


@pytest.fixture
def killed_after(monkeypatch):
    """Whoever does something is killed when he has put so many names of a kind away, and is to put away another."""

    @contextmanager
    def killed_after(count, directory):
        left, really = [True] * count, LocalBlobs.move

        def move(blobs, key, kept):
            if key.startswith(f"{directory}/") and not left:
                raise KeyboardInterrupt
            del left[: key.startswith(f"{directory}/")]
            really(blobs, key, kept)

        with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):
            cut.setattr(LocalBlobs, "move", move)
            yield

    return killed_after


@pytest.fixture
def asked(ana, bob):
    """A run that waits on both machines."""
    ana.run("one").push()
    bob.pull()
    return "one"


# -- answers ---------------------------------------------------------------------------------------------------------


def test_of_two_answers_the_first_that_is_pushed_stands(ana, bob, asked, remote):
    assert ana.answer(asked, "yes")
    assert bob.answer(asked, "no")
    assert ana.push().error() is None
    pushed = bob.push()
    assert [(lost.kind, lost.owner, lost.by) for lost in pushed.lost] == [("answers", asked, "ana")]
    with pytest.raises(AlreadyAnswered, match=r"run one was answered by ana at .*, before you"):
        raise pushed.error()
    assert bob.repo.answer(asked, ASKED) == ana.repo.answer(asked, ASKED)
    assert len(bob.lost()) == 1
    exchange(ana, bob)
    assert ana.push().is_nothing and bob.push().is_nothing
    assert bob.runs() == ana.runs() == {asked: list(ana.runs()[asked])}
    assert ana.damage() == bob.damage() == remote_damage(remote) == []


def test_an_answer_that_was_second_gives_way_at_a_pull(ana, bob, asked):
    ana.answer(asked, "yes")
    bob.answer(asked, "no")
    ana.push()
    pulled = bob.pull()
    assert [(lost.kind, lost.owner, lost.by) for lost in pulled.lost] == [("answers", asked, "ana")]
    assert bob.repo.answer(asked, ASKED) == ana.repo.answer(asked, ASKED)
    assert bob.push().is_nothing


def test_who_went_on_by_an_answer_that_was_second_has_a_run_of_his_own(ana, bob, asked, remote):
    ana.answer(asked, "yes")
    bob.answer(asked, "no")
    mine = bob.carry_on(asked).runs()[asked]
    ana.push()
    pushed = bob.push()
    [parted] = pushed.parted
    assert (parted.run, parted.number, parted.by) == (asked, 2, "ana")
    assert bob.runs() == {asked: ana.runs()[asked], parted.new_run: mine}
    assert bob.repo.answer(parted.new_run, ASKED).by == "bob"
    assert bob.repo.answer(asked, ASKED).by == "ana"
    with pytest.raises(Diverged, match=f"yours is run {parted.new_run} now"):
        raise pushed.error()
    ana.pull()
    assert ana.runs() == bob.runs()
    ana.carry_on(asked).push()
    bob.pull()
    assert ana.runs() == bob.runs()
    assert ana.damage() == bob.damage() == remote_damage(remote) == []


def test_who_was_killed_as_he_went_on_by_an_answer_that_was_second_has_a_run_of_his_own(ana, bob, asked):
    ana.answer(asked, "yes")
    bob.answer(asked, "no")
    mine = bob.carry_on(asked, ends=False, seal=False).runs()[asked]
    ana.push()
    [parted] = bob.pull().parted
    assert bob.runs()[parted.new_run] == mine
    assert bob.repo.answer(parted.new_run, ASKED).by == "bob"
    assert bob.repo.answer(asked, ASKED).by == "ana"
    assert bob.damage() == []


@pytest.mark.parametrize("how", ["refused", "rejected"])
def test_what_follows_from_an_answer_that_was_second_parts_whatever_it_led_to(ana, bob, asked, how):
    ana.answer(asked, "yes")
    bob.answer(asked, "no")
    with bob.repo.reopen(asked) as writer:
        if how == "refused":
            writer.commit(Note(at=bob.tick(), about="refused", data={"digest": ASKED, "by": "bob", "why": "not so"}))
        else:
            cancelled = {"by": "bob", "at": 1, "reason": "", "wait": "approve"}
            writer.commit(End(at=bob.tick(), status="cancelled", cancelled=cancelled))
        writer.seal()
    mine = bob.runs()[asked]
    ana.push()
    [parted] = bob.pull().parted
    assert (parted.run, parted.number) == (asked, 2)
    assert bob.runs() == {asked: mine[:-1], parted.new_run: mine}


def test_what_did_not_follow_from_an_answer_stays_where_it_is(ana, bob, asked):
    ana.answer(asked, "yes")
    bob.answer(asked, "no")
    with bob.repo.reopen(asked) as writer:
        writer.commit(Note(at=bob.tick(), about="refused", data={"digest": "ab" * 32, "by": "bob", "why": "other"}))
        writer.seal()
    ana.push()
    assert bob.pull().parted == []
    assert bob.repo.answer(asked, ASKED).by == "ana"


def test_an_answer_waits_while_the_run_executes_here(ana, bob, asked):
    ana.answer(asked, "yes")
    bob.answer(asked, "no")
    ana.push()
    writer = bob.repo.reopen(asked)
    for outcome in bob.push(), bob.pull():
        assert [left.what for left in outcome.skipped] == [asked]
        assert bob.repo.answer(asked, ASKED).by == "bob"
    writer.close()
    bob.pull()
    assert bob.repo.answer(asked, ASKED).by == "ana"


# -- runs ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def answered(ana, bob, asked):
    """A run that can go on, on both machines."""
    ana.answer(asked)
    ana.push()
    bob.pull()
    return asked


@pytest.mark.parametrize("act", ["push", "pull"])
def test_a_run_that_two_went_on_with_is_two_runs(ana, bob, answered, remote, act):
    theirs = ana.carry_on(answered).runs()[answered]
    mine = bob.carry_on(answered).runs()[answered]
    losing = names.segment_name(bob.blobs, answered, 2).segment
    ana.push()
    outcome = getattr(bob, act)()
    [parted] = outcome.parted
    assert (parted.run, parted.number, parted.by, parted.host) == (
        answered,
        2,
        "ana",
        ana.repo.segments.strand(names.segment_name(ana.blobs, answered, 2).segment).journal.host,
    )
    assert parted.new_run == parted_id(answered, losing)
    assert bob.runs() == {answered: theirs, parted.new_run: mine}
    assert bob.repo.answer(parted.new_run, ASKED) is not None
    with pytest.raises(Diverged, match="run one was continued by ana on"):
        raise outcome.error()
    exchange(bob, ana)
    assert ana.runs() == bob.runs()
    assert ana.push().is_nothing and bob.push().is_nothing
    assert len(bob.lost()) == 1
    assert ana.damage() == bob.damage() == remote_damage(remote) == []


def test_who_went_on_is_told_and_not_who_began(ana, bob, eve, answered):
    eve.pull()
    eve.carry_on(answered).push()
    bob.carry_on(answered)
    [parted] = bob.push().parted
    assert parted.by == "eve"


def test_what_branches_from_a_run_that_cannot_part_yet_waits_with_all_that_branches_from_it(ana, bob, answered, remote):
    ana.carry_on(answered).push()
    bob.carry_on(answered, ends=False).branch("two", answered).branch("three", "two")
    with bob.repo.reopen(answered):
        bob.push()
        assert remote.children("runs") == [answered]
        assert remote_damage(remote) == []
    bob.push()
    assert {"two", "three"} < set(remote.children("runs"))
    assert remote_damage(remote) == []


def test_what_branched_before_the_run_parted_needs_nothing_more_where_it_comes(ana, bob, answered):
    ana.carry_on(answered).push()
    bob.carry_on(answered, ends=False).branch("two", answered)
    [*_, call] = [stored.record for stored in bob.repo.records(answered) if isinstance(stored.record, Call)]
    with bob.repo.reopen("two") as writer:  # the same value again: only the source's segment holds it
        writer.commit(Call(at=bob.tick(), name="step", order=9, began=bob.now, output=call.output))
        writer.seal()
    [parted] = bob.push().parted
    assert ana.pull().refused == []
    assert ana.runs() == bob.runs()
    assert set(ana.runs()) == {answered, parted.new_run, "two"}


def test_what_was_pushed_first_stands_though_the_other_went_further(ana, bob, answered):
    ana.carry_on(answered, ends=False)
    bob.carry_on(answered, ends=False).go_on(answered).go_on(answered, "and more")
    mine = bob.runs()[answered]
    ana.push()
    [parted] = bob.push().parted
    exchange(ana, bob)
    assert ana.runs() == bob.runs()
    assert ana.runs()[parted.new_run] == mine
    assert len(bob.lost()) == 3


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_run_gives_way_from_its_end_so_that_it_is_whole_at_any_time(ana, bob, answered, killed_after, moved):
    ana.carry_on(answered, ends=False).push()
    bob.carry_on(answered, ends=False).go_on(answered).go_on(answered, "and more")
    mine = bob.runs()[answered]
    with killed_after(moved, "runs"):
        bob.pull()
    assert bob.damage() == []
    assert len(bob.repo.records(answered)) < len(mine) or not moved
    exchange(bob, ana)
    assert ana.runs() == bob.runs()
    assert mine in bob.runs().values()


def test_a_run_of_ones_own_goes_on_as_any_other(ana, bob, answered):
    ana.carry_on(answered, ends=False)
    bob.carry_on(answered, ends=False)
    ana.push()
    [parted] = bob.push().parted
    bob.go_on(parted.new_run).go_on(answered).push()
    ana.pull()
    assert ana.runs() == bob.runs()
    assert len(ana.repo.records(parted.new_run)) == len(ana.repo.records(answered))


def test_what_branched_from_a_continuation_that_was_second_branches_from_the_run_of_its_own(ana, bob, answered, remote):
    ana.carry_on(answered, ends=False)
    bob.carry_on(answered, ends=False).branch("other", answered, asks=False)
    ana.push()
    pushed = bob.push()
    assert {moved.run for moved in pushed.runs} == {"other", pushed.parted[0].new_run}
    ana.pull()
    assert ana.runs() == bob.runs()
    assert ana.damage() == bob.damage() == remote_damage(remote) == []


def test_what_branched_from_such_a_continuation_is_named_after_it(ana, bob, answered, remote, monkeypatch):
    ana.carry_on(answered).push()
    bob.carry_on(answered).branch("two", answered)
    made, really = [], type(remote).create

    def create(folder, key, data):
        made.append(key)
        return really(folder, key, data)

    with monkeypatch.context() as watched:
        watched.setattr(type(remote), "create", create)
        [parted] = bob.push().parted
    assert made.index(layout.run_key(parted.new_run, 2)) < made.index(layout.run_key("two", 1))


def test_what_was_interrupted_here_and_continued_there_is_taken_up_first(ana, bob, answered):
    ana.carry_on(answered).push()
    bob.carry_on(answered, ends=False, seal=False)
    mine = bob.runs()[answered]
    pulled = bob.pull()
    assert bob.runs() == {answered: ana.runs()[answered], pulled.parted[0].new_run: mine}
    assert not bob.blobs.children(f"open/{answered}")


def test_a_run_that_executes_here_and_was_continued_there_is_left_alone(ana, bob, answered):
    ana.carry_on(answered).push()
    writer = bob.repo.reopen(answered)
    bob.call(writer, 8, "here")
    for outcome in bob.pull(), bob.push(answered):
        assert [(left.what, left.why) for left in outcome.skipped] == [(answered, "is being executed here")]
        assert not outcome.parted
    writer.seal()
    writer.close()
    assert [parted.run for parted in bob.pull().parted] == [answered]


def test_what_branches_from_a_run_that_has_to_wait_waits_too(ana, bob, answered):
    ana.carry_on(answered).branch("other", answered, asks=False).push()
    writer = bob.repo.reopen(answered)
    bob.pull()
    assert bob.repo.run_ids() == [answered]
    writer.close()
    bob.pull()
    assert bob.runs() == ana.runs()


def test_three_went_on(ana, bob, eve, answered, remote):
    eve.pull()
    everything = set()
    for machine in ana, bob, eve:
        machine.carry_on(answered)
        everything.update(machine.runs()[answered])
    exchange(ana, bob, eve)
    exchange(ana, bob, eve)
    assert ana.runs() == bob.runs() == eve.runs()
    assert len(ana.runs()) == 3
    assert {record for ids in ana.runs().values() for record in ids} == everything
    assert remote_damage(remote) == []


# -- flow versions ---------------------------------------------------------------------------------------------------


def numbers(machine, flow="demo"):
    return [(version.n, version.id) for version in machine.repo.versions(flow)]


@pytest.mark.parametrize("act", ["push", "pull"])
def test_of_two_versions_of_a_number_the_second_gets_the_next(ana, bob, act):
    first = ana.version()
    ana.push()
    bob.pull()
    theirs, mine = ana.version(code="x = 2"), bob.version(code="x = 3")
    ana.push()
    outcome = getattr(bob, act)()
    assert [(v.flow, v.n, v.was) for v in outcome.versions if v.was] == [("demo", 3, 2)]
    assert [v.n for v in outcome.versions if v.id == mine] == [3]  # and told once
    assert outcome.error() is None
    assert numbers(bob) == [(1, first), (2, theirs), (3, mine)]
    exchange(ana, bob)
    assert numbers(ana) == numbers(bob)
    assert ana.push().is_nothing and bob.push().is_nothing
    assert ana.damage() == bob.damage() == []


def test_many_versions_keep_their_order(ana, bob):
    theirs = [ana.version(code=f"a = {n}") for n in range(3)]
    mine = [bob.version(code=f"b = {n}") for n in range(2)]
    ana.push()
    bob.push()
    assert numbers(bob) == list(enumerate([*theirs, *mine], 1))
    ana.pull()
    assert numbers(ana) == numbers(bob)


def test_the_same_code_is_one_version_though_two_recorded_it(ana, bob, remote):
    theirs, mine = ana.version(code="x = 1"), bob.version(code="x = 1")
    other = bob.version(code="x = 2")
    assert theirs != mine
    ana.push()
    bob.run("one", asks=False)
    bob.push()
    assert numbers(bob) == [(1, theirs), (2, other)]
    ana.pull()
    assert numbers(ana) == numbers(bob)
    assert ana.repo.object(mine)
    assert ana.damage() == bob.damage() == remote_damage(remote) == []


# -- other names -----------------------------------------------------------------------------------------------------


def test_of_two_runs_for_one_key_the_first_that_is_pushed_stands(ana, bob):
    ana.run("one").repo.put_start_key("demo", "order 7", "one", by="ana", at=5)
    bob.run("two").repo.put_start_key("demo", "order 7", "two", by="bob", at=6)
    ana.push()
    pushed = bob.push()
    assert [(lost.kind, lost.owner, lost.by, lost.at) for lost in pushed.lost] == [("keys", "demo", "ana", 5)]
    assert pushed.error() is None
    assert bob.repo.start_key("demo", "order 7").run == "one"
    exchange(ana, bob)
    assert ana.runs() == bob.runs()


def test_both_pruned_a_run(ana, bob, asked):
    ana.prune(asked).push()
    outcome = bob.prune(asked).push()
    assert not outcome.lost and outcome.error() is None
    assert bob.repo.tombstone(asked) == ana.repo.tombstone(asked)
    assert bob.push().is_nothing


@pytest.mark.parametrize("when", ["before", "between"])
def test_of_two_logs_the_first_that_is_pushed_stands_whole(ana, bob, remote, monkeypatch, when):
    inputs, objects = value({})
    shape = {"state": "active", "target": "demo", "cron": "0 6 * * *", "tz": "UTC", "catch_up": "none", "note": ""}
    for machine, entries in (ana, 1), (bob, 3):
        machine.repo.put_objects(objects)
        for n in range(1, entries + 1):
            fields = {**shape, "inputs": inputs, "at": n, "by": machine.who, "nonce": f"{n:024x}"}
            machine.blobs.create(f"schedules/nightly/{n:06d}", names.pack({**fields, "note": machine.who}))
    create = remote.create

    def after_ana(key, data):
        monkeypatch.setattr(remote, "create", create)
        ana.push()
        return create(key, data)

    if when == "between":
        monkeypatch.setattr(remote, "create", lambda key, data: (after_ana if "nightly" in key else create)(key, data))
    else:
        ana.push()
    pushed = bob.push()
    assert pushed.names == {}
    assert list(remote.keys("schedules")) == ["schedules/nightly/000001"]
    assert [(lost.kind, lost.owner, lost.by) for lost in pushed.lost] == [("schedules", "nightly", "ana")]
    assert bob.blobs.children("schedules/nightly") == ["000001"]
    assert len(bob.lost()) == 3
    exchange(ana, bob)
    assert ana.blobs.children("schedules/nightly") == ["000001"]
    assert ana.push().is_nothing and bob.push().is_nothing


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_log_gives_way_from_its_end_so_that_it_has_no_gap_at_any_time(ana, bob, killed_after, moved):
    to = (Destination(ana.version(), 1, 1),)
    for machine, entries in (ana, 1), (bob, 3):
        for n in range(1, entries + 1):
            add_entry(machine.blobs, RouteEntry("demo", "stable", n, to, 0, n, machine.who, "", f"{machine.who}{n}"))
    ana.push()
    with killed_after(moved, "routes"):
        bob.pull()
    assert len(route_log(bob.blobs, "demo", "stable")) == 3 - moved
    bob.pull()
    assert [entry.by for entry in route_log(bob.blobs, "demo", "stable")] == ["ana"]


def test_who_recorded_code_that_is_there_already_has_pushed_all_the_same(ana, bob):
    ana.version(code="x = 1")
    ana.run("one", asks=False)
    ana.push()
    bob.version(code="x = 1")
    bob.run("two", asks=False)
    bob.push()
    standing = bob.standing()
    assert (standing.ahead, standing.behind, standing.parted) == ((), ("one",), ())


def test_a_version_that_is_there_already_is_not_pushed(ana, bob):
    ana.version(code="x = 1")
    ana.version(code="x = 2")
    ana.push()
    bob.version(code="x = 1")
    pushed = bob.push()
    assert (pushed.is_nothing, pushed.versions) == (True, [])
    assert bob.push().is_nothing


def test_a_push_brings_no_version_that_only_others_have(ana, bob):
    first = ana.version(code="x = 1")
    ana.push()
    bob.pull()
    ana.version(code="x = 2")
    ana.push()
    bob.tracking.forget()  # as when the remote was removed, and added again
    pushed = bob.push()
    assert (pushed.is_nothing, pushed.files) == (True, 0)
    assert numbers(bob) == [(1, first)]


def test_a_version_that_has_another_number_there_is_told_and_not_pushed(ana, bob):
    ana.version(code="x = 1")
    mine = ana.version(code="x = 2")
    ana.push()
    same = bob.version(code="x = 2")
    pushed = bob.push()
    assert [(v.n, v.id, v.was) for v in pushed.versions] == [(2, same, 1)]
    assert pushed.names == {}
    assert numbers(bob)[1] == (2, mine)


def test_a_version_name_tells_who_recorded_it_first(ana, bob):
    ana.version()
    ana.push()
    bob.pull()
    assert isinstance(bob.repo.versions("demo")[0], VersionName)
    assert bob.repo.versions("demo")[0].by == "ana"


def test_a_run_tells_the_number_that_its_version_has_now(ana, bob):
    ana.version(code="x = 2")
    ana.push()
    mine = bob.run("one").repo.versions("demo")[0]
    catalog = Catalog(bob.repo)
    assert catalog.summaries()[0].version == mine.n == 1
    bob.push()
    assert bob.repo.versions("demo")[1].id == mine.id
    assert run_state(bob.repo, "one")[0].version == {"id": mine.id, "n": 2}
    assert Catalog(bob.repo).summaries()[0].version == 2
    ana.pull()
    assert Catalog(ana.repo).summaries()[0].version == 2


def test_a_listing_tells_of_a_run_as_it_stands_and_of_the_run_of_its_own(ana, bob, answered):
    ana.carry_on(answered, ends=False).push()
    bob.carry_on(answered)
    assert [summary.status for summary in Catalog(bob.repo).summaries()] == ["completed"]
    [parted] = bob.pull().parted
    listed = {summary.run: summary.status for summary in Catalog(bob.repo).summaries()}
    assert listed == {answered: "waiting", parted.new_run: "completed"}


def test_what_parted_from_a_pruned_run_goes_with_it(ana, bob, answered):
    ana.carry_on(answered).push()
    bob.carry_on(answered)
    [parted] = bob.push().parted
    bob.prune(answered)
    for later in range(2):
        collect(bob.repo, later * 10, grace=5, nonce=f"{later:024x}")
    assert not bob.blobs.exists(f"parted/{answered}/{parted.new_run}")
    assert bob.repo.run_ids() == [parted.new_run]
    assert bob.push().names == {"pruned": 1}
    assert bob.pull().is_nothing
    assert bob.damage() == []
