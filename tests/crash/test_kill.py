"""kill -9 at any moment: what is recorded is never executed again, and the result is that of an undisturbed run.

Moments are numbered system calls and side effects, so that a failure can be repeated: the test's id tells the moment.
The long form, `pytest -m long tests/crash/test_kill.py`, adds every tenth system call, 50 moments by the clock, and
deaths one after the other (some three minutes).
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.crash.conftest import DURABILITIES

CALLS = 20
RESULT = [
    {"n": n, "square": n * n, "text": "some text that repeats " * 4, "chain": hash(tuple(range(1, n)))}
    for n in range(1, CALLS + 1)
]


def run_twenty(place, **env):
    return place.kitaru("run", "-q", "steps.py:twenty", **env)


def finish(place):
    """Carry on what is left of a killed run, and check all that must hold; return its result."""
    run = place.only_run()
    recorded, did = (place.recorded(run) if run else []), place.did()
    assert recorded == list(range(1, len(recorded) + 1))
    assert did[: len(recorded)] == recorded
    assert len(did) - len(recorded) <= 1  # the call in flight
    place.is_clean()
    if run is None:
        result = run_twenty(place)
    elif place.project().state(run).status == "completed":
        state = place.project().state(run)
        return place.project().value(state.end.output, run)
    else:
        assert place.project().state(run).status == "interrupted"
        result = place.kitaru("resume", "-q", run)
    assert result.code == 0, result.err
    after = place.did()
    assert after[: len(did)] == did
    assert after[len(did) :] == list(range(len(recorded) + 1, CALLS + 1))
    place.is_clean()
    assert place.kitaru("fsck").code == 0
    assert run is None or not list(place.project().repo.blobs.keys("open"))
    return json.loads(result.out)


def calls_that_write(place):
    count = place.effects.with_name("count")
    undisturbed = run_twenty(place, COUNT=str(count))
    assert undisturbed.code == 0, undisturbed.err
    assert json.loads(undisturbed.out) == RESULT
    return int(count.read_text())


@pytest.fixture(scope="session")
def totals(zygote, tmp_path_factory):
    """Return where `total` keeps what it counted, by durability."""
    return {}


def total(totals, make_place, durability):
    if durability not in totals:
        totals[durability] = calls_that_write(make_place(durability))
    return totals[durability]


@pytest.mark.parametrize("at", [0.01, 0.3, 0.5, 0.6, 0.8, 0.98, 1.0])
def test_killed_at_a_system_call(make_place, durability, totals, at):
    moment = random.Random(at).choice(["before", "after"])
    number = max(1, round(total(totals, make_place, durability) * at))
    place = make_place(durability)
    assert run_twenty(place, TRIAL=f"KILL:{moment}:{number}").code == -signal.SIGKILL
    assert finish(place) == RESULT


@pytest.mark.parametrize("strike", ["inside:1", "inside:13", "between:7", "after:20"])
def test_killed_in_the_users_code(place, strike):
    assert run_twenty(place, STRIKE=f"KILL:{strike}").code == -signal.SIGKILL
    assert finish(place) == RESULT


def test_killed_again_and_again(place):
    """Each resume dies too, one call further on, and still no call runs twice but the one in flight."""
    assert run_twenty(place, STRIKE="KILL:inside:3").code == -signal.SIGKILL
    run = place.only_run()
    for n in (4, 9, 9, 14, 20):
        assert place.kitaru("resume", "-q", run, STRIKE=f"KILL:inside:{n}").code == -signal.SIGKILL
        place.is_clean()
    ended = place.kitaru("resume", "-q", run)
    assert json.loads(ended.out) == RESULT
    assert place.did() == [*range(1, 4), 3, *range(4, 5), *range(4, 10), 9, *range(9, 15), *range(14, 21), 20]
    place.is_clean()


def test_a_forked_child_that_lives_on_does_not_hold_the_run(place):
    children = place.effects.with_name("children")
    try:
        killed = place.kitaru("run", "-q", "steps.py:forking", CHILDREN=str(children), STRIKE="KILL:inside:15")
        assert killed.code == -signal.SIGKILL
        (child,) = map(int, children.read_text().split())
        assert Path(f"/proc/{child}").exists()
        run = place.only_run()
        resumed = place.kitaru("resume", "-q", run, CHILDREN=str(children))
        assert resumed.code == 0, resumed.err
        assert [item["n"] for item in json.loads(resumed.out)] == list(range(1, CALLS + 1))
        assert sorted(place.did()) == sorted([*range(1, CALLS + 1), 15])
        place.is_clean()
    finally:
        for child in children.read_text().split() if children.exists() else ():
            os.kill(int(child), signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="ends the main thread by a call of the C library")
@pytest.mark.parametrize("leaving", ["falls_off_the_end", "main_thread_exits"])
def test_the_main_thread_is_gone_first(place, leaving):
    killed = place.start(f"tests.crash.leaving:{leaving}", STRIKE="KILL:inside:13").wait()
    assert killed.code == -signal.SIGKILL, killed.err
    assert place.did() == list(range(1, 14))
    assert finish(place) == RESULT


@pytest.mark.long
@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_long_every_tenth_system_call(make_place, durability, totals, moment):
    for number in range(1, total(totals, make_place, durability), 10):
        place = make_place(durability)
        assert run_twenty(place, TRIAL=f"KILL:{moment}:{number}").code == -signal.SIGKILL
        assert finish(place) == RESULT, number


@pytest.mark.long
def test_long_fifty_moments_by_the_clock(make_place, durability):
    place = make_place(durability)
    began = time.monotonic()
    assert run_twenty(place).code == 0
    whole_s = time.monotonic() - began
    moments = random.Random(50)
    for trial in range(50):
        place = make_place(durability)
        worker = place.starting("run", "-q", "steps.py:twenty")
        time.sleep(moments.uniform(0, whole_s))
        worker.kill()
        assert finish(place) == RESULT, trial


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_long_deaths_one_after_the_other(make_place, durability, totals, seed):
    """Run and resumes all die at system calls drawn by the seed, until one happens to live."""
    moments = random.Random(seed)
    whole = total(totals, make_place, durability)
    place = make_place(durability)
    deaths = 0
    ended = run_twenty(place, TRIAL=f"KILL:before:{moments.randint(1, whole)}")
    while ended.code == -signal.SIGKILL and deaths < 30:
        deaths += 1
        place.is_clean()
        run = place.only_run()
        words = ["resume", "-q", run] if run else ["run", "-q", "steps.py:twenty"]
        latest = whole // 4 if run else whole  # a resume makes fewer system calls than a run, whose code is recorded
        trial = f"KILL:{moments.choice(['before', 'after'])}:{moments.randint(1, latest)}"
        ended = place.kitaru(*words, TRIAL=trial)
    assert deaths
    run = place.only_run()
    if place.project().state(run).status != "completed":
        assert place.kitaru("resume", "-q", run).code == 0
    assert place.recorded(run) == list(range(1, CALLS + 1))
    assert sum(place.did().count(n) - 1 for n in range(1, CALLS + 1)) <= deaths
    place.is_clean()
