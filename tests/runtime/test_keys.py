"""A run is started once for a key, whatever crashes in between."""

from __future__ import annotations

import threading

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import BadConfig, BadInput, PrunedRun, RunNotFinished
from kitaru.model.history import Status
from kitaru.store.check import check


@pytest.fixture
def made():
    return []


@pytest.fixture
def code(made):
    @checkpoint
    def charge(amount):
        made.append(amount)
        return amount

    @flow
    def order(amount: int, ask: bool = False):
        if ask:
            kitaru.wait("approve")
        return charge(amount)

    return order


def started(bench, code, key="order 17", **inputs):
    return bench.project.run(code, {"amount": 5, **inputs}, key=key, foreground=True)


def test_the_second_is_shown_the_first(bench, code, made):
    first, second = started(bench, code), started(bench, code, amount=6)
    assert first.exec_id == second.exec_id
    assert (first.outcome.existing, second.outcome.existing) == (False, True)
    assert second.wait() == 5
    assert made == [5]
    assert bench.project.state(first.exec_id).start.key == "order 17"
    assert started(bench, code, key="order 18").exec_id != first.exec_id
    assert check(bench.project.repo).is_clean


def test_inputs_that_differ_from_those_of_the_first_are_named(bench, code):
    started(bench, code)
    assert started(bench, code).outcome.other_inputs == ()
    assert started(bench, code, amount=6).outcome.other_inputs == ("amount",)
    assert started(bench, code, amount=5.0).outcome.other_inputs == ("amount",)


def test_a_key_is_of_one_flow(bench, code):
    @flow
    def other(amount: int):
        return amount

    assert started(bench, code).exec_id != started(bench, other).exec_id


def test_with_options(bench, code):
    first = bench.project.run(code.with_options(key="a"), {"amount": 1}, foreground=True)
    again = bench.project.run(code.with_options(key="a"), {"amount": 1}, foreground=True)
    assert first.exec_id == again.exec_id
    with pytest.raises(BadConfig):
        code.with_options(key=17)


def test_one_that_waits_is_shown_as_it_stands(bench, code):
    first = started(bench, code, ask=True)
    second = started(bench, code, ask=True)
    assert (second.exec_id, second.outcome.status) == (first.exec_id, Status.WAITING)


def test_one_that_executes_elsewhere_has_not_finished(bench, code):
    first = started(bench, code)
    bench.project.repo.put_start_key("order", "other", "gansrun234", by="ada", at=1)
    with bench.project.repo.begin("gansrun234") as writer:
        writer.commit(bench.project.repo.records(first.exec_id)[0].record)
        second = started(bench, code, key="other")
        assert second.outcome.existing
        assert second.outcome.status is Status.RUNNING
        with pytest.raises(RunNotFinished, match="goes on in another process"):
            second.wait()


def test_who_died_before_the_run_began_is_taken_over(bench, code, made):
    """The name is there, the run is not: its id is used, so that two who come at once still make one run."""
    bench.project.repo.put_start_key("order", "order 17", "gansrun234", by="ada", at=1)
    handle = started(bench, code)
    assert (handle.exec_id, handle.wait(), handle.outcome.existing) == ("gansrun234", 5, False)
    assert started(bench, code).outcome.existing


def test_who_died_with_a_journal_and_no_record_is_taken_over(bench, code):
    bench.project.repo.put_start_key("order", "order 17", "gansrun234", by="ada", at=1)
    with bench.project.repo.begin("gansrun234"):
        bench.project.repo.blobs.create("open/gansrun234/left", b"half a hea")
    assert started(bench, code).wait() == 5


def test_inputs_that_do_not_fit_take_no_key(bench, code):
    with pytest.raises(BadInput):
        bench.project.run(code, {"amuont": 5}, key="order 17")
    assert bench.project.repo.start_key("order", "order 17") is None


def test_a_key_stays_taken_when_its_run_is_pruned(bench, code, made):
    run = started(bench, code).exec_id
    bench.project.prune(runs=[run])
    with pytest.raises(PrunedRun, match="was pruned by"):
        started(bench, code)
    bench.project.gc(grace_us=0)
    bench.project.gc(grace_us=0)
    with pytest.raises(PrunedRun):
        started(bench, code)
    assert made == [5]


def test_many_at_once_make_one_run(bench, code, made):
    barrier, handles = threading.Barrier(8), []

    def start():
        barrier.wait()
        handles.append(started(bench, code))

    threads = [threading.Thread(target=start) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(handles) == 8
    assert len({h.exec_id for h in handles}) == 1
    assert sorted(h.outcome.existing for h in handles) == [False] + [True] * 7
    assert made == [5]
    assert check(bench.project.repo).is_clean
