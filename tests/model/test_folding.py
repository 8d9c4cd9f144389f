"""What records add up to: the table of transitions, and branches."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from kitaru.errors import Damaged
from kitaru.model.folding import LEGAL, add, fold
from kitaru.model.history import Status, live_status
from kitaru.model.records import Resumed
from kitaru.model.summary import RunSummary, summarize
from tests.model.samples import answer, begun, branch_of, call, end, failed_call, note, resumed, start, stored, wait

ASKED = stored([start(), wait(1)])
BEFORE = {
    None: [],
    Status.RUNNING: [start()],
    Status.WAITING: [start(), wait(1)],
    Status.COMPLETED: [start(), end()],
    Status.FAILED: [start(), end("failed")],
    Status.CANCELLED: [start(), end("cancelled")],
}
RECORDS = {
    "start": start(),
    "begun": begun(2),
    "call": call(2),
    "wait": wait(3),
    "answer": answer(ASKED[1]),
    "note": note("drift"),
    "resumed": resumed(),
    "end": end(),
}
AFTER = {  # status after each legal step
    (None, "start"): Status.RUNNING,
    (Status.RUNNING, "begun"): Status.RUNNING,
    (Status.RUNNING, "call"): Status.RUNNING,
    (Status.RUNNING, "wait"): Status.WAITING,
    (Status.RUNNING, "note"): Status.RUNNING,
    (Status.RUNNING, "resumed"): Status.RUNNING,
    (Status.RUNNING, "end"): Status.COMPLETED,
    (Status.WAITING, "begun"): Status.WAITING,
    (Status.WAITING, "call"): Status.WAITING,
    (Status.WAITING, "wait"): Status.WAITING,
    (Status.WAITING, "answer"): Status.RUNNING,
    (Status.WAITING, "note"): Status.WAITING,
    (Status.WAITING, "resumed"): Status.WAITING,
    (Status.WAITING, "end"): Status.COMPLETED,
    (Status.COMPLETED, "note"): Status.COMPLETED,
    (Status.FAILED, "note"): Status.FAILED,
    (Status.FAILED, "resumed"): Status.RUNNING,
    (Status.CANCELLED, "note"): Status.CANCELLED,
}


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.parametrize("before", BEFORE)
def test_every_status_and_kind_of_record(before, kind):
    records = stored([*BEFORE[before], RECORDS[kind]])
    expected = AFTER.get((before, kind))
    if expected is None:
        with pytest.raises(Damaged):
            fold("r", records)
    else:
        assert fold("r", records).status is expected


def test_the_table_of_the_code_is_this_one():
    from kitaru.model.records import KINDS

    legal = {(status, cls.kind) for status, kinds in LEGAL.items() for cls in kinds}
    assert legal == AFTER.keys() | {(Status.RUNNING, "answer")}  # legal by kind; but what would it answer?
    assert LEGAL.keys() == BEFORE.keys()
    assert RECORDS.keys() == KINDS.keys()


def test_interrupted_is_what_nobody_executes():
    assert live_status(Status.RUNNING, held=False) is Status.INTERRUPTED
    assert live_status(Status.RUNNING, held=True) is Status.RUNNING
    for status in (Status.WAITING, Status.COMPLETED, Status.FAILED, Status.CANCELLED):
        assert live_status(status, held=False) is status


@pytest.mark.parametrize("status", ["running", "waiting", "interrupted", "odd", ""])
def test_a_run_ends_in_no_other_status(status):
    with pytest.raises(Damaged):
        fold("r", stored([start(), end(status)]))


@pytest.mark.parametrize(
    "bad",
    [
        note("branched"),
        note("branched", cut="1"),
        note("stale", order=[1], args=[]),
        note("stale", order=1, args=None),
        note("unasked", orders=3),
        note("refused"),
        note("refused", digest=["x"]),
        note("unmade"),
        note("unmade", calls=[1]),
        note("unmade", calls=[{"name": "f", "scope": "", "occurrences": ["x"]}]),
    ],
    ids=lambda n: f"{n.about} {n.data}",
)
def test_a_malformed_note_is_damage(bad):
    with pytest.raises(Damaged):
        fold("r", stored([start(), call(1), bad]))


def test_an_answer_to_nothing_is_damage():
    with pytest.raises(Damaged, match="not a wait here"):
        fold("r", stored([start(), answer(ASKED[1])]))


@pytest.mark.parametrize("records", [[], [call(1)]])
def test_a_history_begins_with_a_start(records):
    with pytest.raises(Damaged, match="not a start"):
        fold("r", stored(records))


# -- calls --------------------------------------------------------------------------------


def test_calls_in_call_order_though_they_finished_in_another():
    state = fold("r", stored([start(), begun(1, "plan"), begun(2), call(2), call(1, "plan")]))
    assert [c.label for c in state.ordered_calls] == ["plan", "fetch"]
    assert all(c.begun is None for c in state.ordered_calls)


def test_an_inserted_call_stands_where_it_was_made():
    records = [start(), call(1, "a"), call(2, "b"), resumed(), call(3, "x", after=1), call(4, "y", after=3)]
    assert [c.name for c in fold("r", stored(records)).ordered_calls] == ["a", "x", "y", "b"]
    assert [c.name for c in fold("r", stored([*records, call(5, "z", after=0)])).ordered_calls] == [*"zaxyb"]


def test_calls_made_at_once_stand_in_the_order_they_were_made_in():
    records = [start(), *(call(order, name) for order, name in [(1, "a"), (3, "c"), (4, "d"), (2, "b")])]
    assert fold("r", stored(records)).sequence == [1, 2, 3, 4]


@pytest.mark.parametrize("finished", list(permutations(range(4))))
def test_inserted_calls_made_at_once_stand_where_they_were_made(finished):
    made = [call(3, "x", after=1), call(4, "end"), call(5, "y", after=3), call(6, "z", after=4)]
    records = [start(), call(1, "a"), call(2, "b"), resumed(), *(made[i] for i in finished)]
    assert fold("r", stored(records)).sequence == [1, 3, 5, 2, 4, 6]


def test_a_record_taken_though_it_drifted_says_so():
    records = [start(), call(1), call(2, occurrence=2, drift="new"), note("drift", policy="reuse", order=1, call="x")]
    state = fold("r", stored([*records, note("drift", policy="stop", call="fetch#3")]))
    assert [c.drift for c in state.ordered_calls] == ["reuse", "new"]
    branch = fold("b", stored([branch_of(stored(records), 3)]), state)
    assert [c.drift for c in branch.ordered_calls] == ["", "new"]


def test_attempts_of_one_call_share_its_place():
    records = stored([start(), failed_call(1), end("failed"), resumed(), begun(1), call(1), call(2, occurrence=2)])
    state = fold("r", records)
    assert [c.label for c in state.ordered_calls] == ["fetch", "fetch#2"]
    assert [s.id for s in state.calls[1].attempts] == [records[1].id, records[5].id]
    assert state.calls[1].id == records[5].id


def test_what_only_began_is_gone_when_the_run_is_taken_up_again():
    records = [start(), call(1, "plan"), begun(2)]
    assert fold("r", stored(records)).calls[2].begun is not None
    for last in (resumed(), end("failed")):
        state = fold("r", stored([*records, last]))
        assert [c.label for c in state.ordered_calls] == ["plan"]
        assert state.sequence == [1]


def test_the_failures_that_ended_a_run_are_known():
    first = stored([start(), failed_call(1), failed_call(2, occurrence=2)])
    state = fold("r", [*first, *stored([end("failed", failed=[first[2].id])], first[-1].id)])
    assert state.doomed == {first[2].id}


@pytest.mark.parametrize("what", [call(1), wait(1), end(), note("drift"), begun(1), None], ids=lambda r: r and r.kind)
def test_the_version_is_the_one_that_something_was_last_recorded_under(what):
    later = Resumed(70, version={"n": 2, "id": "e" * 64}, code="recorded")
    state = fold("r", stored([start(), later, *([what] if what else [])]))
    counts = what is not None and what.kind in ("call", "wait", "end")
    assert state.version["n"] == (2 if counts else 1)
    assert state.executed.code == ("recorded" if counts else "")


@pytest.mark.parametrize(
    ("records", "barren"),
    [
        ([start()], 1),
        ([start(), begun(1)], 1),
        ([start(), resumed(), begun(1), resumed()], 3),
        ([start(), resumed(), note("drift")], 2),
        ([start(), resumed(), note("stopped")], 0),
        ([start(), resumed(), note("stopped"), resumed()], 1),
        ([start(), resumed(), call(1)], 0),
        ([start(), call(1), resumed(), resumed(), wait(2)], 0),
        ([start(), resumed(), end("failed"), resumed()], 1),
        ([*(stored.record for stored in ASKED), resumed()], 1),
    ],
)
def test_how_many_executions_in_a_row_came_to_nothing(records, barren):
    kept = stored(records)
    assert fold("r", kept).barren == summarize("r", kept).barren == barren


def test_an_answer_that_was_taken_is_something():
    asked = stored([start(), wait(1), resumed()])
    assert fold("r", [*asked, *stored([answer(asked[1])], asked[-1].id)]).barren == 0


# -- waits --------------------------------------------------------------------------------


def test_open_waits():
    asked = stored([start(), wait(1), wait(2, occurrence=2)])
    state = fold("r", asked)
    assert [w.label for w in state.open_waits] == ["approve", "approve#2"]
    add(state, stored([answer(asked[2])], asked[-1].id)[0])
    assert [w.label for w in state.open_waits] == ["approve"]
    assert state.status is Status.WAITING
    add(state, stored([note("unasked", orders=[1, 7])], asked[-1].id)[0])
    assert state.open_waits == []
    assert state.status is Status.RUNNING


def test_a_refused_answer_closes_its_question_and_the_next_one_opens():
    asked = wait(1)
    again = wait(1)
    again.digest = "other"
    state = fold("r", stored([start(), asked, note("refused", digest=asked.digest), again]))
    assert state.refused == {asked.digest}
    assert [w.record.digest for w in state.open_waits] == ["other"]
    assert state.sequence == [1]


def test_no_wait_is_open_once_the_run_is_over():
    assert fold("r", stored([start(), wait(1), end()])).open_waits == []


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_a_wait_knows_that_the_run_ended_before_it_was_answered(status):
    state = fold("r", stored([start(), wait(1), end(status)]))
    assert [(w.is_open, w.ended) for w in state.ordered_waits] == [(False, status)]


def test_a_wait_is_open_again_once_a_failed_run_is_taken_up():
    state = fold("r", stored([start(), wait(1), end("failed"), resumed()]))
    assert [(w.is_open, w.ended) for w in state.ordered_waits] == [(True, "")]


def test_how_the_run_ended_is_nothing_to_a_wait_that_was_closed_before():
    state = fold("r", stored([start(), wait(1), note("unasked", orders=[1]), end("cancelled")]))
    assert [(w.closed, w.ended) for w in state.ordered_waits] == [(True, "")]


# -- branches --------------------------------------------------------------------------------


def source(*records):
    return stored([start(), *records])


def test_a_branch_shares_what_is_before_its_cut():
    base = source(call(1, "a"), call(2, "b"), call(3, "c"))
    original = fold("source", base)
    state = fold("branch", stored([branch_of(base, 2), call(2, "b2")]), original)
    assert [(c.name, c.run) for c in state.ordered_calls] == [("a", "source"), ("b2", "branch")]
    assert state.cut == 2
    assert [c.name for c in original.ordered_calls] == ["a", "b", "c"]


def test_a_branch_is_cut_in_call_order_and_not_by_number():
    base = source(call(1, "a"), call(2, "b"), call(3, "c"), resumed(), call(4, "x", after=1))
    state = fold("branch", stored([branch_of(base, 3)]), fold("source", base))
    assert [c.name for c in state.ordered_calls] == ["a", "x", "b"]
    state = fold("branch", stored([branch_of(base, 4), call(4, "x2")]), fold("source", base))
    assert [c.name for c in state.ordered_calls] == ["a", "x2"]


def test_a_branch_that_is_not_yet_cut_shares_all():
    base = source(call(1, "a"), call(2, "b"))
    first = stored([branch_of(base, None)])
    state = fold("branch", first, fold("source", base))
    assert [c.name for c in state.ordered_calls] == ["a", "b"]
    assert state.cut is None
    for record in stored([note("branched", cut=2), call(2, "new")], first[-1].id):
        add(state, record)
    assert [(c.name, c.run) for c in state.ordered_calls] == [("a", "source"), ("new", "branch")]
    assert state.cut == 2


def test_a_branch_shares_neither_open_waits_nor_unfinished_calls():
    base = source(wait(1), call(2), begun(3, occurrence=2), wait(4, occurrence=2))
    base += stored([answer(base[1])], base[-1].id)
    state = fold("branch", stored([branch_of(base, None)]), fold("source", base))
    assert state.sequence == [1, 2]
    assert state.waits[1].answer is not None
    assert state.status is Status.RUNNING


def test_a_branch_cut_at_an_open_wait_keeps_what_is_before():
    base = source(call(1), wait(2), call(3, occurrence=2))
    assert fold("branch", stored([branch_of(base, 2)]), fold("source", base)).sequence == [1]


def test_an_own_record_in_a_shared_place_is_the_first_attempt():
    base = source(call(1, "a"), call(2, "b"))
    records = stored([branch_of(base, 2), call(1, "a", how="pinned")])
    state = fold("branch", records, fold("source", base))
    assert (state.calls[1].run, state.calls[1].id) == ("branch", records[1].id)
    assert len(state.calls[1].attempts) == 1


def test_a_branch_of_a_branch():
    base = source(call(1, "a"), call(2, "b"), call(3, "c"))
    middle = stored([branch_of(base, 3), call(3, "c2"), call(4, "d2"), end()])
    middle_state = fold("middle", middle, fold("source", base))
    state = fold("branch", stored([branch_of(middle, 4), call(4, "d3")]), middle_state)
    expected = [("a", "source"), ("b", "source"), ("c2", "middle"), ("d3", "branch")]
    assert [(c.name, c.run) for c in state.ordered_calls] == expected
    assert state.end is None
    assert state.status is Status.RUNNING


def test_a_branch_inherits_doom_and_refusals():
    base = source(failed_call(1), note("refused", digest="d"))
    base += stored([end("failed", failed=[base[1].id])], base[-1].id)
    state = fold("branch", stored([branch_of(base, None)]), fold("source", base))
    assert state.doomed == {base[1].id}
    assert state.refused == {"d"}


@pytest.mark.parametrize("cut", ["2", [], True, {}])
def test_a_cut_that_is_no_place_is_damage(cut):
    base = source(call(1))
    with pytest.raises(Damaged, match="no place"):
        fold("branch", stored([branch_of(base, cut)]), fold("source", base))


def test_stale_marks_belong_to_the_branch_alone():
    base = source(call(1, "a"))
    original = fold("source", base)
    state = fold("branch", stored([branch_of(base, 2), note("stale", order=1, args=["x"])]), original)
    assert state.calls[1].stale == ["x"]
    assert original.calls[1].stale == []


# -- summaries --------------------------------------------------------------------------------


def test_a_summary_is_made_of_a_runs_own_records():
    base = source(call(1))
    records = [branch_of(base, 2, tags=["t"]), call(2, occurrence=2), wait(3, metadata=None)]
    summary = summarize("branch", stored(records))
    expected = RunSummary("branch", "agent", 1, "waiting", 1, 0, "source", ["t"], 1, ["approve"], "", asked=1)
    assert summary == replace(expected, version_id=records[0].version["id"])
    assert RunSummary.from_json(summary.to_json()) == summary


def test_the_summary_of_a_branch_with_notes_about_its_source():
    base = source(call(1), wait(2))
    records = [branch_of(base, None), note("stale", order=1, args=["x"]), note("branched", cut=2), call(2, after=1)]
    records += [answer(base[2]), end("failed", error={"message": "no luck"})]
    summary = summarize("branch", stored(records))
    assert (summary.status, summary.calls, summary.error, summary.ended) == ("failed", 1, "no luck", 99)
