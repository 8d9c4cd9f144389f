"""Retries: failed attempts are recorded, and are made again after a while; of calls and of whole runs."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitaru import Retry, checkpoint, current_call, flow
from kitaru.errors import BadConfig, CallTimeout, RunFailed, Unencodable
from kitaru.runtime.context import current_engine


def attempts(view):
    """Error type and delay of each attempt."""
    found = []
    for stored in view.attempts:
        error = stored.record.error
        found.append((error["type"].partition(":")[2] if error else None, stored.record.delay))
    return found


@pytest.mark.parametrize("carrier", ["inline", "thread", "async"])
def test_a_call_is_attempted_again_and_each_attempt_recorded(bench, carrier):
    seen = []

    def step():
        seen.append((current_call().attempt, current_call().key))
        if len(seen) < 3:
            raise ValueError(len(seen))
        return "there"

    async def step_async():
        await asyncio.sleep(0)
        return step()

    made = checkpoint(name="step", retries=Retry(5, initial=1, multiplier=2, jitter=0))(
        step_async if carrier == "async" else step
    )

    @flow
    def threaded():
        return made.submit().result()

    @flow
    def plain():
        return made()

    @flow
    async def looped():
        return await made()

    body = {"inline": plain, "thread": threaded, "async": looped}[carrier]
    ran = bench.run(body)
    assert ran.value == "there"
    assert attempts(ran.state.calls[1]) == [("ValueError", 1_000_000), ("ValueError", 2_000_000), (None, None)]
    assert [n for n, _ in seen] == [1, 2, 3]
    assert len({key for _, key in seen}) == 1


def test_the_last_failure_is_the_calls(bench):
    @checkpoint(retries=2)
    def broken():
        raise ValueError("always")

    @flow
    def body():
        return broken()

    failed = bench.run(body)
    assert isinstance(failed.error, RunFailed)
    assert [delay is None for _, delay in attempts(failed.state.calls[1])] == [False, False, True]
    again = bench.resume(failed.run, body)  # a new set of attempts
    assert len(again.state.calls[1].attempts) == 6
    assert again.log == ["broken"]


def test_time_passes_between_attempts(bench):
    times = []

    @checkpoint(retries=Retry(3, initial=10, multiplier=3, jitter=0))
    def step():
        times.append(current_engine.get().now())
        if len(times) < 3:
            raise OSError
        return 1

    @flow
    def body():
        return step()

    assert bench.run(body).value == 1
    first, second = (b - a for a, b in itertools.pairwise(times))
    assert 10_000_000 <= first < 11_000_000
    assert 30_000_000 <= second < 31_000_000


def test_attempts_are_counted_across_a_crash(bench):
    tries = []

    def define(*, dies):
        @checkpoint(retries=3)
        def step():
            tries.append(current_call().attempt)
            if dies and len(tries) == 3:
                raise KeyboardInterrupt
            raise ValueError("no")

        @flow
        def body():
            return step()

        return body

    stopped = bench.run(define(dies=True))
    assert stopped.status == "interrupted"
    assert len(stopped.state.calls[1].attempts) == 2
    failed = bench.resume(stopped.run, define(dies=False))
    assert failed.status == "failed"
    assert tries == [1, 2, 3, 3, 4]
    assert failed.log == ["step"]


@pytest.mark.parametrize("carrier", ["inline", "async"])
def test_a_resume_waits_for_what_is_left_of_a_delay(bench, carrier):
    times = []

    def define(*, stops):
        def step():
            engine = current_engine.get()
            times.append(engine.now())
            if stops:
                engine.after_call.append(lambda record: engine.interrupt())
                raise OSError
            return "there"

        async def step_async():
            return step()

        made = checkpoint(name="step", retries=Retry(2, initial=50, jitter=0))(
            step if carrier == "inline" else step_async
        )

        @flow
        def inline():
            return made()

        @flow
        async def looped():
            return await made()

        return inline if carrier == "inline" else looped

    stopped = bench.run(define(stops=True))
    assert (stopped.status, attempts(stopped.state.calls[1])) == ("interrupted", [("OSError", 50_000_000)])
    bench.project.services.clock_us.advance(20)
    moved = times[0]
    assert bench.resume(stopped.run, define(stops=False)).value == "there"
    assert 50_000_000 <= times[1] - moved < 51_000_000


def test_a_stop_ends_the_wait_between_attempts(bench):
    @checkpoint(retries=Retry(3, initial=100, jitter=0))
    def step():
        current_engine.get().interrupt()
        raise ValueError("no")

    @flow
    def body():
        return step()

    assert bench.run(body).status == "interrupted"


def test_on_and_not_on(bench):
    tries = []

    @checkpoint(
        retries=Retry(3, on=(OSError,), not_on=(FileNotFoundError,)), ignore="kind", key=lambda kind: kind.__name__
    )
    def step(kind):
        tries.append(kind.__name__)
        raise kind

    @flow
    def body():
        for kind in (OSError, FileNotFoundError, ValueError, PermissionError):
            with pytest.raises(kind):
                step(kind)

    assert bench.run(body).status == "completed"
    assert [tries.count(k) for k in ("OSError", "FileNotFoundError", "ValueError", "PermissionError")] == [3, 1, 1, 3]


def test_what_kitaru_refuses_is_not_attempted_again(bench):
    tries = []

    @checkpoint(retries=3)
    def step():
        tries.append(1)
        return object()

    @flow
    def body():
        with pytest.raises(Unencodable):
            step()

    assert bench.run(body).status == "completed"
    assert len(tries) == 1


def test_a_flow_goes_on_from_where_it_failed(bench):
    executed = []

    @checkpoint
    def good():
        executed.append("good")
        return 1

    @checkpoint
    def flaky():
        executed.append("flaky")
        if executed.count("flaky") < 3:
            raise ValueError("not yet")
        return 2

    @flow(retries=3)
    def body():
        return good() + flaky()

    ran = bench.run(body)
    assert ran.value == 3
    assert executed == ["good", "flaky", "flaky", "flaky"]
    assert len(ran.state.resumed) == 2


def test_a_flow_gives_up_in_the_end(bench):
    @checkpoint
    def broken():
        raise ValueError("always")

    @flow(retries=2)
    def body():
        broken()

    failed = bench.run(body)
    assert failed.status == "failed"
    assert len(failed.state.calls[1].attempts) == 3


# -- the policy ------------------------------------------------------------------------------------------------------


@given(
    attempt=st.integers(1, 400),
    initial=st.floats(0, 100),
    multiplier=st.floats(1, 10),
    maximum=st.floats(0, 1000),
    jitter=st.floats(0, 1),
    chance=st.binary(min_size=4, max_size=4),
)
def test_a_delay_is_bounded(attempt, initial, multiplier, maximum, jitter, chance):
    policy = Retry(1000, initial, multiplier, maximum, jitter)
    assert 0 <= policy.delay_us(attempt, ValueError(), lambda _: chance) <= maximum * 1_000_000


def test_jitter_adds_or_takes_away():
    policy = Retry(initial=10, jitter=0.5)
    ends = [policy.delay_us(1, ValueError(), lambda _, b=b: b * 4) for b in (b"\0", b"\x80", b"\xff")]
    assert ends[0] == 5_000_000
    assert 9_900_000 < ends[1] < 10_100_000
    assert 14_900_000 < ends[2] < 15_000_000


@pytest.mark.parametrize(
    "given",
    [
        {"max_attempts": 0},
        {"max_attempts": 1.5},
        {"initial": -1},
        {"initial": "1"},
        {"multiplier": 0.5},
        {"maximum": float("nan")},
        {"jitter": 2},
        {"on": (5,)},
        {"not_on": ("ValueError",)},
    ],
)
def test_a_policy_that_cannot_be_is_refused(given):
    with pytest.raises(BadConfig, match=next(iter(given))):
        Retry(**given)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"retries": -1}, "retries"),
        ({"retries": True}, "retries"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "soon"}, "timeout"),
        ({"concurrency": 0}, "concurrency"),
        ({"cache": "yes"}, "cache"),
        ({"runtime": ""}, "runtime"),
        ({"runtime_options": 5}, "runtime_options"),
        ({"key": 5}, "key"),
        ({"speed": 5}, "speed"),
        ({"on_drift": "ask"}, "on_drift"),
    ],
)
def test_options_that_cannot_be_are_refused_at_decoration(options, said):
    with pytest.raises(BadConfig, match=said):
        checkpoint(**options)


def test_a_timeout_is_an_ordinary_reason_to_try_again():
    assert Retry(jitter=0).delay_us(1, CallTimeout("slow"), bytes) == 1_000_000
