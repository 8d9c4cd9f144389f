"""What a worker takes up, in which order, and how it rests; each run is carried on here, on a thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.project.due import Due
from kitaru.project.working import Carried, Work
from kitaru.runtime.replies import REJECTED


def asking(**options):
    @flow
    def body():
        return kitaru.wait("approve", **options)

    return body


class Carrying:
    """Carries runs on in this process; counts who did."""

    def __init__(self, bench):
        self.bench, self.runs, self.codes = bench, [], {}

    def __call__(self, due):
        run = due.run
        self.runs.append(run)

        def wait():
            if run in self.codes:
                return self.codes[run], "it says why\n"
            outcome = self.bench.project.resume(run, foreground=True).outcome
            return (0 if outcome.status == "completed" else 3), ""

        return wait


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def carrying(bench):
    return Carrying(bench)


def once(bench, carrying, **options):
    return list(Work(bench.project, start=carrying, **options).carry(once=True))


def ends(told):
    return [(t.due.run, t.due.why, t.status) for t in told if isinstance(t, Carried)]


def test_nothing_to_do(bench, carrying):
    code = asking()
    bench.run(code)
    assert once(bench, carrying) == []


def test_answered_runs_are_carried_on(bench, carrying):
    code = asking()
    waiting, answered = bench.run(code).run, bench.run(code).run
    bench.project.answer(answered, None, True, resume=False)
    told = once(bench, carrying)
    assert isinstance(told[0], Due)
    assert ends(told) == [(answered, "answered", "completed")]
    assert bench.project.state(waiting).status == "waiting"
    assert once(bench, carrying) == []


def test_deadlines_and_sleeps_and_rejections(bench, carrying):
    @flow
    def sleeping():
        kitaru.sleep(3600)
        return "woken"

    default, asked = asking(deadline=60, default=False), asking()
    runs = [bench.run(default).run, bench.run(sleeping).run, bench.run(asked).run]
    view = bench.project.state(runs[2]).open_waits[0]
    assert once(bench, carrying) == []
    bench.project.services.clock_us.advance(3601)
    bench.project._answering._replies(runs[2]).claim(view.record, REJECTED, by="ann")
    called_off = bench.run(asked).run
    bench.project.repo.put_cancellation(called_off, by="ann", at=1, reason="")

    class Ends(Carrying):
        def __call__(self, due):
            wait = super().__call__(due)

            def rejected():
                try:
                    return wait()
                except kitaru.KitaruError as error:
                    return error.exit_code, ""

            return rejected

    found = ends(once(bench, Ends(bench), jobs=2))
    assert sorted(found) == sorted(
        [
            (runs[2], "answered", "cancelled"),
            (called_off, "cancelled", "cancelled"),
            (runs[0], "deadline", "completed"),
            (runs[1], "slept", "completed"),
        ]
    )


def test_interrupted_runs_are_taken_up_where_that_is_asked_for(bench, carrying):
    crash = [True]

    @checkpoint
    def work():
        if crash:
            raise KeyboardInterrupt
        return 1

    @flow
    def body():
        return work()

    run = bench.run(body).run
    crash.clear()
    assert once(bench, carrying) == []
    assert ends(once(bench, carrying, interrupted=True)) == [(run, "interrupted", "completed")]


def test_a_run_that_was_cut_short_while_one_branch_of_it_waited(bench, carrying):
    crash = [True]

    @checkpoint
    async def work():
        while not asked:
            await asyncio.sleep(0.001)
        if crash:
            raise KeyboardInterrupt
        return 1

    asked = []

    @flow
    async def body():
        return await asyncio.gather(kitaru.wait_async("approve"), work())

    def watch(event):
        asked.extend([1] if event.kind == "wait" else [])

    run = bench.project.run(body, {}, observer=watch, foreground=True).exec_id
    assert bench.project.state(run).status == "waiting"
    crash.clear()
    assert once(bench, carrying) == []
    assert ends(once(bench, carrying, interrupted=True)) == [(run, "interrupted", "waiting")]
    assert [call.label for call in bench.project.state(run).ordered_calls] == ["work"]
    assert once(bench, carrying, interrupted=True) == []


def test_a_run_that_somebody_executes_is_left_alone(bench, carrying):
    code = asking()
    run = bench.run(code).run
    bench.project.answer(run, None, True, resume=False)
    with bench.project.repo.reopen(run):
        assert once(bench, carrying) == []
    assert carrying.runs == []


def test_an_old_answer_is_no_reason_to_take_up_a_run_again(bench, carrying):
    @flow
    def body():
        return kitaru.wait("a"), kitaru.wait("b")

    run = bench.run(body).run
    bench.project.answer(run, "a", True, resume=False)
    assert ends(once(bench, carrying)) == [(run, "answered", "waiting")]
    assert once(bench, carrying) == []
    bench.project.answer(run, "b", False, resume=False)
    assert ends(once(bench, carrying)) == [(run, "answered", "completed")]


def test_a_run_that_comes_no_further_rests_longer_and_longer(bench, carrying):
    code, clock = asking(), Clock()
    run = bench.run(code).run
    bench.project.answer(run, None, True, resume=False)
    carrying.codes[run] = 1
    worker = Work(bench.project, start=carrying, clock=clock)
    rests = []
    for _ in range(10):
        (end,) = [told for told in worker.carry(once=True) if isinstance(told, Carried)]
        assert (end.code, end.told) == (1, "it says why\n")
        rests.append(end.again_s)
        assert worker.due() == []
        clock.now += end.again_s
        assert [due.run for due in worker.due()] == [run]
    assert rests == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    carrying.codes.clear()
    assert ends(worker.carry(once=True)) == [(run, "answered", "completed")]


def test_several_at_once_but_no_more(bench):
    code, together, most, lock = asking(), threading.Barrier(2), [0, 0], threading.Lock()
    runs = [bench.run(code).run for _ in range(4)]
    for run in runs:
        bench.project.answer(run, None, True, resume=False)

    def start(due):
        def wait():
            with lock:
                most[0] += 1
                most[1] = max(most)
            together.wait(10)
            outcome = bench.project.resume(due.run, foreground=True).outcome
            with lock:
                most[0] -= 1
            return 0 if outcome.status == "completed" else 1, ""

        return wait

    found = ends(Work(bench.project, start=start, jobs=2).carry(once=True))
    assert sorted(run for run, _, _ in found) == sorted(runs)
    assert most[1] == 2


def test_draining_takes_up_nothing_more_and_waits_for_what_is_at_work(bench):
    code, go_on = asking(), threading.Event()
    runs = [bench.run(code).run for _ in range(2)]
    for run in runs:
        bench.project.answer(run, None, True, resume=False)

    def start(due):
        def wait():
            assert go_on.wait(10)
            bench.project.resume(due.run, foreground=True)
            return 0, ""

        return wait

    worker = Work(bench.project, start=start)
    told = worker.carry()
    first = next(told)
    worker.drain()
    go_on.set()
    assert ends(told) == [(first.run, "answered", "completed")]
    assert [due.run for due in worker.due()] == [run for run in runs if run != first.run]


def test_to_look_reads_only_runs_that_changed(bench, carrying, monkeypatch):
    @flow
    def body():
        return kitaru.wait("a"), kitaru.wait("b")

    runs = [bench.run(body).run for _ in range(3)]
    for run in runs:
        bench.answer(run, True, "a")
    worker = Work(bench.project, start=carrying)
    assert worker.due() == []
    reads = []
    state = bench.project.state
    monkeypatch.setattr(bench.project, "state", lambda run: reads.append(run) or state(run))
    assert worker.due() == []
    assert reads == []
    bench.project.answer(runs[1], "b", True, resume=False)
    reads.clear()
    assert [due.run for due in worker.due()] == [runs[1]]
    assert reads == [runs[1]]
