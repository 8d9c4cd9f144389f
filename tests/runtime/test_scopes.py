"""Scopes: lines of work at once are told apart, so that each resumes as it was."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kitaru
from kitaru import checkpoint, flow
from kitaru.runtime.context import current_engine
from tests.runtime.bench import Bench


def scopes(ended):
    return [view.scope for view in ended.state.ordered_calls]


def test_the_body_has_none_and_tasks_are_counted_by_name_when_they_are_made(bench):
    @checkpoint
    async def step(n):
        await asyncio.sleep(0)
        return n

    async def branch(n):
        await step(n)

        async def twig():
            await step(n)

        await asyncio.gather(twig(), twig())

    @flow
    async def body():
        await step(0)
        await asyncio.gather(branch(1), branch(1))
        await asyncio.create_task(branch(2))

    found = scopes(bench.run(body))
    assert found[0] == ""
    for n in (1, 2, 3):
        assert {f"/branch#{n}", f"/branch#{n}/twig#1", f"/branch#{n}/twig#2"} <= set(found)
    assert len(found) == 10


def test_two_branches_with_equal_inputs_resume_right_whichever_ended_first(bench):
    executed = []

    def define(*, dies):
        turn = asyncio.Event()

        @checkpoint
        async def roll(sides):
            executed.append(sides)
            return len(executed)

        @checkpoint
        async def use(kind, rolled):
            executed.append((kind, rolled))
            return kind, rolled

        async def branch(kind):
            if kind == "first":  # the second one rolls first
                await turn.wait()
            rolled = await roll(6)
            turn.set()
            if dies and kind == "second":
                raise KeyboardInterrupt
            return await use(kind, rolled)

        @flow
        async def body():
            return await asyncio.gather(branch("first"), branch("second"))

        return body

    stopped = bench.run(define(dies=True))
    assert stopped.status == "interrupted"
    before = list(executed)
    resumed = bench.resume(stopped.run, define(dies=False))
    assert resumed.value[1] == ("second", 1)
    assert resumed.value[0][0] == "first"
    assert executed[: len(before)] == before
    assert sum(1 for e in executed if e == 6) == 2
    assert "drift" not in resumed.notes


def test_tasks_of_a_loop_that_a_sync_body_runs_are_told_apart_by_their_first_call(bench):
    @checkpoint
    async def step(n):
        await asyncio.sleep(0)
        return n

    async def branch():
        return await step(1) + await step(2)

    async def both():
        return await asyncio.gather(branch(), branch())

    @flow
    def body():
        return asyncio.run(both())

    ran = bench.run(body)
    assert ran.value == [3, 3]
    assert set(scopes(ran)) == {"/branch#1", "/branch#2"}


def test_a_body_that_blocks_an_event_loop_is_the_same_body_elsewhere(bench):
    @checkpoint
    def step(n):
        return n

    @flow
    def body():
        return step(1) if kitaru.wait("approve") else 0

    async def begin():
        return bench.project.run(body, {}, foreground=True).exec_id

    run = asyncio.run(begin())
    bench.project.answer(run, "approve", True, resume=False)
    ended = bench.resume(run, body)
    assert ended.value == 1
    assert [w.label for w in ended.state.ordered_waits] == ["approve"]


def test_tasks_that_a_checkpoint_makes_do_not_count(bench):
    @checkpoint
    async def inner():
        async def branch():
            return 1

        return sum(await asyncio.gather(branch(), branch()))

    @checkpoint
    async def step():
        return 5

    async def branch():
        return await step()

    @flow
    async def body():
        return [await inner(), await asyncio.create_task(branch())]

    assert scopes(bench.run(body)) == ["", "/branch#1"]


def test_threads_of_a_task_belong_to_its_scope(bench):
    @checkpoint
    def step(n):
        return n

    async def branch(n):
        return await asyncio.to_thread(step, n)

    @flow
    async def body():
        return await asyncio.gather(branch(1), branch(2))

    assert sorted(scopes(bench.run(body))) == ["/branch#1", "/branch#2"]


@pytest.mark.parametrize("ends", ["crash", "failure"])
def test_of_equal_calls_at_once_each_keeps_what_the_body_has_seen(bench, ends):
    """The first is cut short twice, while the second ends: what the second gave stays the second's."""
    given, seen = itertools.count(), []

    def define(*, cuts):
        @checkpoint
        async def step():
            return next(given)

        @flow
        async def body():
            first, second = step(), step()  # as by gather: both are made before either executes
            if cuts == 1:
                first.close()
                seen.append([None, await second])
                if ends == "failure":
                    raise ValueError("after")
                raise KeyboardInterrupt
            seen.append([await first, await second])
            if cuts == 2:
                raise KeyboardInterrupt
            return seen[-1]

        return body

    stopped = bench.run(define(cuts=1))
    again = bench.resume(stopped.run, define(cuts=2))
    ended = bench.resume(stopped.run, define(cuts=0))
    assert again.status == "interrupted"
    assert seen == [[None, 0], [1, 0], [1, 0]]
    assert ended.value == [1, 0]
    assert [view.record.repeat for view in ended.state.ordered_calls] == [0, 1]


