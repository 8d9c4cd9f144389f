"""Calls: nesting, keys, threads, places."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from dataclasses import dataclass

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import RunFailed, UsageError, WaitInsideCheckpoint
from kitaru.runtime.context import current_engine


@dataclass
class Load:
    text: str


def test_a_checkpoint_inside_a_checkpoint_is_part_of_it(bench):
    @checkpoint
    def inner(x):
        return x + 1

    @checkpoint
    def outer(x):
        return inner(x) * 2

    @flow
    def body():
        return outer(1)

    ended = bench.run(body)
    assert ended.value == 4
    assert ended.log == ["outer"]


def test_a_wait_inside_a_checkpoint_says_how_to_split_it(bench):
    @checkpoint
    def ask():
        return kitaru.wait("approve")

    @flow
    def body():
        return ask()

    ended = bench.run(body)
    assert ended.status == "failed"
    assert isinstance(ended.error.__cause__, WaitInsideCheckpoint)
    assert (type(ended.error), ended.error.exit_code) == (RunFailed, 1)
    assert ended.error.message.startswith(f"run {ended.run} failed: WaitInsideCheckpoint: kitaru.wait('approve')")
    first, then = ended.error.hint.splitlines()
    assert first.startswith("split ask")
    assert then == f"fix the cause, then kitaru resume {ended.run}"


def test_the_key_of_a_call_is_the_same_on_every_attempt(bench):
    keys, attempts = [], []

    def make(*, fail):
        @checkpoint
        def charge(order):
            call = kitaru.current_call()
            keys.append(call.key)
            attempts.append(call.attempt)
            if fail and order == "b":
                raise ValueError
            return order

        @flow
        def body():
            return [charge(o) for o in ("a", "b", "b")]

        return body

    first = bench.run(make(fail=True))
    assert bench.resume(first.run, make(fail=False)).status == "completed"
    a, b1, b1_again, b2 = keys
    assert b1 == b1_again
    assert len({a, b1, b2}) == 3
    assert attempts == [1, 1, 2, 1]
    assert all(len(k) == 32 and int(k, 16) for k in keys)


def test_the_key_hangs_on_identity_and_not_on_position(bench):
    keys = []

    def make(items, *, crash):
        @checkpoint
        def charge(order):
            keys.append((order, kitaru.current_call().key))
            if crash and order == "b":
                raise KeyboardInterrupt
            return order

        @flow
        def body():
            return [charge(o) for o in items]

        return body

    first = bench.run(make(["a", "b"], crash=True))
    assert bench.resume(first.run, make(["a", "new", "b"], crash=False)).value == ["a", "new", "b"]
    assert keys[1][0] == "b"
    assert keys[1] == keys[-1]


def test_there_is_no_current_call_elsewhere():
    with pytest.raises(UsageError, match="no checkpoint"):
        kitaru.current_call()


def test_values_handed_out_twice_are_apart(bench):
    def make(*, crash):
        @checkpoint
        def items():
            return [1]

        @checkpoint
        def stop():
            if crash:
                raise KeyboardInterrupt

        @flow
        def body():
            first, second = items(), items()
            stop()
            first.append(2)
            return [first, second]

        return body

    run = bench.run(make(crash=True)).run
    assert bench.resume(run, make(crash=False)).value == [[1, 2], [1]]


def test_calls_made_in_threads_of_one_run_have_places_of_their_own(bench):
    gate = threading.Barrier(4)

    @checkpoint
    def fetch(n):
        gate.wait(10)
        return n

    async def together():
        return await asyncio.gather(*(asyncio.to_thread(fetch, n) for n in range(4)))

    @flow
    def body():
        return asyncio.run(together())

    ended = bench.run(body)
    assert ended.value == [0, 1, 2, 3]
    assert sorted(ended.log) == ["fetch", "fetch#2", "fetch#3", "fetch#4"]
    assert sorted(ended.state.calls) == [1, 2, 3, 4]


def test_a_call_in_flight_for_long_is_noted_and_counted_once(bench):
    """The note is there for `kitaru log`; a crash then must not leave a number behind."""

    def make(*, crash):
        @checkpoint
        def slow(n):
            engine = current_engine.get()
            call = kitaru.current_call()
            call.began_us -= 60_000
            engine.in_flight._look()
            views = bench.project.state(engine.run).calls
            assert views[call.order].begun is not None
            if crash and n == 2:
                raise KeyboardInterrupt
            return n

        @flow
        def body():
            return [slow(1), slow(2)]

        return body

    first = bench.run(make(crash=True))
    assert first.status == "interrupted"
    ended = bench.resume(first.run, make(crash=False))
    assert ended.value == [1, 2]
    assert ended.log == ["slow", "slow#2"]
    assert sorted(ended.state.calls) == [1, 2]


def test_defaults_are_inputs_of_the_run(bench):
    def make(default, *, crash):
        @checkpoint
        def ask(limit):
            if crash:
                raise KeyboardInterrupt
            return limit

        @flow
        def body(limit: int = default):
            return ask(limit)

        return body

    first = bench.run(make(3, crash=True))
    assert bench.resume(first.run, make(99, crash=False)).value == 3


def test_a_flow_that_no_longer_takes_its_inputs_leaves_the_run_as_it_was(bench):
    def make(name, *, crash):
        @checkpoint
        def ask(q):
            if crash:
                raise KeyboardInterrupt
            return q

        if name == "question":

            @flow
            def body(question):
                return ask(question)
        else:

            @flow
            def body(topic):
                return ask(topic)

        return body

    first = bench.run(make("question", crash=True), question="why?")
    before = bench.project.repo.records(first.run)
    with pytest.raises(UsageError, match="no input named 'question'"):
        bench.resume(first.run, make("topic", crash=False))
    assert len(bench.project.repo.records(first.run)) == len(before)
    assert bench.project.state(first.run).status == "interrupted"
    assert bench.resume(first.run, make("question", crash=False)).value == "why?"


def test_what_a_call_was_given_is_freed_when_it_is_over(bench):
    gone = []

    @checkpoint
    def weigh(load):
        return len(load.text)

    @flow
    def body():
        load = Load("x" * 1000)
        watched = weakref.ref(load)
        weigh(load)
        del load
        gone.append(watched() is None)

    gc.disable()  # it is not to take a collection, which may come much later
    try:
        bench.run(body)
    finally:
        gc.enable()
    assert gone == [True]


def test_the_task_of_an_async_call_is_freed_when_it_is_over(bench):
    tasks = []

    @checkpoint
    async def ask(n):
        tasks.append(weakref.ref(asyncio.current_task()))
        return n

    @flow
    async def body():
        await ask(1)
        await ask(2)
        return tasks[0]() is None

    gc.disable()
    try:
        ended = bench.run(body)
    finally:
        gc.enable()
    assert ended.value is True
