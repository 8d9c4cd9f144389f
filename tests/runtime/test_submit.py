"""Submitted calls: in the order they were made in, whoever executes them and whenever they end."""

from __future__ import annotations

import concurrent.futures
import threading

import pytest

import kitaru
from kitaru import CallFuture, checkpoint, flow, wait
from kitaru.errors import Drift, RunFailed, RunInterrupted, StoreError, Unencodable
from kitaru.runtime.context import current_engine
from kitaru.runtime.execution import Execution


@checkpoint
def double(n):
    return 2 * n


@checkpoint
def add(a, b):
    return a + b


def test_a_future_has_its_result(bench):
    @flow
    def body():
        future = double.submit(4)
        assert isinstance(future, CallFuture)
        return future.result(5), future.exception(), future.done()

    assert bench.run(body).value == (8, None, True)


def test_order_is_that_of_submission_though_the_calls_end_in_reverse(bench):
    ended = [threading.Event() for _ in range(5)]
    ended[4].set()

    @checkpoint
    def step(n):
        assert ended[n].wait(10)
        return n

    @flow
    def body():
        futures = [step.submit(n) for n in range(5)]
        for before, future in zip(ended, futures[1:], strict=False):
            future.add_done_callback(lambda _, before=before: before.set())
        return [f.result() for f in concurrent.futures.as_completed(futures)]

    ran = bench.run(body)
    assert ran.value == [4, 3, 2, 1, 0]
    assert ran.log == ["step", "step#2", "step#3", "step#4", "step#5"]
    assert [bench.project.value(v.record.output) for v in ran.state.ordered_calls] == [0, 1, 2, 3, 4]


def test_futures_as_arguments_are_awaited_first_wherever_they_stand(bench):
    @checkpoint
    def gather(parts, named, pair):
        return [parts, named, pair]

    @flow
    def body():
        one, two = double.submit(1), double.submit(2)
        return gather.submit([one, 3], named={"two": two}, pair=(two, (one,))).result()

    assert bench.run(body).value == [[2, 3], {"two": 4}, (4, (2,))]


def test_dependent_calls_do_not_fill_the_pool_that_their_inputs_need(bench):
    go = threading.Event()

    @checkpoint
    def first(n):
        assert go.wait(10)
        return n

    @flow(max_workers=1)
    def body():
        start = first.submit(1)
        chain = start
        for _ in range(50):
            chain = add.submit(chain, start)
        go.set()
        return chain.result()

    assert bench.run(body).value == 51


def test_a_call_that_waits_for_its_inputs_has_the_place_it_was_submitted_at(bench):
    go = threading.Event()

    @checkpoint
    def late():
        assert go.wait(10)
        return 1

    @flow
    def body():
        dependent = double.submit(late.submit())
        assert double(5) == 10  # made later, over sooner
        go.set()
        return dependent.result()

    ended = bench.run(body)
    told = [(v.order, v.label, bench.project.value(v.record.output)) for v in ended.state.ordered_calls]
    assert told == [(1, "late", 1), (2, "double", 2), (3, "double#2", 10)]


def test_submitting_does_not_wait_for_inputs(bench):
    go = threading.Event()

    @checkpoint
    def slow():
        assert go.wait(10)
        return 1

    @flow
    def body():
        later = double.submit(slow.submit())
        assert not later.done()
        go.set()
        return later.result()

    assert bench.run(body).value == 2


def test_an_input_that_failed_fails_what_depends_on_it_and_nothing_of_that_is_recorded(bench):
    @checkpoint
    def broken():
        raise ValueError("no")

    @flow
    def body():
        future = double.submit(broken.submit())
        assert type(future.exception()) is ValueError
        return "went on"

    ran = bench.run(body)
    assert ran.value == "went on"
    assert ran.log == ["broken"]


