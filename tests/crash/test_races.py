"""Several processes at one store: who is second is told who was first, and nothing is lost.

The long form, `pytest -m long tests/crash/test_races.py`, makes 100 rounds of answers, 30 of
resumes and 20 of eight runs at once (some four minutes).
"""

from __future__ import annotations

import itertools
import json
import re
import signal

import pytest

from tests.crash.racing import SLOT
from tests.crash.workers import Ended, wait_for

_numbers = itertools.count()


def told(worker):
    """Return how each command of a racer ended."""
    ended = worker.wait()
    assert ended.code == 0, ended.err
    return [Ended(*json.loads(line)) for line in ended.out.splitlines()]


def in_turn(place, commands):
    return told(place.start("tests.crash.racing:in_turn", commands))


def race(place, *racers, **env):
    """Start racers, each with a command a round; return them."""
    meeting = place.effects.with_name(f"meeting-{next(_numbers)}")
    meeting.write_bytes(bytes(SLOT * len(racers)))
    return [
        place.start("tests.crash.racing:race", str(meeting), me, len(racers), list(commands), **env)
        for me, commands in enumerate(racers)
    ]


# -- two answers ----------------------------------------------------------------------------------------


def waiting_runs(place, count):
    ended = in_turn(place, [["run", "-q", "-o", "json", "steps.py:asks", f"name=r{n}"] for n in range(count)])
    assert {e.code for e in ended} == {3}
    return [json.loads(e.out)["run"] for e in ended]


def two_answers(place, rounds):
    runs = waiting_runs(place, rounds)
    ann, bob = race(
        place,
        [["answer", "-q", run, "approve", "true", "--by", "ann"] for run in runs],
        [["answer", "-q", run, "approve", "false", "--by", "bob"] for run in runs],
    )
    for run, *pair in zip(runs, told(ann), told(bob), strict=True):
        assert sorted(e.code for e in pair) == [0, 6], (run, pair)
        winner = next(i for i in (0, 1) if pair[i].code == 0)
        name, value = [("ann", "True"), ("bob", "False")][winner]
        assert pair[winner].out.strip() == value.lower()
        when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
        assert re.search(f"approve of run {run} was answered by {name} at {when}: {value}", pair[1 - winner].err)
        state = place.project().state(run)
        assert state.status == "completed"
        (wait,) = state.waits.values()
        assert wait.answer.by == name
    place.is_clean()


def test_two_answers_at_once(place):
    two_answers(place, 10)


@pytest.mark.long
def test_long_two_answers_at_once(place):
    two_answers(place, 100)


# -- two resumes ----------------------------------------------------------------------------------------


def interrupted_runs(place, count):
    for n in range(count):
        killed = place.kitaru("run", "-q", "steps.py:held", f"name=r{n}", STRIKE="KILL:inside:1")
        assert killed.code == -signal.SIGKILL
    runs = [s.run for s in reversed(place.project().log())]
    assert len(runs) == count
    return runs


def two_resumes(place, tmp_path, rounds):
    runs, release = interrupted_runs(place, rounds), tmp_path / "release-"
    over = tmp_path / "over"
    poller = place.start("tests.crash.racing:over_and_over", ["status", "-o", "json"], str(over))
    for n, run in enumerate(runs):
        racers = race(place, *([["resume", "-q", run]] for _ in range(2)), RELEASE=str(release))
        ended = first_end(racers)
        loser, winner = racers if racers[0] is ended else racers[::-1]
        (refused,) = told(loser)
        assert refused.code == 7, refused.err
        assert f"run {run} is being executed by process {winner.pid} on " in refused.err
        assert place.project().state(run).status == "running"
        (tmp_path / f"release-r{n}").touch()
        (done,) = told(winner)
        assert (done.code, done.out) == (0, f"r{n}\n"), done.err
    over.touch()
    for seen in told(poller):
        assert seen.code == 0, seen.err
        document = json.loads(seen.out)
        assert not document["waiting"]
        assert not document["failed"]
    assert place.did() == [1, *[1] * (2 * rounds - 1)]
    place.is_clean()


def first_end(racers):
    """Return the racer that ends first: the other is held up until it is released."""
    return racers[0].zygote.first_of(racers)


def test_two_resumes_at_once_and_a_third_that_looks(place, tmp_path):
    two_resumes(place, tmp_path, 3)


@pytest.mark.long
def test_long_two_resumes_at_once_and_a_third_that_looks(place, tmp_path):
    two_resumes(place, tmp_path, 30)


