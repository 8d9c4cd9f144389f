"""A run from its start to its end, and resumed."""

from __future__ import annotations

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import RunFailed, RunHeld, RunInterrupted, RunOver, UsageError


def steps(ran, *, fail_at=None, error=ValueError):
    @checkpoint
    def step(n: int) -> int:
        ran.append(n)
        if n == fail_at:
            raise error("no luck")
        return n * 10

    @flow
    def body(count: int = 3) -> list:
        return [step(n) for n in range(1, count + 1)]

    return body


def test_a_run_records_its_calls_and_result(bench):
    ran = []
    ended = bench.run(steps(ran))
    assert (ended.status, ended.value, ended.error) == ("completed", [10, 20, 30], None)
    assert ended.calls == ["step ran", "step#2 ran", "step#3 ran"]
    assert ended.log == ["step", "step#2", "step#3"]
    assert [c.order for c in ended.state.ordered_calls] == [1, 2, 3]
    assert bench.project.value(ended.state.end.output) == [10, 20, 30]


def test_events_tell_the_story(bench):
    ended = bench.run(steps([]), count=1)
    assert ended.told.kinds() == ["version", "run", "begin", "call", "end"]


def test_a_resumed_run_executes_only_what_is_not_recorded(bench):
    ran = []
    first = bench.run(steps(ran, fail_at=2, error=KeyboardInterrupt))
    assert first.status == "interrupted"
    assert isinstance(first.error, RunInterrupted)
    assert first.state.status == "interrupted"
    ended = bench.resume(first.run, steps(ran))
    assert (ended.status, ended.value) == ("completed", [10, 20, 30])
    assert ran == [1, 2, 2, 3]
    assert ended.calls == ["step recorded", "step#2 ran", "step#3 ran"]
    assert ended.log == ["step", "step#2", "step#3"]


def test_a_failed_run_is_mended_and_resumed_in_place(bench):
    ran = []
    first = bench.run(steps(ran, fail_at=2))
    assert first.status == "failed"
    assert isinstance(first.error, RunFailed)
    assert isinstance(first.error.__cause__, ValueError)
    assert "no luck" in first.error.message
    ended = bench.resume(first.run, steps(ran))
    assert ended.value == [10, 20, 30]
    assert ran == [1, 2, 2, 3]
    assert ended.log == ["step", "step#2", "step#3"]
    assert len(ended.state.calls[2].attempts) == 2


def test_a_mended_call_keeps_its_place_though_its_arguments_changed(bench):
    def make(argument):
        @checkpoint
        def a(x):
            if x == "bad":
                raise ValueError(x)
            return x

        @checkpoint
        def b(x):
            return x

        @flow
        def body():
            return b(a(argument))

        return body

    first = bench.run(make("bad"))
    ended = bench.resume(first.run, make("good"))
    assert ended.value == "good"
    assert ended.log == ["a", "b"]
    assert "drift" not in ended.notes


def test_a_completed_run_cannot_be_resumed(bench):
    body = steps([])
    ended = bench.run(body)
    with pytest.raises(RunOver, match="is completed"):
        bench.resume(ended.run)


def test_a_run_is_executed_by_one_at_a_time(bench):
    told = []

    @checkpoint
    def inside():
        with pytest.raises(RunHeld):
            bench.project.resume("@", foreground=True)
        told.append(bench.project.state(bench.project.find_run("@")).status)

    @flow
    def body():
        inside()

    assert bench.run(body).status == "completed"
    assert told == ["running"]


def test_resume_without_anything_new_writes_nothing(bench):
    @checkpoint
    def a():
        return 1

    @flow
    def body():
        return a() if kitaru.wait() else 0

    ended = bench.run(body)
    before = len(bench.project.repo.records(ended.run))
    assert bench.resume(ended.run).status == "waiting"
    assert len(bench.project.repo.records(ended.run)) == before


def test_each_execution_that_writes_is_recorded_with_its_code(bench):
    first = bench.run(steps([], fail_at=1))
    ended = bench.resume(first.run, steps([]), on_drift="new")
    assert [r.on_drift for r in ended.state.resumed] == ["new"]


def test_a_flow_started_in_a_body_is_refused(bench):
    inner = steps([])

    @flow
    def body():
        bench.project.run(inner, {}, foreground=True)

    ended = bench.run(body)
    assert isinstance(ended.error.__cause__, UsageError)
    assert "body of another flow" in str(ended.error)
    assert len(bench.project.repo.run_ids()) == 1


@pytest.mark.parametrize("foreground", [True, False])
def test_a_flow_started_in_a_checkpoint_is_a_run_of_its_own(bench, foreground):
    ran = []
    inner = steps(ran)

    @checkpoint
    def delegate():
        return bench.project.run(inner, {"count": 2}, foreground=foreground).wait()

    @checkpoint
    def after(x):
        return x

    @flow
    def body():
        return after(delegate())

    ended = bench.run(body)
    assert ended.value == [10, 20]
    assert ended.log == ["delegate", "after"]
    (other,) = set(bench.project.repo.run_ids()) - {ended.run}
    assert [c.label for c in bench.project.state(other).ordered_calls] == ["step", "step#2"]
    assert ran == [1, 2]


def test_the_end_of_an_inner_run_is_not_that_of_the_outer(bench):
    @flow
    def inner():
        return kitaru.wait()

    @checkpoint
    def delegate():
        return bench.project.run(inner, {}, foreground=True).wait()

    @flow
    def body():
        return delegate()

    ended = bench.run(body)
    assert ended.status == "failed"
    assert type(ended.error) is RunFailed
    assert ended.run in ended.error.message
    assert ended.error.exit_code == 1