def test_what_is_recorded_is_there_at_once_on_resume(bench):
    executed = []

    def define(*, dies):
        @checkpoint
        def step(n):
            executed.append(n)
            return n

        @flow
        def body():
            futures = [step.submit(n) for n in range(4)]
            done = [f.done() for f in futures]
            assert [f.result() for f in futures] == [0, 1, 2, 3]
            if dies:
                raise KeyboardInterrupt
            return done

        return body

    stopped = bench.run(define(dies=True))
    assert stopped.status == "interrupted"
    resumed = bench.resume(stopped.run, define(dies=False))
    assert resumed.value == [True, True, True, True]
    assert sorted(executed) == [0, 1, 2, 3]
    assert resumed.calls == ["step recorded", "step#2 recorded", "step#3 recorded", "step#4 recorded"]


def test_a_resume_with_dependent_calls_matches_them_though_inputs_are_there_at_once(bench):
    executed = []

    def define(*, dies):
        @checkpoint
        def step(a, b=0):
            executed.append((a, b))
            return a + 1

        @flow
        def body():
            left, right = step.submit(1), step.submit(1)
            deep = [step.submit(left, b=1), step.submit(right, b=1), step.submit(2, b=1)]
            values = [f.result() for f in deep]
            if dies:
                raise KeyboardInterrupt
            return values

        return body

    stopped = bench.run(define(dies=True))
    resumed = bench.resume(stopped.run, define(dies=False))
    assert resumed.value == [3, 3, 3]
    assert len(executed) == 5
    assert {how for _, how in resumed.told.calls()} == {"recorded"}


def test_a_failure_that_nobody_asked_for_fails_the_run_and_executes_again(bench):
    tries = []

    @checkpoint
    def flaky():
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("once")
        return 1

    @flow
    def body():
        flaky.submit()
        return "body is through"

    failed = bench.run(body)
    assert failed.status == "failed"
    assert isinstance(failed.error, RunFailed)
    assert "once" in str(failed.error)
    assert bench.resume(failed.run, body).value == "body is through"
    assert len(tries) == 2


def test_a_failure_that_was_looked_at_is_survived(bench):
    @checkpoint
    def broken():
        raise ValueError("no")

    @flow
    def body():
        return str(broken.submit().exception())

    assert bench.run(body).value == "no"


def test_the_run_waits_for_what_nobody_awaited_and_records_it(bench):
    go = threading.Event()

    @checkpoint
    def slow():
        assert go.wait(10)
        return 5

    @flow
    def body():
        slow.submit()
        go.set()
        return 1

    ran = bench.run(body)
    assert (ran.value, ran.calls) == (1, ["slow ran"])


def test_concurrency_is_a_limit_across_submits(bench):
    lock, now, most = threading.Lock(), [], []
    full = threading.Barrier(2)

    @checkpoint(concurrency=2)
    def step(n):
        with lock:
            now.append(n)
            most.append(len(now))
        full.wait(10)
        with lock:
            now.remove(n)
        return n

    @flow(max_workers=8)
    def body():
        return [f.result() for f in [step.submit(n) for n in range(10)]]

    assert bench.run(body).value == list(range(10))
    assert max(most) == 2


def test_a_call_that_has_not_begun_can_be_called_off_and_stays_so_on_resume(bench):
    executed = []

    def define(*, dies):
        go = threading.Event()

        @checkpoint
        def slow(n):
            executed.append(n)
            if n == 0:
                assert go.wait(10)
            return n

        @flow(max_workers=1)
        def body():
            first, second = slow.submit(0), slow.submit(1)
            assert second.cancel()
            go.set()
            assert first.result() == 0
            assert second.cancelled()
            with pytest.raises(concurrent.futures.CancelledError):
                second.result()
            double(1)
            if dies:
                raise KeyboardInterrupt
            return "done"

        return body

    stopped = bench.run(define(dies=True))
    assert stopped.status == "interrupted"
    assert bench.resume(stopped.run, define(dies=False)).value == "done"
    assert executed == [0]


def test_a_function_on_a_thread_cannot_be_called_off(bench):
    began, go = threading.Event(), threading.Event()

    @checkpoint
    def slow():
        began.set()
        assert go.wait(10)
        return 1

    @flow
    def body():
        future = slow.submit()
        assert began.wait(10)
        assert not future.cancel()
        go.set()
        return future.result()

    assert bench.run(body).value == 1


