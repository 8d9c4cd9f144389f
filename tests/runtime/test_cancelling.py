"""A runner sees a request to cancel while it executes, whatever it is doing, and ends the run as it was asked."""

from __future__ import annotations

import asyncio
import threading

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import Damaged, RunCancelled
from kitaru.model.history import Status
from kitaru.store.check import check

SOON_S = 30


class Asking:
    """Asks for the run to be cancelled from inside of it, and waits until its runner has seen that."""

    def __init__(self, bench):
        self.project = bench.project
        self.engine = None

    def __call__(self):
        from kitaru.runtime.context import current_engine

        self.engine = current_engine.get()
        self.project.repo.put_cancellation(self.engine.run, by="ada", at=7, reason="enough")

    def seen(self):
        assert self.engine._stopping.wait(SOON_S)


@pytest.fixture
def ask(bench):
    return Asking(bench)


def ended_cancelled(bench, ended):
    assert ended.status == "cancelled"
    assert isinstance(ended.error, RunCancelled)
    assert "by ada" in str(ended.error)
    state = bench.project.state(ended.run)
    assert state.status is Status.CANCELLED
    assert state.end.cancelled == {"by": "ada", "at": 7, "reason": "enough"}
    assert not bench.project.repo.is_held(ended.run)
    assert check(bench.project.repo).is_clean
    assert ended.events("end") == [{"status": "cancelled"}]
    return True


def test_a_call_on_this_thread_is_the_last_one(bench, ask):
    made = []

    @checkpoint
    def work():
        ask()
        ask.seen()
        return "done"

    @checkpoint
    def more():
        made.append(1)

    @flow
    def body():
        work()
        more()

    ended = bench.run(body)
    assert ended_cancelled(bench, ended)
    assert ended.calls == ["work ran"]
    assert not made


def test_a_body_that_swallows_it_is_cancelled_all_the_same(bench, ask):
    @checkpoint
    def work():
        ask()
        ask.seen()

    @flow
    def body():
        work()
        try:
            work()
        except BaseException:
            return "swallowed"

    assert ended_cancelled(bench, bench.run(body))


def test_async_calls_are_cancelled(bench, ask):
    cleaned = []

    @checkpoint
    async def work():
        ask()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(1)

    @flow
    async def body():
        await work()

    ended = bench.run(body)
    assert ended_cancelled(bench, ended)
    assert cleaned
    assert ended.state.calls == {}


def test_between_two_attempts(bench, ask):
    bench.project._services = None
    from dataclasses import replace

    from kitaru.testing import fixed_services

    bench.project._services = replace(fixed_services(), delay=float)  # really waits

    @checkpoint(retries=kitaru.Retry(max_attempts=2, initial=3600))
    def work():
        ask()
        raise OSError("no")

    @flow
    def body():
        work()

    assert ended_cancelled(bench, bench.run(body))


@pytest.mark.parametrize("form", ["sleep", "sleep_async"])
def test_while_it_sleeps(bench, ask, form):
    from dataclasses import replace

    from kitaru.testing import fixed_services

    bench.project._services = replace(fixed_services(), delay=float)

    @flow
    def body():
        ask()
        if form == "sleep":
            kitaru.sleep(3600)
        else:
            asyncio.run(kitaru.sleep_async(3600))

    ended = bench._watched(lambda told: bench.project.run(body, {}, observer=told, foreground=True, stay_s=7200))
    assert ended_cancelled(bench, ended)


def test_submitted_calls_end_and_no_new_one_begins(bench, ask):
    gate, begun = threading.Event(), []

    @checkpoint
    def work(n):
        begun.append(n)
        if n == 0:
            ask()
            ask.seen()
            gate.set()
        gate.wait(SOON_S)
        return n

    @flow(max_workers=2)
    def body():
        futures = [work.submit(n) for n in range(50)]
        return [f.result() for f in futures]

    ended = bench.run(body)
    assert ended_cancelled(bench, ended)
    assert len(begun) < 50


def test_a_request_that_cannot_be_read_stops_the_run_to_be_resumed(bench, ask):
    @checkpoint
    def work():
        from kitaru.runtime.context import current_engine

        ask.engine = current_engine.get()
        bench.project.repo.blobs.create(f"cancels/{ask.engine.run}", b"{}")
        ask.seen()

    @flow
    def body():
        work()
        work()

    ended = bench.run(body)
    assert ended.status == "interrupted"
    assert isinstance(ended.error, Damaged)


def test_a_run_that_ends_before_it_looks_is_what_it_is(bench, ask):
    @flow
    def body():
        ask()
        return "done"

    assert bench.run(body).value == "done"


def test_from_the_very_process(bench):
    """Who holds the run is a thread of who asks."""
    begun, go = threading.Event(), threading.Event()

    @checkpoint
    def work():
        begun.set()
        go.wait(SOON_S)

    @flow
    def body():
        work()
        work()

    handle = bench.project.run(body, {})
    assert begun.wait(SOON_S)
    done = bench.project.cancel(handle.exec_id, wait_s=0, by="ada")
    assert not done.ended
    go.set()
    with pytest.raises(RunCancelled, match="by ada"):
        handle.wait(SOON_S)
    assert handle.status is Status.CANCELLED


def test_a_body_without_calls_is_cancelled(bench, ask):
    @flow
    def body():
        ask()
        ask.seen()
        return "done"

    assert ended_cancelled(bench, bench.run(body))


def test_an_async_body_is_cancelled_where_it_waits(bench, ask):
    reached = []

    @flow
    async def body():
        ask()
        await asyncio.Event().wait()
        reached.append(1)

    assert ended_cancelled(bench, bench.run(body))
    assert not reached


def test_an_async_body_that_takes_too_long_is_stopped_where_it_waits(bench):
    @flow(timeout=60)
    async def body():
        bench.project.services.clock_us.advance(3600)
        await asyncio.Event().wait()

    ended = bench.run(body)
    assert (ended.status, type(ended.error.__cause__).__name__) == ("failed", "RunTimeout")
