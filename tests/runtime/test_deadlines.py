"""Deadlines, defaults and expiry; a process that stays for an answer; what a reviewer is shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import AlreadyAnswered, InvalidAnswer, RunFailed, RunRejected, UsageError, WaitExpired
from kitaru.model.encoding import Encoder
from kitaru.testing import FixedClock, memory_project
from tests.runtime.bench import Bench

US = 1_000_000


@pytest.fixture
def clock():
    return FixedClock()


@pytest.fixture
def bench(tmp_path, clock):
    found = Bench(tmp_path)
    found.project = memory_project(tmp_path, clock=clock)
    return found


def asking(schema=bool, ran=None, **options):
    @checkpoint
    def after(x):
        if ran is not None:
            ran.append(x)
        return x

    @flow
    def body():
        return after(kitaru.wait("approve", "Looks right?", schema=schema, **options))

    return body


# -- deadlines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deadline", "after_s"), [("3d", 259_200), (timedelta(hours=1), 3600), (90, 90), ("1.5h", 5400)], ids=str
)
def test_a_deadline_is_fixed_when_it_is_first_asked(bench, clock, deadline, after_s):
    ended = bench.run(asking(deadline=deadline))
    (view,) = ended.state.open_waits
    fixed = view.record.deadline
    assert 0 <= view.record.at + after_s * US - fixed < 1000 * 10
    clock.advance(after_s / 2)
    again = bench.resume(ended.run, asking(deadline=deadline))
    assert [w.record.deadline for w in again.state.open_waits] == [fixed]
    assert bench.project.log()[0].due == fixed
    assert bench.project.log()[0].wakes == 0


def test_a_moment_is_a_deadline_too(bench):
    until = datetime(2026, 3, 1, tzinfo=UTC)
    (view,) = bench.run(asking(deadline=until)).state.open_waits
    assert view.record.deadline == int(until.timestamp()) * US


def test_a_default_answers_when_the_deadline_has_passed(bench, clock):
    ran = []
    run = bench.run(asking(ran=ran, deadline="3d", default=False)).run
    clock.advance(86_400)
    assert bench.resume(run, asking(deadline="3d", default=False)).status == "waiting"
    clock.advance(3 * 86_400)
    ended = bench.resume(run, asking(ran=ran, deadline="3d", default=False))
    assert (ended.value, ran) == (False, [False])
    (view,) = ended.state.waits.values()
    assert (view.answer.source, view.answer.by) == ("default", "")
    assert ended.events("answer")[0]["source"] == "default"
    assert bench.project.repo.answer(run, view.record.digest).source == "default"
    with pytest.raises(AlreadyAnswered, match=r"answered by default at 2026-.*: False"):
        bench.project.answer(run, "approve", True)


@dataclass
class Limits:
    pages: int


@pytest.mark.parametrize(
    ("schema", "default"), [(int, 5), (Literal["a", "b"], "b"), (Limits, Limits(3)), (str | None, None)], ids=str
)
def test_a_default_is_any_value_of_the_schema(bench, clock, schema, default):
    run = bench.run(asking(schema, deadline=60, default=default)).run
    clock.advance(61)
    ended = bench.resume(run, asking(schema, deadline=60, default=default))
    assert ended.value == default


def test_without_a_default_it_expires(bench, clock):
    run = bench.run(asking(deadline=60)).run
    clock.advance(61)
    ended = bench.resume(run, asking(deadline=60))
    assert ended.status == "failed"
    assert isinstance(ended.error, RunFailed)
    assert isinstance(ended.error.__cause__, WaitExpired)
    assert "nobody answered approve of run" in str(ended.error)
    with pytest.raises(AlreadyAnswered, match="expired: nobody had answered"):
        bench.project.answer(run, "approve", True)
    again = bench.resume(run, asking(deadline=60))
    assert isinstance(again.error.__cause__, WaitExpired)
    assert bench.replay(run, asking(deadline=60), answers={"approve": True}).value is True


def test_a_flow_may_catch_that_it_expired_and_comes_out_the_same_ever_after(bench, clock):
    def make(*, crash):
        @checkpoint
        def send(n):
            if crash:
                raise KeyboardInterrupt
            return n

        @flow
        def body():
            try:
                kitaru.wait("approve", deadline=60)
            except WaitExpired as error:
                return send(str(error))

        return body

    run = bench.run(make(crash=True)).run
    clock.advance(61)
    assert bench.resume(run, make(crash=True)).status == "interrupted"
    ended = bench.resume(run, make(crash=False))
    assert ended.status == "completed"
    assert "before 2026-01-01" in ended.value


def test_an_answer_in_time_stands_though_it_is_taken_late(bench, clock):
    run = bench.run(asking(deadline=60, default=False)).run
    bench.project.answer(run, None, True, resume=False)
    clock.advance(61)
    ended = bench.resume(run, asking(deadline=60, default=False))
    assert ended.value is True
    (view,) = ended.state.waits.values()
    assert view.answer.source == "person"


def test_a_late_answer_is_refused_although_nobody_looked_at_the_deadline(bench, clock):
    run = bench.run(asking(deadline=60, default=False)).run
    clock.advance(61)
    with pytest.raises(AlreadyAnswered, match="by default"):
        bench.project.answer(run, None, True, by="ann")
    assert bench.resume(run, asking(deadline=60, default=False)).value is False


def test_a_deadline_that_has_passed_when_it_is_asked(bench):
    @flow
    def body():
        return kitaru.wait("n", schema=int, deadline=datetime(2020, 1, 1, tzinfo=UTC), default=7)

    assert bench.run(body).value == 7


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"default": True}, "no deadline"),
        ({"default": "maybe", "deadline": 5}, "true or false"),
        ({"deadline": datetime(2026, 1, 1)}, "no time zone"),
        ({"deadline": "soon"}, "deadline is 'soon'"),
        ({"timeout": -1}, "timeout is -1"),
        ({"show": "nothing"}, "names no call"),
        ({"schema": int, "choices": ["a"]}, "both schema= and choices="),
        ({"choices": []}, "no choices"),
        ({"choices": "abc"}, "no choices"),
        ({"choices": [1.5]}, "no choices"),
    ],
    ids=str,
)
def test_what_cannot_be(bench, options, told):
    @flow
    def body():
        kitaru.wait("approve", **options)

    ended = bench.run(body)
    assert isinstance(ended.error.__cause__, UsageError)
    assert told in str(ended.error)
    assert ended.state.waits == {}


def test_choices_are_a_schema(bench):
    @flow
    def body():
        return kitaru.wait("what", choices=["ship", "hold", 3])

    run = bench.run(body).run
    with pytest.raises(InvalidAnswer, match="ship"):
        bench.project.answer(run, None, "go")
    assert bench.answer(run, "hold").value == "hold"


# -- rejecting ---------------------------------------------------------------------------------------


def test_a_rejection_ends_the_run_without_its_code(bench):
    run = bench.run(asking()).run
    done = bench.project.reject(run, by="ann", note="not today")
    assert (done.ended, done.by, done.reason) == (True, "ann", "not today")
    state = bench.project.state(run)
    assert state.status == "cancelled"
    assert state.end.cancelled["wait"] == "approve"
    (view,) = state.waits.values()
    assert (view.answer.source, view.answer.by, view.answer.note) == ("rejected", "ann", "not today")
    with pytest.raises(AlreadyAnswered, match=r"was rejected by ann at 2026-.*: not today"):
        bench.project.answer(run, "approve", True)
    with pytest.raises(RunRejected, match="rejected at approve by ann") as caught:
        bench.project._finished(run).wait()
    assert caught.value.exit_code == 9


def test_who_takes_up_a_run_that_was_rejected_ends_it(bench):
    """The process that rejected it died before it could."""
    run = bench.run(asking()).run
    state = bench.project.state(run)
    bench.project._answering.reject(run, state.open_waits[0], by="ann", note="no")
    with pytest.raises(RunRejected):
        bench.resume(run, asking())
    assert bench.project.state(run).status == "cancelled"


def test_the_process_that_stays_ends_it(bench):
    ran = []

    def watch(event):
        if event.kind == "wait":
            (view,) = bench.project.state(event.run).open_waits
            bench.project._answering.reject(event.run, view, by="ann", note="no")

    handle = bench.project.run(asking(ran=ran, timeout=60), {}, observer=watch, foreground=True)
    assert isinstance(handle.outcome.error, RunRejected)
    state = bench.project.state(handle.exec_id)
    assert (state.status, state.end.cancelled["wait"], ran) == ("cancelled", "approve", [])


# -- staying ------------------------------------------------------------------------------------------


def test_a_process_stays_as_long_as_it_is_told_and_takes_the_answer(bench, clock):
    began = clock.now_us
    ended = bench.run(asking(timeout="10m"))
    assert ended.status == "waiting"
    assert 600 <= (clock.now_us - began) / US < 602

    def watch(event):
        if event.kind == "wait":
            (view,) = bench.project.state(event.run).open_waits
            yes = Encoder().encode(True)
            bench.project.repo.put_objects(yes.objects)
            bench.project.repo.put_answer(event.run, view.record.digest, value=yes.id, by="ada", at=1, note="")

    handle = bench.project.run(asking(timeout=60), {}, observer=watch, foreground=True)
    assert handle.wait() is True
    assert "kitaru answer" not in str(handle.outcome)


def test_a_deadline_passes_while_it_stays(bench):
    assert bench.run(asking(timeout=60, deadline=5, default=True)).value is True


def test_who_asks_himself_does_not_stay(bench, clock):
    bench.project.prompts = True
    began = clock.now_us
    assert bench.run(asking(timeout=600)).status == "waiting"
    assert clock.now_us - began < US


# -- what is shown -----------------------------------------------------------------------------------------------------


def showing(show, ran=None):
    @checkpoint
    def draft(n):
        kitaru.save("page", f"<p>{n}</p>")
        return {"draft": n}

    @checkpoint
    def check(text):
        return "fine"

    @flow
    def body():
        first, second = draft(1), draft(2)
        check(first)
        given = show(first, second) if callable(show) else show
        return kitaru.wait("approve", show=given)

    return body


@pytest.mark.parametrize(
    ("show", "seen"),
    [
        ("draft", {"draft": {"draft": 1}}),
        (["draft#2", "check"], {"draft#2": {"draft": 2}, "check": "fine"}),
        ("page", {"page": "<p>2</p>"}),
        (lambda first, second: second, {"draft#2": {"draft": 2}}),
        (lambda first, second: [first, second, 5], {"draft": {"draft": 1}, "draft#2": {"draft": 2}, "shown-3": 5}),
        ({"old": "a", "new": "draft"}, {"old": "a", "new": "draft"}),
        ([], {}),
    ],
    ids=range(7),
)
def test_what_is_shown(bench, show, seen):
    ended = bench.run(showing(show))
    (view,) = ended.state.open_waits
    assert {k: bench.project.value(v, ended.run) for k, v in view.record.shown.items()} == seen
    assert bench.answer(ended.run, True, None, showing(show)).value is True


def test_a_reply_is_bound_to_what_was_shown(bench):
    run = bench.run(showing({"text": "delete staging"})).run
    bench.project.answer(run, None, True, resume=False)
    ended = bench.resume(run, showing({"text": "delete prod"}))
    assert ended.status == "waiting"
    assert [w.label for w in ended.state.open_waits] == ["approve#2"]


def test_a_later_call_with_the_same_result_does_not_make_another_question(bench):
    """The label under which a value is shown is looked for among the calls; on resume there are more of them."""

    def make():
        @checkpoint
        def one():
            return [1]

        @checkpoint
        def two():
            return [1]

        @flow
        def body():
            value = one()
            first = kitaru.wait("a", show=[[1]])
            two()
            second = kitaru.wait("b", show=value)
            return first, second

        return body

    run = bench.run(make()).run
    assert bench.answer(run, True, "a", make()).status == "waiting"
    assert bench.resume(run, make()).status == "waiting"
    ended = bench.answer(run, False, "b", make())
    assert (ended.value, ended.log) == ((True, False), ["one", "a", "two", "b"])
