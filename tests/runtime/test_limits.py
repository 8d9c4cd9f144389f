"""A run is stopped before it executes more than it may, and goes on with a higher limit."""

from __future__ import annotations

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import BadConfig, LimitReached


def counting(**options):
    @checkpoint
    def step(n):
        return n

    @flow(**options)
    def body():
        kitaru.now()
        return sum(step(n) for n in range(5))

    return body


def limited(bench, code, **limits):
    return bench._watched(lambda told: bench.project.run(code, {}, observer=told, foreground=True, **limits))


def test_calls(bench):
    ended = limited(bench, counting(), max_calls=3)
    assert ended.status == "failed"
    assert isinstance(ended.error.__cause__, LimitReached)
    assert "has executed 3 calls, which is its limit" in str(ended.error)
    assert ended.error.hint == f"kitaru resume {ended.run} --max-calls 6"
    assert f"kitaru resume {ended.run} --max-calls" in ended.error.hint
    assert ended.calls == ["kitaru.now ran", "step ran", "step#2 ran", "step#3 ran"]
    assert ended.state.end.error["type"] == "kitaru.errors:LimitReached"


def test_a_resume_goes_on_with_a_higher_limit_and_only_with_that(bench):
    code = counting()
    run = limited(bench, code, max_calls=3).run
    again = bench.resume(run, code)
    assert again.status == "failed"
    more = bench.resume(run, code, max_calls=4)
    assert (more.status, more.calls[-1]) == ("failed", "step#4 ran")
    assert bench.resume(run, code, max_calls=100).value == 10


def test_a_limit_given_to_a_resume_holds_from_then_on(bench):
    code = counting()
    run = limited(bench, code, max_calls=2).run
    bench.resume(run, code, max_calls=3)
    assert bench.resume(run, code).status == "failed"
    assert [r.limits for r in bench.project.state(run).resumed][:1] == [{"max_calls": 3}]


def test_what_a_flow_says_holds_unless_the_run_says_otherwise(bench):
    code = counting(max_calls=2)
    assert bench.run(code).status == "failed"
    assert limited(bench, code, max_calls=5).value == 10


def test_calls_that_a_replay_shares_do_not_count(bench):
    code = counting()
    run = bench.run(code).run
    assert bench.replay(run, code, from_="step#4").value == 10
    shared = counting(max_calls=2)
    assert bench.replay(run, shared, from_="step#4").value == 10


def slow(bench, seconds, **options):
    @checkpoint
    def step(n):
        bench.project.services.clock_us.advance(seconds)
        return n

    @flow(**options)
    def body():
        return [step(n) for n in range(4)]

    return body


def test_time(bench):
    code = slow(bench, 10)
    ended = limited(bench, code, max_seconds=25)
    assert ended.status == "failed"
    assert "has executed for 25 s" in str(ended.error)
    assert ended.calls == ["step ran", "step#2 ran", "step#3 ran"]
    assert bench.resume(ended.run, code, max_seconds=60).value == [0, 1, 2, 3]


def test_time_in_which_nobody_executed_does_not_count(bench):
    code = slow(bench, 10)
    run = limited(bench, code, max_seconds=25).run
    bench.project.services.clock_us.advance(86400)
    assert bench.resume(run, code, max_seconds=60).value == [0, 1, 2, 3]


def test_time_counts_through_resumes(bench):
    code = slow(bench, 10)
    run = limited(bench, code, max_seconds=25).run
    assert bench.resume(run, code, max_seconds=28).status == "failed"


def test_a_call_without_end_is_stopped_by_the_clock_that_watches(bench):
    """The thread that looks at calls in flight finds that the time is up; an async call is cancelled."""
    import asyncio

    @checkpoint
    async def endless():
        bench.project.services.clock_us.advance(100)
        await asyncio.Event().wait()

    @flow
    async def body():
        await endless()

    ended = limited(bench, body, max_seconds=25)
    assert isinstance(ended.error.__cause__, LimitReached)


@pytest.mark.parametrize(
    "given", [{"max_calls": 0}, {"max_calls": -1}, {"max_seconds": 0}, {"max_seconds": float("nan")}]
)
def test_what_is_no_limit(bench, given):
    with pytest.raises(BadConfig):
        limited(bench, counting(), **given)