# -- any program, stopped anywhere -----------------------------------------------------------------------------------

STEP = st.tuples(st.sampled_from(["call", "branches", "map", "submits", "chain"]), st.integers(1, 3))
PROGRAM = st.lists(STEP, min_size=1, max_size=4)


class Executed:
    """What was executed and recorded as completed, over all executions of a run; stops the run after some of it."""

    def __init__(self):
        self.completed, self.lock, self.left, self.engine = [], threading.Lock(), -1, None

    def note(self, call):
        with self.lock:
            self.completed.append(call)
            self.left -= 1
            if self.left == 0:
                self.engine.interrupt()


def define_async(program, seen, order):
    chance = random.Random(order)

    @checkpoint
    async def work(n, before=0):
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        return n + before

    async def branch(n):
        return await work(n, await work(n))

    @flow
    async def body():
        seen.engine = current_engine.get()
        found = []
        for kind, n in program:
            if kind == "call":
                found.append(await work(n))
            elif kind == "branches":
                found.append(await asyncio.gather(*(branch(1) for _ in range(n + 1))))
            elif kind == "map":
                found.append(await work.map(range(n + 2)))
            elif kind == "submits":
                found.append([await f for f in [work.submit(1) for _ in range(n + 1)]])
            else:
                future = work.submit(n)
                for _ in range(n):
                    future = work.submit(future, before=future)
                found.append(await future)
        return found

    return body


def define_threads(program, seen, order):
    @checkpoint
    def work(n, before=0):
        return n + before

    @flow(max_workers=3)
    def body():
        seen.engine = current_engine.get()
        found = []
        for kind, n in program:
            if kind == "call":
                found.append(work(n))
            elif kind == "map":
                items = list(range(n + 2))
                random.Random(order).shuffle(items)
                found.append(sorted(work.map(items).results()))
            elif kind in ("submits", "branches"):
                found.append([f.result() for f in [work.submit(1) for _ in range(n + 1)]])
            else:
                future = work.submit(n)
                for _ in range(n):
                    future = work.submit(future, before=future)
                found.append(future.result())
        return found

    return body


def watch(bench, seen):
    """Tell `seen` of each call that was recorded."""

    def start(act):
        def observer(event):
            if event.kind == "call" and event.data["how"] == "ran":
                seen.note((event.data["order"], event.data["call"]))

        return act(observer)

    return start


@pytest.mark.parametrize("define", [define_async, define_threads])
@settings(max_examples=40, deadline=None)
@given(program=PROGRAM, stops=st.lists(st.integers(1, 6), max_size=3), order=st.integers(0, 1000))
def test_a_run_stopped_anywhere_ends_as_if_undisturbed_and_completes_nothing_twice(
    tmp_path_factory, define, program, stops, order
):
    seen = Executed()
    bench = Bench(tmp_path_factory.getbasetemp())
    undisturbed = bench.run(define(program, seen, 0))
    seen.completed.clear()
    told = watch(bench, seen)
    seen.left = stops[0] if stops else -1
    body = define(program, seen, order)
    handle = told(lambda observer: bench.project.run(body, {}, observer=observer, foreground=True))
    for n, stop in enumerate([*stops[1:], -1]):
        if handle.outcome.status == "completed":
            break
        seen.left, run = stop, handle.exec_id
        body = define(program, seen, order + n + 1)
        handle = told(lambda observer, run=run: bench.project.resume(run, observer=observer, foreground=True))
    assert handle.outcome.value == undisturbed.value
    assert len(seen.completed) == len(set(seen.completed))
    state = bench.project.state(handle.exec_id)
    assert len(state.ordered_calls) == len(undisturbed.log)
    assert all(len(view.attempts) == 1 for view in state.ordered_calls)
