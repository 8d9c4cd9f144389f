"""Maps: many calls at once, known by their arguments, a bounded number of them ahead."""

from __future__ import annotations

import random
import threading

import pytest

from kitaru import CallFutures, checkpoint, flow
from kitaru.errors import BadConfig, CallCancelled
from kitaru.runtime import job, submitting


@checkpoint
def add(a, b=0, c=0):
    return (a, b, c)


def test_results_are_in_the_order_of_items(bench):
    @flow
    def body():
        return [
            add.map([1, 2]).results(),
            add.map([1, 2], [3, 4], c=5).results(),
            add.starmap([(1, 2), (3, 4)], c=6).results(),
            add.product([1, 2], [3, 4]).results(),
            add.map([]).results(),
        ]

    assert bench.run(body).value == [
        [(1, 0, 0), (2, 0, 0)],
        [(1, 3, 5), (2, 4, 5)],
        [(1, 2, 6), (3, 4, 6)],
        [(1, 3, 0), (1, 4, 0), (2, 3, 0), (2, 4, 0)],
        [],
    ]


def test_what_it_returns_is_like_a_list(bench):
    @flow
    def body():
        found = add.map(range(4))
        assert isinstance(found, CallFutures)
        return [len(found), found[0].result(), found[1:3].results(), [f.result()[0] for f in found]]

    assert bench.run(body).value == [4, (0, 0, 0), [(1, 0, 0), (2, 0, 0)], [0, 1, 2, 3]]


def test_futures_are_items_too(bench):
    @flow
    def body():
        return add.map(add.map([1, 2])).results()

    ran = bench.run(body)
    assert ran.value == [((1, 0, 0), 0, 0), ((2, 0, 0), 0, 0)]
    assert [v.scope for v in ran.state.ordered_calls] == ["/map:add#1"] * 2 + ["/map:add#2"] * 2


def test_a_set_in_another_order_after_a_crash_in_its_middle_just_works(bench):
    executed = []

    def define(items, *, dies):
        @checkpoint
        def fetch(name):
            if dies and name == "c":
                raise KeyboardInterrupt
            executed.append(name)
            return name.upper()

        @flow(max_workers=1)
        def body():
            return sorted(fetch.map(items).results())

        return body

    stopped = bench.run(define(["a", "b", "c", "d", "e"], dies=True))
    assert stopped.status == "interrupted"
    assert executed == ["a", "b"]
    resumed = bench.resume(stopped.run, define(["e", "b", "new", "d", "c", "a"], dies=False))
    assert resumed.value == ["A", "B", "C", "D", "E", "NEW"]
    assert sorted(executed) == ["a", "b", "c", "d", "e", "new"]
    assert resumed.notes.count("drift") == resumed.told.kinds().count("drift")


SET = """
import os
from kitaru import checkpoint, flow

NAMES = {"ada", "bob", "cyd", "dan", "eve", "fay"}

@checkpoint
def greet(name: str) -> str:
    with open("greeted", "a") as file:
        print(name, file=file)
    if os.environ.get("DIES") and len(open("greeted").readlines()) == 3:
        os._exit(9)
    return name.upper()

@flow(max_workers=1)
def body() -> list[str]:
    with open("orders", "a") as file:
        print(*NAMES, file=file)
    return sorted(greet.map(NAMES).results())
"""


def test_a_set_whose_order_differs_between_processes_one_of_which_died_in_its_middle(scripts):
    scripts.write("sets.py", SET)
    scripts.python("-m", "kitaru", "run", "sets.py:body", code=9, DIES="1", PYTHONHASHSEED="1")
    greeted = scripts.lines("greeted")
    said = scripts.do("project.resume('@', foreground=True)", PYTHONHASHSEED="2")
    assert "['ADA', 'BOB', 'CYD', 'DAN', 'EVE', 'FAY']" in said
    first, second = scripts.lines("orders")
    assert first != second
    again = scripts.lines("greeted")
    assert [name for name in set(again) if again.count(name) == 2] == [greeted[-1]]
    assert len(again) == 7


def test_one_failure_lets_the_others_end_and_all_is_recorded(bench):
    @checkpoint
    def step(n):
        if n == 1:
            raise ValueError("one")
        return n

    @flow
    def body():
        found = step.map(range(4))
        with pytest.raises(ValueError, match="one"):
            found.results()
        return [f.exception() is None for f in found]

    ran = bench.run(body)
    assert ran.value == [True, False, True, True]
    assert len(ran.log) == 4


def test_by_policy_one_failure_calls_off_what_has_not_begun(bench):
    executed = []

    def define(*, broken):
        @checkpoint
        def step(n):
            executed.append(n)
            if n == 1 and broken:
                raise ValueError("one")
            return n

        @flow(max_workers=1)
        def body():
            return step.map(range(4), on_error="cancel").results()

        return body

    failed = bench.run(define(broken=True))
    assert failed.status == "failed"
    assert "one" in str(failed.error)
    assert executed == [0, 1]
    errors = [v.record.error and v.record.error["type"] for v in failed.state.ordered_calls]
    assert errors == [None, "builtins:ValueError", *["kitaru.errors:CallCancelled"] * 2]
    assert bench.resume(failed.run, define(broken=False)).value == [0, 1, 2, 3]
    assert executed == [0, 1, 1, 2, 3]


def test_what_was_called_off_and_survived_stays_so(bench):
    executed = []

    def define(*, dies):
        @checkpoint
        def step(n):
            executed.append(n)
            if n == 1:
                raise ValueError("one")
            return n

        @flow(max_workers=1)
        def body():
            found = step.map(range(4), on_error="cancel")
            with pytest.raises(ValueError, match="one"):
                found.results()
            states = [f.cancelled() or isinstance(f.exception(), CallCancelled) for f in found]
            add(1)
            if dies:
                raise KeyboardInterrupt
            return states

        return body

    stopped = bench.run(define(dies=True))
    assert bench.resume(stopped.run, define(dies=False)).value == [False, False, True, True]
    assert executed == [0, 1]


def test_an_unknown_policy_is_refused():
    with pytest.raises(BadConfig, match="on_error"):
        add.map([1], on_error="ignore")


def test_only_a_window_of_items_is_encoded_ahead(bench):
    go, held, most = threading.Event(), [], []
    began = threading.Semaphore(0)

    class Asked(job.Asked):
        __slots__ = ()

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            held.append(1)

    @checkpoint
    def size(text):
        began.release()
        most.append(len(held) - len(most))
        assert go.wait(10)
        return len(text)

    @flow(max_workers=2)
    def body():
        found = size.map(["x" * 50_000 + str(n) for n in range(100)])
        assert began.acquire(timeout=10)
        assert len(held) == 2 * submitting.WINDOW
        go.set()
        return sum(found.results())

    real, job.Asked = job.Asked, Asked
    try:
        assert bench.run(body).value == 100 * 50_000 + 190
    finally:
        job.Asked = real
    assert max(most) <= 2 * submitting.WINDOW


def test_two_maps_of_one_checkpoint_have_scopes_of_their_own(bench):
    rolled = random.Random(1)

    @checkpoint
    def roll(sides):
        return rolled.randrange(sides)

    def define(*, dies):
        @flow
        def body():
            first, second = roll.map([1000, 1000]), roll.map([1000, 1000])
            values = [*first.results(), *second.results()]
            if dies:
                raise KeyboardInterrupt
            return values

        return body

    stopped = bench.run(define(dies=True))
    recorded = [bench.project.value(v.record.output) for v in stopped.state.ordered_calls]
    assert bench.resume(stopped.run, define(dies=False)).value == recorded
