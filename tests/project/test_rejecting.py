"""Answering and rejecting from a web handler: other threads, no terminal, no signals, and the reply alone."""

from __future__ import annotations

import threading

import pytest

import kitaru
from kitaru import flow
from kitaru.errors import AlreadyAnswered, InvalidAnswer, UnknownWait


@pytest.fixture
def waiting(bench):
    @flow
    def body():
        return kitaru.wait("approve", "Right?", schema=int)

    bench.code = body
    return bench.run(body).run


def at_once(*calls):
    """Make calls at once, each on a thread; return what each gave or raised."""
    together, found = threading.Barrier(len(calls)), {}

    def make(n, call):
        together.wait(10)
        try:
            found[n] = call()
        except kitaru.KitaruError as error:
            found[n] = error

    threads = [threading.Thread(target=make, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[n] for n in range(len(calls))]


def test_twenty_handlers_and_one_rejection_at_once(bench, waiting):
    project = bench.project
    answers = [lambda n=n: project.answer(waiting, "approve", n, by=f"p{n}", resume=False) for n in range(20)]
    found = at_once(*answers, lambda: project.reject(waiting, by="boss"))
    lost = [error for error in found if isinstance(error, AlreadyAnswered)]
    assert len(lost) == 20
    state = project.state(waiting)
    (view,) = state.ordered_waits
    standing = project.repo.answer(waiting, view.record.digest)
    assert all(f"by {standing.by} at" in str(error) for error in lost)
    if standing.source == "rejected":
        assert state.status == "cancelled"
    else:
        assert project.resume(waiting, foreground=True).wait() == int(standing.by[1:])


def test_a_handler_lists_answers_and_goes_on_with_its_own_work(bench, waiting):
    (wait,) = bench.project.waits()
    assert (wait.state.run, wait.view.label, wait.view.record.question) == (waiting, "approve", "Right?")
    with pytest.raises(InvalidAnswer):
        bench.project.answer(waiting, "approve", "many", resume=False)
    with pytest.raises(UnknownWait):
        bench.project.reject(waiting, "another")
    handles = at_once(lambda: bench.project.answer(waiting, "approve", 5, by="ann", note="n"))
    assert handles[0].wait() == 5
    assert bench.project.waits() == []
    (wait,) = bench.project.waits(all=True)
    assert (wait.view.answer.by, wait.view.answer.note) == ("ann", "n")


def test_a_run_that_is_executed_elsewhere_is_rejected_and_ends_when_its_process_looks(bench, waiting):
    with bench.project.repo.reopen(waiting):
        done = bench.project.reject(waiting, note="no", wait_s=0)
        assert (done.ended, done.holder) == (False, "another process")
    with pytest.raises(AlreadyAnswered):
        bench.project.reject(waiting)
    with pytest.raises(kitaru.KitaruError, match="rejected at approve by tester"):
        bench.project.resume(waiting)
    assert bench.project.state(waiting).status == "cancelled"
