"""Time limits of calls and of runs, and how they combine with retries and stops."""

from __future__ import annotations

import asyncio
import threading
import warnings

import pytest

from kitaru import Retry, checkpoint, flow
from kitaru.errors import CallCancelled, CallTimeout, RunFailed, RunTimeout
from kitaru.runtime.context import current_engine


def test_an_async_call_is_ended_and_the_failure_recorded(bench):
    @checkpoint(timeout=0.01)
    async def hang():
        await asyncio.Event().wait()

    @flow
    async def body():
        with pytest.raises(CallTimeout, match=r"hang took longer than its timeout of 0\.01 s") as caught:
            await hang()
        assert isinstance(caught.value, TimeoutError)
        return "on"

    ran = bench.run(body)
    assert ran.value == "on"
    assert ran.state.calls[1].record.error["type"] == "kitaru.errors:CallTimeout"
    replayed = bench.replay(ran.run, body, from_="hang")
    assert replayed.value == "on"


def test_a_recorded_timeout_is_raised_again_at_once(bench):
    executed = []

    def define(*, dies):
        @checkpoint(timeout=0.01)
        async def hang():
            executed.append(1)
            await asyncio.Event().wait()

        @flow
        async def body():
            with pytest.raises(CallTimeout):
                await hang()
            if dies:
                raise KeyboardInterrupt
            return "on"

        return body

    stopped = bench.run(define(dies=True))
    assert bench.resume(stopped.run, define(dies=False)).value == "on"
    assert executed == [1]


def test_a_timeout_of_the_functions_own_is_its_own(bench):
    @checkpoint(timeout=10)
    async def step():
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()

    @flow
    async def body():
        with pytest.raises(TimeoutError) as caught:
            await step()
        return type(caught.value).__name__

    assert bench.run(body).value == "TimeoutError"


@pytest.mark.parametrize("submitted", [False, True])
def test_a_function_on_a_thread_cannot_be_stopped_which_is_told_and_recorded(bench, submitted):
    @checkpoint(timeout=1)
    def slow():
        current_engine.get().services.clock_us.advance(3)
        return "late"

    @flow
    def body():
        return slow.submit().result() if submitted else slow()

    with pytest.warns(RuntimeWarning, match="longer than its timeout of 1 s; a function on a thread cannot be stopped"):
        ran = bench.run(body)
    assert ran.value == "late"
    assert 2_000_000 <= ran.state.calls[1].record.overran < 2_100_000


def test_within_its_time_nothing_is_said(bench):
    @checkpoint(timeout=100)
    def quick():
        return 1

    @flow
    def body():
        return quick()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bench.run(body).state.calls[1].record.overran == 0


def test_a_run_that_takes_too_long_fails_at_its_next_call_and_can_be_resumed(bench):
    late = threading.Event()

    def define(timeout):
        @checkpoint
        def step(n):
            return n

        @flow(timeout=timeout)
        def body():
            step(1)
            if timeout:
                engine = current_engine.get()
                engine.services.clock_us.advance(100)
                assert engine._stopping.wait(10)
                late.set()
            return step(2)

        return body

    failed = bench.run(define(50))
    assert late.is_set()
    assert isinstance(failed.error, RunFailed)
    assert isinstance(failed.error.__cause__, RunTimeout)
    assert failed.log == ["step"]
    assert bench.resume(failed.run, define(None)).value == 2


def test_a_run_that_is_late_cancels_async_calls(bench):
    @checkpoint
    async def hang():
        current_engine.get().services.clock_us.advance(100)
        await asyncio.Event().wait()

    @flow(timeout=50)
    async def body():
        await hang()

    failed = bench.run(body)
    assert isinstance(failed.error.__cause__, RunTimeout)
    assert failed.log == []


# -- all together --------------------------------------------------------------------------------------------------

