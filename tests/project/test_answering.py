"""Answering while others execute: the answer counts once, and the answerer is told how it came out."""

from __future__ import annotations

import threading

import pytest

from kitaru.errors import AlreadyAnswered, RunHeld, RunOver, UnknownWait


def test_the_only_open_wait_needs_no_name(bench, code, waiting):
    assert bench.project.answer("@", None, True, foreground=True).wait() is True


def test_a_wait_that_is_not_there(bench, code, waiting):
    with pytest.raises(UnknownWait) as caught:
        bench.project.answer("@", "aprove", True)
    assert "approve" in caught.value.hint
    bench.project.answer("@", None, True, foreground=True)
    with pytest.raises(UnknownWait):
        bench.project.answer("@", None, True)
    with pytest.raises(AlreadyAnswered):
        bench.project.answer("@", "approve", True)


def test_an_answer_alone(bench, code, waiting):
    handle = bench.project.answer(waiting, None, True, resume=False, by="ada", note="fine")
    assert handle.outcome.status == "waiting"
    assert bench.project.state(waiting).status == "waiting"
    bench.resume(waiting, code)
    (view,) = bench.project.state(waiting).waits.values()
    assert (view.answer.by, view.answer.note, view.answer.source) == ("ada", "fine", "person")


class Elsewhere:
    """A process that holds the run when the answerer comes, and brings it to an end in its own time."""

    def __init__(self, bench, monkeypatch, run, *, then):
        self.looks = 0
        self.bench, self.run, self.then = bench, run, then
        self.resume = bench.project.runner.resume
        monkeypatch.setattr(bench.project.runner, "resume", self)
        monkeypatch.setattr("kitaru.project.replying.ANSWER_POLL_S", 0)

    def __call__(self, run, options):
        self.looks += 1
        if self.looks < 3:
            raise RunHeld(f"run {run} is held")
        return self.then(self, run, options)

    def carry(self):
        """Execute the run here and now, as the other process would."""
        prepared = self.resume(self.run, self.bench.project._options("", None))
        return prepared.execute()


def test_the_holder_takes_the_answer_and_stays(bench, code, waiting, monkeypatch):
    def then(elsewhere, run, options):
        elsewhere.carry()
        raise RunHeld(f"run {run} is held")

    elsewhere = Elsewhere(bench, monkeypatch, waiting, then=then)
    handle = bench.project.answer(waiting, None, True)
    assert handle.wait() is True
    assert elsewhere.looks == 3


def test_the_holder_takes_the_answer_and_ends(bench, code, waiting, monkeypatch):
    """Between the answer and the attempt to carry on, the run came to its end: no error for whoever answered."""

    def then(elsewhere, run, options):
        elsewhere.carry()
        return elsewhere.resume(run, options)

    Elsewhere(bench, monkeypatch, waiting, then=then)
    assert bench.project.answer(waiting, None, True).wait() is True


def test_the_holder_dies(bench, code, waiting, monkeypatch):
    Elsewhere(bench, monkeypatch, waiting, then=lambda elsewhere, run, options: elsewhere.resume(run, options))
    assert bench.project.answer(waiting, None, True, foreground=True).wait() is True


def test_a_run_that_cannot_go_on_is_told(bench, waiting, monkeypatch):
    def refuse(run, options):
        raise RunOver("r", "cancelled")

    monkeypatch.setattr(bench.project.runner, "resume", refuse)
    with pytest.raises(RunOver, match="cancelled"):
        bench.project.answer(waiting, None, True)


def test_many_answers_at_once(bench, code, waiting):
    together = threading.Barrier(8)
    won, lost = [], []

    def answer(n):
        together.wait(10)
        try:
            bench.project.answer(waiting, None, True, by=f"person {n}", resume=False)
            won.append(n)
        except AlreadyAnswered as error:
            lost.append(str(error))

    threads = [threading.Thread(target=answer, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 7
    assert all(f"answered by person {won[0]} at 2026-01-01" in text for text in lost)