def test_a_run_suspends_once_all_that_was_submitted_is_over_and_recorded(bench):
    asked = threading.Event()
    executed = []

    @checkpoint
    def step(n):
        assert asked.wait(10)
        executed.append(n)
        return n

    @flow(max_workers=1)
    def body():
        first, second = step.submit(0), step.submit(1)  # one in flight, one in line for the only thread
        last = step.submit([first, second])  # which is decided after the question was asked
        current_engine.get().observer = lambda event: event.kind == "wait" and asked.set()
        told = wait("go_on")
        return [told, last.result()]

    waiting = bench.run(body)
    assert waiting.status == "waiting"
    assert executed == [0, 1, [0, 1]]
    answered = bench.answer(waiting.run, True, "go_on", body)
    assert answered.value == [True, [0, 1]]
    assert executed == [0, 1, [0, 1]]


def test_a_long_sleep_lets_what_was_submitted_end_first(bench):
    slept = threading.Event()

    @checkpoint
    def step(n):
        assert slept.wait(10)
        return n

    @flow(max_workers=1)
    def body():
        futures = [step.submit(n) for n in range(3)]
        current_engine.get().observer = lambda event: event.kind == "sleep" and slept.set()
        kitaru.sleep(1_000_000)
        return [future.result() for future in futures]

    sleeping = bench.run(body)
    assert sleeping.status == "waiting"
    assert [view.label for view in sleeping.state.ordered_calls] == ["step", "step#2", "step#3"]


def test_an_answer_that_comes_while_others_are_at_work_is_taken_without_a_stop(bench):
    asked, bodies = threading.Event(), []

    @checkpoint
    def colleague(run):
        assert asked.wait(10)
        bench.project.answer(run, "go_on", 5, resume=False)

    @flow
    def body():
        bodies.append(1)
        engine = current_engine.get()
        engine.observer = lambda event: event.kind == "wait" and asked.set()
        colleague.submit(engine.run)
        return wait("go_on", schema=int)

    assert bench.run(body).value == 5
    assert bodies == [1]


def test_what_cannot_be_stored_is_told_by_the_future(bench):
    @flow
    def body():
        return type(double.submit(threading.Lock()).exception()).__name__

    assert bench.run(body).value == Unencodable.__name__


def test_outside_a_run_and_inside_a_checkpoint_it_is_called_at_once(bench):
    assert add.submit(double.submit(2), 1).result() == 5
    assert double.map([1, 2]).results() == [2, 4]
    with pytest.raises(TypeError):
        double.submit("a", "b").result()

    @checkpoint
    def outer():
        return double.submit(3).result() + sum(double.map([1, 2]).results())

    @flow
    def body():
        return outer()

    ran = bench.run(body)
    assert (ran.value, ran.log) == (12, ["outer"])


def test_methods_can_be_submitted(bench):
    class Agent:
        def __init__(self, name):
            self.name = name

        @checkpoint
        def greet(self, whom):
            return f"{self.name} greets {whom}"

    @flow
    def body():
        agent = Agent("Kit")
        return [agent.greet("A"), agent.greet.submit("B").result(), *agent.greet.map(["C", "D"]).results()]

    assert bench.run(body).value == ["Kit greets A", "Kit greets B", "Kit greets C", "Kit greets D"]


def test_a_thousand_submits_are_recorded_once_each_in_the_order_of_submission(bench):
    @flow(max_workers=16)
    def body():
        futures = [double.submit(n) for n in range(1000)]
        return sum(f.result() for f in futures)

    ran = bench.run(body)
    assert ran.value == 999_000
    assert [v.order for v in ran.state.ordered_calls] == list(range(1, 1001))
    inputs = [bench.project.value(v.record.args["n"]) for v in ran.state.ordered_calls]
    assert inputs == list(range(1000))


def test_equal_calls_at_once_have_idempotency_keys_of_their_own_which_stay(bench):
    keys = {}

    def define(*, dies):
        from kitaru import current_call

        both = threading.Barrier(2)

        @checkpoint
        def charge(amount):
            key = current_call().key
            if dies:
                both.wait(10)
                keys.setdefault("first", set()).add(key)
                if current_call().order == 1:
                    raise KeyboardInterrupt
            else:
                keys.setdefault("second", set()).add(key)
            return amount

        @flow
        def body():
            return [f.result() for f in [charge.submit(5), charge.submit(5)]]

        return body

    stopped = bench.run(define(dies=True))
    assert isinstance(stopped.error, RunInterrupted)
    assert len(keys["first"]) == 2
    assert bench.resume(stopped.run, define(dies=False)).value == [5, 5]
    assert len(keys["second"]) == 1
    assert keys["second"] < keys["first"]


