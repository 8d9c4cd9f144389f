"""Cancelling: a run that nobody executes is ended at once, and every race has one outcome."""

from __future__ import annotations

import pytest

from kitaru.errors import AlreadyAnswered, AlreadyCancelled, RunCancelled, RunOver, UnknownRun, UnknownWait
from kitaru.model.history import Status
from kitaru.store.check import check


def ended(bench, run):
    return bench.project.state(run).end


def interrupted(bench, code):
    """A run whose process was gone after its start."""
    run = bench.run(code).run
    records = bench.project.repo.records(run)
    with bench.project.repo.begin("deadrun234") as writer:
        writer.commit(records[0].record)
    return "deadrun234"


def test_a_waiting_run_is_ended_at_once(bench, code, waiting):
    done = bench.project.cancel("@", reason="too dear", by="ada")
    assert (done.run, done.by, done.reason, done.ended) == (waiting, "ada", "too dear", True)
    state = bench.project.state(waiting)
    assert state.status is Status.CANCELLED
    assert state.end.cancelled == {"by": "ada", "at": done.at, "reason": "too dear"}
    assert state.open_waits == []
    assert bench.project.log()[0].status == "cancelled"
    assert not bench.project.repo.is_held(waiting)
    assert check(bench.project.repo).is_clean


def test_an_interrupted_run_is_ended_at_once(bench, code):
    run = interrupted(bench, code)
    assert bench.project.state(run).status is Status.INTERRUPTED
    bench.project.cancel(run)
    assert bench.project.state(run).status is Status.CANCELLED
    assert list(bench.project.repo.blobs.keys(f"open/{run}")) == []


def test_it_is_by_the_user_if_nobody_else_is_named(bench, waiting):
    assert bench.project.cancel(waiting).by == bench.project.services.user


def test_who_asks_second_is_told_who_was_first(bench, code, waiting):
    bench.project.cancel(waiting, by="ada", reason="too dear")
    with pytest.raises(AlreadyCancelled, match=r"was cancelled by ada at .* UTC: too dear"):
        bench.project.cancel(waiting, by="bob")
    assert AlreadyCancelled.exit_code == 6


@pytest.mark.parametrize("fail", [True, False])
def test_a_finished_run_cannot_be_cancelled(bench, code, fail):
    run = bench.run(code, fail=fail).run
    if not fail:
        bench.answer(run, True, _code=code)
    head = bench.project.state(run).head
    with pytest.raises(RunOver, match="cannot be cancelled any more"):
        bench.project.cancel(run)
    assert bench.project.state(run).head == head
    assert bench.project.repo.cancellation(run) is None


def test_a_run_that_is_not_there(bench, waiting):
    with pytest.raises(UnknownRun):
        bench.project.cancel("zzzz")


def test_a_cancelled_run_is_neither_resumed_nor_answered(bench, code, waiting):
    bench.project.cancel(waiting)
    with pytest.raises(RunOver):
        bench.resume(waiting, code)
    with pytest.raises(UnknownWait):
        bench.answer(waiting, True, _code=code)


def test_it_can_be_replayed(bench, code, waiting):
    bench.project.cancel(waiting)
    assert bench.replay(waiting, code, answers={"approve": True}).value is True


def test_a_request_that_nobody_carried_out_is_carried_out_by_a_resume(bench, code, waiting):
    """Who asked died right after, or the runner did: the next to take up the run ends it and executes nothing."""
    bench.project.repo.put_cancellation(waiting, by="ada", at=5, reason="no need")
    before = len(bench.project.repo.records(waiting))
    with pytest.raises(RunCancelled, match="by ada at 1970-01-01 00:00:00 UTC: no need"):
        bench.resume(waiting, code)
    assert ended(bench, waiting).cancelled == {"by": "ada", "at": 5, "reason": "no need"}
    assert len(bench.project.repo.records(waiting)) == before + 1


def test_so_it_is_of_a_run_that_failed_before_it_saw_the_request(bench, code):
    run = bench.run(code, fail=True).run
    bench.project.repo.put_cancellation(run, by="ada", at=5, reason="")
    with pytest.raises(RunCancelled):
        bench.resume(run, code)
    assert bench.project.state(run).status is Status.CANCELLED
    assert check(bench.project.repo).is_clean


def test_a_request_whose_maker_died_is_carried_out_by_the_second(bench, waiting):
    bench.project.repo.put_cancellation(waiting, by="ada", at=5, reason="")
    with pytest.raises(AlreadyCancelled, match="ada"):
        bench.project.cancel(waiting, by="bob")
    assert ended(bench, waiting).cancelled["by"] == "ada"


def test_an_answer_that_comes_after_the_request(bench, code, waiting):
    """The reply is recorded, for it was given; the run does not go on with it."""
    bench.project.repo.put_cancellation(waiting, by="ada", at=5, reason="")
    with pytest.raises(RunCancelled):
        bench.answer(waiting, True, _code=code)
    assert bench.project.state(waiting).status is Status.CANCELLED


def test_an_answer_that_was_not_taken_yet(bench, code, waiting):
    bench.project.answer(waiting, None, True, resume=False)
    bench.project.cancel(waiting)
    assert bench.project.state(waiting).status is Status.CANCELLED
    with pytest.raises(AlreadyAnswered):
        bench.project.cancel(waiting)


def test_a_request_that_comes_while_the_runner_lets_go(bench, code, monkeypatch):
    """It is seen as an answer would be: the runner looks once more after it has let go."""
    project = bench.project
    seal = type(project.repo.begin("unused2345")).seal

    def asked_then(writer):
        seal(writer)
        project.repo.put_cancellation(writer.run, by="ada", at=5, reason="")

    monkeypatch.setattr("kitaru.store.writer.RunWriter.seal", asked_then)
    done = bench.run(code)
    assert done.status == "cancelled"
    assert isinstance(done.error, RunCancelled)
    assert ended(bench, done.run).cancelled["by"] == "ada"


def test_a_handle_of_a_cancelled_run_says_so(bench, code, waiting):
    bench.project.cancel(waiting, by="ada")
    with pytest.raises(RunCancelled, match="by ada"):
        bench.project._finished(waiting).wait()


def test_a_held_run_is_not_ended_by_who_asks(bench, code, waiting):
    with bench.project.repo.reopen(waiting):
        done = bench.project.cancel(waiting, wait_s=0)
        assert not done.ended
        assert "process" in done.holder
    assert bench.project.repo.cancellation(waiting) is not None
    with pytest.raises(AlreadyCancelled):
        bench.project.cancel(waiting, wait_s=0)
    assert bench.project.state(waiting).status is Status.CANCELLED