def test_a_held_run_refuses_a_resume_and_takes_an_answer_later(place, tmp_path):
    """What executes is not disturbed by one who looks, resumes or answers."""
    holder = place.starting("run", "-q", "steps.py:held", "name=it", RELEASE=str(tmp_path / "release-"))
    wait_for(place.effects)
    run = place.only_run()
    assert place.kitaru("resume", "-q", run).code == 7
    assert place.kitaru("answer", run, "approve", "true").code == 2
    assert place.kitaru("fsck").code == 0
    (tmp_path / "release-it").touch()
    assert holder.wait().code == 0


# -- eight at once --------------------------------------------------------------------------------------


def eight_at_once(place, rounds, targets):
    for number in range(1, rounds + 1):
        racers = race(place, *([["run", "-q", target]] for target in targets))
        for target, racer in zip(targets, racers, strict=True):
            (ended,) = told(racer)
            assert ended.code == 0, (target, ended.err)
            assert len(json.loads(ended.out)) == 10
        summaries = place.project().log()
        assert [s.status for s in summaries] == ["completed"] * 8 * number
        assert {s.calls for s in summaries} == {10}
    assert len(place.did()) == 80 * rounds
    assert not list(place.project().repo.blobs.keys("open"))
    place.is_clean()


EIGHT = [f"steps.py:flow_{n}" for n in range(1, 9)]


def test_eight_flows_at_once(place):
    eight_at_once(place, 1, EIGHT)
    assert place.project().repo.flows() == [f"flow_{n}" for n in range(1, 9)]


def test_one_flow_eight_times_at_once_has_one_version(place):
    eight_at_once(place, 1, ["steps.py:flow_1"] * 8)
    assert len(place.project().repo.versions("flow_1")) == 1


@pytest.mark.long
def test_long_eight_flows_at_once(place):
    eight_at_once(place, 20, EIGHT)


# -- a request to cancel, and whatever else comes at that moment ----------------------------------------


def cancel_and_answer(place, rounds):
    """Either the answer was first and the run completed, or the request was; never both, and the store is valid."""
    runs = waiting_runs(place, rounds)
    ann, bob = race(
        place,
        [["answer", "-q", run, "approve", "true", "--by", "ann"] for run in runs],
        [["cancel", run, "--by", "bob"] for run in runs],
    )
    for run, answered, cancelled in zip(runs, told(ann), told(bob), strict=True):
        state = place.project().state(run)
        assert state.status in ("completed", "cancelled"), (run, answered, cancelled)
        if state.status == "completed":
            assert (answered.code, cancelled.code) == (0, 2), (answered, cancelled)
        else:
            assert cancelled.code == 0, cancelled
            assert answered.code in (2, 8), answered
            assert state.end.cancelled["by"] == "bob"
    place.is_clean()


def test_a_request_to_cancel_and_an_answer_at_once(place):
    cancel_and_answer(place, 10)


@pytest.mark.long
def test_long_a_request_to_cancel_and_an_answer_at_once(place):
    cancel_and_answer(place, 100)


def two_requests(place, rounds):
    runs = waiting_runs(place, rounds)
    racers = race(place, *([["cancel", run, "--by", by] for run in runs] for by in ("ann", "bob", "cy")))
    for run, *ended in zip(runs, *map(told, racers), strict=True):
        assert sorted(e.code for e in ended) == [0, 6, 6], (run, ended)
        first = place.project().state(run).end.cancelled["by"]
        assert all(first in e.err for e in ended if e.code == 6)
    place.is_clean()


def test_requests_to_cancel_at_once(place):
    two_requests(place, 5)


# -- one key --------------------------------------------------------------------------------------------


def one_key(place, rounds, processes=8):
    command = ["run", "-q", "-o", "json", "steps.py:asks", "name=it"]
    racers = race(place, *([[*command, "--key", f"k{n}"] for n in range(rounds)] for _ in range(processes)))
    for ended in zip(*map(told, racers), strict=True):
        assert {e.code for e in ended} <= {0, 3}, ended  # 0: it was still on its way to the question
        documents = [json.loads(e.out) for e in ended]
        assert len({d["run"] for d in documents}) == 1
        assert [d["existing"] for d in documents].count(False) == 1
    assert len(place.project().log()) == rounds
    place.is_clean()


def test_runs_of_one_key_at_once(place):
    one_key(place, 4)


@pytest.mark.long
def test_long_runs_of_one_key_at_once(place):
    one_key(place, 50)