COMBINED = [
    # what happens, retries, carrier -> what the body meets, what is recorded of the attempts, how the run ends
    ("timeout", 0, "async", CallTimeout, ["CallTimeout"], "completed"),
    ("timeout", 2, "async", CallTimeout, ["CallTimeout"] * 3, "completed"),
    ("timeout", 0, "inline", None, [None], "completed"),
    ("timeout", 2, "inline", None, [None], "completed"),
    ("timeout", 0, "thread", None, [None], "completed"),
    ("timeout", 2, "thread", None, [None], "completed"),
    ("off", 0, "async", CallCancelled, ["CallCancelled"], "completed"),
    ("off", 2, "async", CallCancelled, ["CallCancelled"], "completed"),
    ("off", 0, "thread", None, [None], "completed"),
    ("off", 2, "thread", None, [None], "completed"),
    ("stop", 0, "async", None, [], "interrupted"),
    ("stop", 2, "async", None, [], "interrupted"),
    ("stop", 0, "inline", None, [None], "interrupted"),
    ("stop", 2, "inline", None, [None], "interrupted"),
    ("stop", 0, "thread", None, [None], "interrupted"),
    ("stop", 2, "thread", None, [None], "interrupted"),
    ("stop and fail", 2, "inline", None, ["ValueError"], "interrupted"),
    ("stop and fail", 2, "thread", None, ["ValueError"], "interrupted"),
    ("late", 2, "async", None, [], "failed"),
    ("late", 2, "thread", None, [None], "failed"),
    ("fail", 0, "async", ValueError, ["ValueError"], "completed"),
    ("fail", 2, "async", ValueError, ["ValueError"] * 3, "completed"),
    ("fail", 2, "inline", ValueError, ["ValueError"] * 3, "completed"),
    ("fail", 2, "thread", ValueError, ["ValueError"] * 3, "completed"),
]


@pytest.mark.parametrize(("what", "retries", "carrier", "met", "recorded", "status"), COMBINED)
@pytest.mark.filterwarnings("ignore:.*cannot be stopped:RuntimeWarning")
def test_stops_timeouts_and_retries_combine(bench, what, retries, carrier, met, recorded, status):
    begun, go = threading.Event(), threading.Event()

    def act():
        """Do what happens while the call executes; on a thread, it goes on afterwards."""
        engine = current_engine.get()
        if what == "timeout":
            engine.services.clock_us.advance(10)
        elif what == "late":
            engine.services.clock_us.advance(1000)
            engine._stopping.wait(10)
        elif what.startswith("stop"):
            engine.interrupt()
        elif what == "off":
            begun.set()
            assert go.wait(10)
        if "fail" in what:
            raise ValueError(what)
        return "there"

    async def act_async():
        if what == "off":
            begun.set()
        elif what != "timeout":
            act()
        await asyncio.Event().wait()

    options = {"retries": Retry(retries + 1, initial=0.001), "timeout": 0.01 if what == "timeout" else None}
    step = checkpoint(name="step", **options)(act_async if carrier == "async" else act)
    body = {"inline": inline_body, "thread": thread_body, "async": async_body}[carrier](step, what, met, begun, go)
    ran = bench.run(body.with_options(timeout=100 if what == "late" else None))
    assert ran.status == status
    kinds = [
        s.record.error["type"].rpartition(":")[2] if s.record.error else None
        for view in ran.state.ordered_calls
        for s in view.attempts
    ]
    assert kinds == recorded


def inline_body(step, what, met, begun, go):
    @flow
    def body():
        if met is None:
            assert step() == "there"
        else:
            with pytest.raises(met):
                step()

    return body


def thread_body(step, what, met, begun, go):
    @flow
    def body():
        future = step.submit()
        if what == "off":
            assert begun.wait(10)
            assert not future.cancel()
            go.set()
        if met is None:
            assert future.result() == "there"
        else:
            assert isinstance(future.exception(), met)

    return body


def async_body(step, what, met, begun, go):
    @flow
    async def body():
        future = step.submit()
        if what == "off":
            await asyncio.sleep(0)
            assert begun.is_set()
            assert future.cancel()
        if met is None:
            await future
        else:
            with pytest.raises(met):
                await future

    return body