def test_a_stop_leaves_what_has_not_begun_to_the_resume(bench):
    began, go = threading.Event(), threading.Event()
    executed = []

    def define(*, stops):
        @checkpoint
        def slow(n):
            executed.append(n)
            if stops and n == 0:
                began.set()
                assert go.wait(10)
            return n

        @flow(max_workers=1)
        def body():
            futures = [slow.submit(n) for n in range(3)]
            if stops:
                assert began.wait(10)
                current_engine.get().interrupt()
                go.set()
            return [f.result() for f in futures]

        return body

    stopped = bench.run(define(stops=True))
    assert stopped.status == "interrupted"
    assert executed == [0]
    assert bench.resume(stopped.run, define(stops=False)).value == [0, 1, 2]
    assert executed == [0, 1, 2]


@pytest.mark.parametrize("ends", ["crash", "failure"])
def test_a_call_that_was_in_flight_when_later_ones_had_ended_is_no_drift(bench, ends):
    executed = []

    def define(*, disturbed):
        others = threading.Semaphore(0)

        @checkpoint
        def step(n):
            executed.append(n)
            if disturbed and n == 2:
                assert others.acquire(timeout=10)
                assert others.acquire(timeout=10)
                raise KeyboardInterrupt if ends == "crash" else ValueError(n)
            return n

        @flow
        def body():
            futures = [step.submit(n) for n in range(1, 5)]
            if disturbed:
                for other in (futures[2], futures[3]):
                    other.add_done_callback(lambda _: others.release())
            return [future.result() for future in futures]

        return body

    stopped = bench.run(define(disturbed=True))
    assert stopped.status == ("interrupted" if ends == "crash" else "failed")
    assert {1, 3, 4} <= {bench.project.value(v.record.args["n"]) for v in stopped.state.ordered_calls}
    resumed = bench.resume(stopped.run, define(disturbed=False))
    assert resumed.value == [1, 2, 3, 4]
    assert sorted(executed) == [1, 2, 2, 3, 4]
    assert resumed.events("drift") == []
    assert [(v.order, v.label) for v in resumed.state.ordered_calls] == [
        (1, "step"),
        (2, "step#2"),
        (3, "step#3"),
        (4, "step#4"),
    ]


def test_drift_beside_a_call_that_was_in_flight_is_still_seen(bench):
    def define(inputs, *, dies):
        others = threading.Semaphore(0)

        @checkpoint
        def step(n):
            if dies and n == 2:
                assert others.acquire(timeout=10)
                assert others.acquire(timeout=10)
                raise KeyboardInterrupt
            return n

        @flow
        def body():
            futures = [step.submit(n) for n in inputs]
            if dies:
                for other in (futures[2], futures[3]):
                    other.add_done_callback(lambda _: others.release())
            return [future.result() for future in futures]

        return body

    stopped = bench.run(define([1, 2, 3, 4], dies=True))
    drifted = bench.resume(stopped.run, define([1, 2, 30, 4], dies=False))
    assert isinstance(drifted.error, Drift)


def test_a_call_that_is_called_off_when_nothing_can_be_recorded_any_more_does_not_keep_the_run(bench, monkeypatch):
    def full_disk(self, error, **_):
        if self.asked.checkpoint.name == "later":
            raise self.engine.stop(StoreError("the disk is full"))
        return None

    monkeypatch.setattr(Execution, "fail", full_disk)
    go_on = threading.Event()

    @checkpoint
    def first():
        go_on.wait()

    @checkpoint
    def later():
        return 1

    @flow(max_workers=1)
    def body():
        first.submit()
        assert later.submit().cancel()
        go_on.set()

    ended = bench.run(body)
    assert ended.status == "interrupted"
    assert "the disk is full" in str(ended.error)
