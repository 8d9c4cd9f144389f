"""Async flows and checkpoints: tasks, groups, timeouts, stops."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from kitaru import checkpoint, flow, wait
from kitaru.errors import CallCancelled, Drift, RunFailed, UsageError
from kitaru.runtime.context import current_engine


@checkpoint
async def double(n):
    await asyncio.sleep(0)
    return 2 * n


@checkpoint
def plain(n):
    return n + 1


def test_await_gather_and_groups(bench):
    @flow
    async def body():
        one = await double(1)
        two, three = await asyncio.gather(double(2), double(3))
        async with asyncio.TaskGroup() as group:
            four = group.create_task(double(4))
        task = asyncio.create_task(double(5))
        return [one, two, three, four.result(), await task]

    ran = bench.run(body)
    assert ran.value == [2, 4, 6, 8, 10]
    assert ran.log == ["double", "double#2", "double#3", "double#4", "double#5"]


def test_order_is_that_in_which_calls_are_made(bench):
    ended = [asyncio.Event() for _ in range(4)]
    ended[3].set()

    @checkpoint
    async def step(n):
        await ended[n].wait()
        if n:
            ended[n - 1].set()
        return n

    @flow
    async def body():
        return await asyncio.gather(*(step(n) for n in range(4)))

    ran = bench.run(body)
    assert ran.value == [0, 1, 2, 3]
    assert [bench.project.value(v.record.output) for v in ran.state.ordered_calls] == [0, 1, 2, 3]


def test_sync_checkpoints_in_async_flows(bench):
    @flow
    async def body():
        return [
            await plain.submit(1),
            await asyncio.to_thread(plain, 2),
            plain(3),
            await plain.map([4, 5]),
            await double.map([6]),
            await double.submit(plain.submit(7)),
        ]

    assert bench.run(body).value == [2, 3, 4, [5, 6], [12], 16]


def test_async_checkpoints_in_sync_flows(bench):
    @flow
    def body():
        async def both():
            return await asyncio.gather(double(1), double(2))

        return [asyncio.run(both()), asyncio.run(double(3)), double.submit(4).result(), double.map([5]).results()]

    assert bench.run(body).value == [[2, 4], 6, 8, [10]]


def test_outside_a_run_they_are_ordinary_coroutine_functions():
    async def body():
        return [await double(1), await double.submit(2), await double.map([3])]

    assert asyncio.run(body()) == [2, 4, [6]]


def test_a_blocking_result_on_the_loop_it_executes_on_is_refused(bench):
    @flow
    async def body():
        future = double.submit(1)
        with pytest.raises(UsageError, match="block the event loop"):
            future.result()
        return await future

    assert bench.run(body).value == 2


def test_concurrency_holds_for_async_calls(bench):
    now, most = [], []

    @checkpoint(concurrency=3)
    async def step(n):
        now.append(n)
        most.append(len(now))
        await asyncio.sleep(0.001)
        now.remove(n)
        return n

    @flow
    async def body():
        direct = await asyncio.gather(*(step(n) for n in range(10)))
        return direct == list(range(10)) and await step.map(range(10, 20)) == list(range(10, 20))

    assert bench.run(body).value is True
    assert max(most) == 3


def test_a_handle_can_be_awaited(bench):
    @flow
    async def body():
        return await double(4)

    async def outer():
        return await bench.project.run(body, {})

    assert asyncio.run(outer()) == 8


def test_a_foreground_run_inside_a_running_loop_has_a_loop_of_its_own(bench):
    @flow
    async def body():
        return await double(4)

    async def outer():
        return bench.run(body).value

    assert asyncio.run(outer()) == 8


def test_a_resume_takes_what_is_recorded(bench):
    executed = []

    def define(*, dies):
        @checkpoint
        async def step(n):
            executed.append(n)
            if dies and n == 2:
                raise KeyboardInterrupt
            return n

        @flow
        async def body():
            return [await step(n) for n in range(4)]

        return body

    stopped = bench.run(define(dies=True))
    assert stopped.status == "interrupted"
    assert bench.resume(stopped.run, define(dies=False)).value == [0, 1, 2, 3]
    assert executed == [0, 1, 2, 2, 3]


def test_a_failed_call_is_executed_again_and_a_survived_one_is_not(bench):
    executed = []

    def define(*, broken):
        @checkpoint
        async def step(n):
            executed.append(n)
            if n == 0 or (broken and n == 1):
                raise ValueError(str(n))
            return n

        @flow
        async def body():
            with contextlib.suppress(ValueError):
                await step(0)
            return await step(1)

        return body

    failed = bench.run(define(broken=True))
    assert isinstance(failed.error, RunFailed)
    assert bench.resume(failed.run, define(broken=False)).value == 1
    assert executed == [0, 1, 1]


# -- called off by the code around -----------------------------------------------------------------------------------


def test_a_timeout_around_a_call_comes_out_the_same_on_resume(bench):
    executed = []

    def define(*, dies):
        @checkpoint
        async def hang():
            executed.append("hang")
            await asyncio.Event().wait()

        @flow
        async def body():
            try:
                async with asyncio.timeout(0.02):
                    await hang()
            except TimeoutError:
                found = "too late"
            if dies:
                await double(1)
                raise KeyboardInterrupt
            return found, await double(1)

        return body

    stopped = bench.run(define(dies=True))
    assert stopped.status == "interrupted"
    assert stopped.state.calls[1].record.error["type"] == "kitaru.errors:CallCancelled"
    assert bench.resume(stopped.run, define(dies=False)).value == ("too late", 2)
    assert executed == ["hang"]


def test_a_timeout_around_a_submitted_call_comes_out_the_same_too(bench):
    executed = []

    def define(*, dies):
        @checkpoint
        async def hang(n):
            executed.append(n)
            await asyncio.Event().wait()

        async def too_late(waited):
            try:
                async with asyncio.timeout(0.02):
                    await waited
            except TimeoutError:
                return "too late"

        @flow
        async def body():
            found = [await too_late(hang.submit(1)), await too_late(hang.map([2]))]
            await double(1)
            if dies:
                raise KeyboardInterrupt
            return found

        return body

    stopped = bench.run(define(dies=True))
    assert bench.resume(stopped.run, define(dies=False)).value == ["too late", "too late"]
    assert executed == [1, 2]


@pytest.mark.parametrize("submitted", [False, True])
def test_a_call_that_is_not_called_off_once_more_executes(bench, monkeypatch, submitted):
    monkeypatch.setattr("kitaru.runtime.execution.PATIENCE_S", 0.0)

    def define(*, first):
        @checkpoint
        async def slow():
            if first:
                await asyncio.Event().wait()
            return "there"

        @flow
        async def body():
            if first:
                task = asyncio.create_task(slow())
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait({task})
                await double(1)
                raise KeyboardInterrupt
            return await (slow.submit() if submitted else slow())

        return body

    stopped = bench.run(define(first=True))
    assert bench.resume(stopped.run, define(first=False)).value == "there"


def test_a_group_that_fails_calls_off_the_others_and_a_resume_executes_them(bench):
    executed = []

    def define(*, broken):
        begun = asyncio.Event()

        @checkpoint
        async def failing():
            executed.append("failing")
            await begun.wait()
            if broken:
                raise ValueError("no")
            return 1

        @checkpoint
        async def other():
            executed.append("other")
            begun.set()
            if broken:
                await asyncio.Event().wait()
            return 2

        @flow
        async def body():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(failing()), group.create_task(other())]
            return [task.result() for task in tasks]

        return body

    failed = bench.run(define(broken=True))
    assert failed.status == "failed"
    assert len(failed.state.end.failed) == 2
    assert bench.resume(failed.run, define(broken=False)).value == [1, 2]
    assert executed == ["failing", "other"] * 2


def test_a_cancelled_call_may_clean_up(bench):
    cleaned = []

    @checkpoint
    async def careful():
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(1)

    @flow
    async def body():
        future = careful.submit()
        await asyncio.sleep(0)
        assert future.cancel()
        with pytest.raises(CallCancelled):
            await future
        return "on"

    assert bench.run(body).value == "on"
    assert cleaned == [1]


# -- stops ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["gather", "swallowed", "group"])
def test_a_wait_in_one_branch_lets_calls_in_flight_end_then_suspends_and_resumes_right(bench, how):
    executed = []
    begun, go = asyncio.Event(), asyncio.Event()

    @checkpoint
    async def slow(n):
        executed.append(n)
        begun.set()
        await go.wait()
        return n

    async def asks():
        await begun.wait()
        asyncio.get_running_loop().call_soon(go.set)
        return wait("approve")

    async def works():
        first = await slow(1)
        return first + await slow(2)

    @flow
    async def body():
        if how == "group":
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(asks()), group.create_task(works())]
            return [task.result() for task in tasks]
        return await asyncio.gather(asks(), works(), return_exceptions=how == "swallowed")

    waiting = bench.run(body)
    assert waiting.status == "waiting"
    assert executed == [1]
    assert waiting.state.calls[1].record.output is not None
    begun.set()
    answered = bench.answer(waiting.run, True, "approve", body)
    assert answered.value == [True, 3]
    assert executed == [1, 2]


def test_a_stop_cancels_async_calls_which_execute_again(bench):
    executed = []
    begun = threading.Event()

    def define(*, stops):
        @checkpoint
        async def slow(n):
            executed.append(n)
            if stops and n:
                begun.set()
                await asyncio.Event().wait()
            return n

        @flow
        async def body():
            if stops:
                engine = current_engine.get()
                threading.Thread(target=lambda: begun.wait(10) and engine.interrupt()).start()
            return await asyncio.gather(slow(0), slow(1))

        return body

    stopped = bench.run(define(stops=True))
    assert stopped.status == "interrupted"
    assert [v.record is not None for v in stopped.state.ordered_calls] == [True]
    assert bench.resume(stopped.run, define(stops=False)).value == [0, 1]
    assert sorted(executed) == [0, 1, 1]


def test_tasks_left_behind_by_the_body_are_cancelled_when_it_ends(bench):
    @checkpoint
    async def slow():
        await asyncio.Event().wait()

    @flow
    async def body():
        async def beside():
            await double(1)
            await asyncio.Event().wait()

        task = asyncio.create_task(beside())
        await double(2)
        await asyncio.sleep(0)
        return task.get_name() is not None

    assert bench.run(body).value is True


def test_commits_and_retries_do_not_wait_behind_the_loops_own_threads(bench):
    """The loop's default executor may be full of other work; a delay holds no thread."""
    go, held = threading.Event(), []

    @checkpoint(retries=2)
    async def flaky(n):
        held.append(n)
        if held.count(n) == 1:
            raise ValueError(n)
        return n

    @flow
    async def body():  # full_of_other_work
        others = [asyncio.create_task(asyncio.to_thread(go.wait, 20)) for _ in range(64)]
        await asyncio.sleep(0)
        found = await asyncio.gather(*(flaky(n) for n in range(40)))
        assert not any(task.done() for task in others)
        go.set()
        await asyncio.gather(*others)
        return found

    assert bench.run(body).value == list(range(40))


def test_a_stop_in_a_task_that_nobody_awaits_unwinds_a_body_that_waits_for_something_else(bench):
    @checkpoint
    async def step(n):
        return n

    def define(*, first, stops):
        @flow
        async def body():
            queue = asyncio.Queue()

            async def work():
                for n in range(first, first + 2):
                    await step(n)
                    queue.task_done()

            for n in range(2):
                queue.put_nowait(n)
            task = asyncio.create_task(work())
            await queue.join()
            await task
            if stops:
                raise KeyboardInterrupt

        return body

    stopped = bench.run(define(first=0, stops=True))
    assert stopped.status == "interrupted"
    assert isinstance(bench.resume(stopped.run, define(first=10, stops=False)).error, Drift)
