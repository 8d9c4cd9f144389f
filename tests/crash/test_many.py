"""kill -9 of a run with eight calls at once, on threads and on an event loop: no recorded call executes again.

The long form, `pytest -m long tests/crash/test_many.py`, tries 50 moments of each.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.crash.workers import started

FLOWS = ["submits", "gathered"]
CALLS, AT_ONCE = 24, 8


def expected(n):
    return {"n": n, "square": n * n, "before": n - 8 if 8 < n <= 16 else 0}


RESULT = [expected(n) for n in range(1, CALLS + 1)]


@pytest.fixture
def make_many(make_place):
    def make(durability="power-loss"):
        place = make_place(durability)
        shutil.copyfile(Path(__file__).parent / "flows" / "many.py", place.root / "many.py")
        return place

    return make


def recorded_numbers(place, run):
    """The numbers of the calls that are recorded."""
    project = place.project()
    views = [view for view in project.state(run).ordered_calls if view.record is not None]
    return [project.value(view.record.args["n"], run) for view in views]


def finish(place, flow):
    """Check what a killed run has left, carry it on, and check the result and what executed again."""
    run = place.only_run()
    did = Counter(place.did())
    recorded = recorded_numbers(place, run) if run else []
    assert all(did[n] == 1 for n in recorded)
    assert len(did) - len(recorded) <= AT_ONCE  # those in flight
    place.is_clean()
    if run is None:
        ended = place.kitaru("run", "-q", f"many.py:{flow}")
    elif place.project().state(run).status == "completed":
        return
    else:
        ended = place.kitaru("resume", "-q", run)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out) == RESULT
    again = Counter(place.did()) - did
    assert not again.keys() & set(recorded)
    assert sorted(recorded_numbers(place, place.only_run())) == list(range(1, CALLS + 1))
    place.is_clean()


def system_calls(place, flow):
    count = place.effects.with_name("count")
    undisturbed = place.kitaru("run", "-q", f"many.py:{flow}", COUNT=str(count))
    assert undisturbed.code == 0, undisturbed.err
    assert json.loads(undisturbed.out) == RESULT
    return int(count.read_text())


def try_moments(make_many, flow, moments):
    whole = system_calls(make_many(), flow)
    killed = 0
    for moment, part in moments:
        place = make_many()
        ended = place.kitaru("run", "-q", f"many.py:{flow}", TRIAL=f"KILL:{moment}:{max(1, round(whole * part))}")
        killed += ended.code == -signal.SIGKILL  # syncs are shared by chance: a run may end before the N-th call
        finish(place, flow)
    assert killed


@pytest.mark.parametrize("flow", FLOWS)
def test_killed_at_a_few_moments(make_many, flow):
    try_moments(make_many, flow, [("before", 0.45), ("after", 0.55), ("after", 0.65), ("before", 0.75), ("after", 0.9)])


@pytest.mark.long
@pytest.mark.parametrize("flow", FLOWS)
def test_long_fifty_moments(make_many, flow):
    chance = random.Random(50)
    try_moments(make_many, flow, [(chance.choice(["before", "after"]), chance.random()) for _ in range(50)])


def until_executing(place, calls):
    while len(place.did()) < calls:
        threading.Event().wait(0.01)


def line_with(stream, text):
    for line in stream:
        if text in line:
            return line
    raise AssertionError(f"no line with {text!r}")


def test_ctrl_c_says_what_it_waits_for_and_begins_nothing_new(make_many, tmp_path):
    place, release = make_many(), tmp_path / "release"
    with started(place, "many.py:held", release) as process:
        until_executing(place, 2)
        process.send_signal(signal.SIGINT)
        assert "waits for holds, holds#2 to end" in line_with(process.stderr, "waits for")
        release.touch()
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
    run = place.only_run()
    assert sorted(recorded_numbers(place, run)) == [1, 2]
    resumed = place.kitaru("resume", "-q", run, RELEASE=str(release))
    assert json.loads(resumed.out) == [1, 2, 3, 4, 5], resumed.err
    assert sorted(place.did()) == [1, 2, 3, 4, 5]
    place.is_clean()


def test_ctrl_c_twice_is_immediate_and_leaves_a_valid_store(make_many, tmp_path):
    place, release = make_many(), tmp_path / "release"
    with started(place, "many.py:held", release) as process:
        until_executing(place, 2)
        process.send_signal(signal.SIGINT)
        line_with(process.stderr, "waits for")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)  # though the calls are never released
        assert process.returncode == 130, err
        assert "Traceback" not in err
    place.is_clean()
    run = place.only_run()
    assert recorded_numbers(place, run) == []
    release.touch()
    assert json.loads(place.kitaru("resume", "-q", run, RELEASE=str(release)).out) == [1, 2, 3, 4, 5]


def test_ctrl_c_cancels_async_calls(make_many, tmp_path):
    place, release = make_many(), tmp_path / "release"
    with started(place, "many.py:held_async", release) as process:
        until_executing(place, 3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert "Traceback" not in err
    run = place.only_run()
    assert recorded_numbers(place, run) == []
    release.touch()
    assert json.loads(place.kitaru("resume", "-q", run, RELEASE=str(release)).out) == [1, 2, 3]
    place.is_clean()
