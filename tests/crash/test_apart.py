"""kill -9 of a run whose calls execute in other processes: none of these is left, and no recorded call runs again.

The long form, `pytest -m long tests/crash/test_apart.py`, tries 50 moments.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.runtime.placement.processes import is_gone, kill_the_rest

CALLS = 6
RESULT = [{"n": n, "square": n * n, "chain": sum(range(n))} for n in range(1, CALLS + 1)]


class Apart:
    """A project with the flow, and what its calls have noted."""

    def __init__(self, place, beside):
        self.place, self.beside = place, beside
        beside.mkdir()
        shutil.copyfile(Path(__file__).parent / "flows" / "apart.py", place.root / "apart.py")

    def run(self, **env):
        return self.place.kitaru("run", "-q", "apart.py:six", f"beside={self.beside}", **env)

    def noted(self, name):
        file = self.beside / name
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def finish(self):
        """Check what was left by a kill, carry the run on, and check what came of it."""
        left = [pid for pid in self.noted("pids") if not is_gone(pid)]
        kill_the_rest(left)
        assert left == []
        run = self.place.only_run()
        recorded = self.recorded(run) if run else []
        did = Counter(self.noted("did"))
        assert all(did[n] == 1 for n in recorded)
        ended = self.place.kitaru("resume", "-q", run) if run and len(recorded) < CALLS else None
        if ended is not None:
            assert ended.code == 0, ended.err
            assert json.loads(ended.out) == RESULT
        again = Counter(self.noted("did")) - did
        assert not again.keys() & set(recorded)
        assert [pid for pid in self.noted("pids") if not is_gone(pid)] == []

    def recorded(self, run):
        state = self.place.project().state(run)
        return [n for n, order in enumerate(state.sequence, 1) if state.calls[order].record is not None]


@pytest.fixture
def make_apart(make_place, tmp_path):
    made = []

    def make():
        made.append(Apart(make_place("power-loss"), tmp_path / f"noted-{len(made)}"))
        return made[-1]

    yield make
    for apart in made:
        kill_the_rest(apart.noted("pids"))


def system_calls(apart):
    count = apart.beside / "count"
    undisturbed = apart.run(COUNT=str(count))
    assert undisturbed.code == 0, undisturbed.err
    assert json.loads(undisturbed.out) == RESULT
    assert [pid for pid in apart.noted("pids") if not is_gone(pid)] == []
    return int(count.read_text())


@pytest.mark.parametrize("n", [1, 3, 4, 6])
def test_killed_while_a_call_executes(make_apart, n):
    apart = make_apart()
    (apart.beside / "strike").write_text(str(n))
    assert apart.run().code == -signal.SIGKILL
    assert apart.noted("did") == list(range(1, n + 1))
    apart.finish()


def test_killed_after_a_fork(make_apart):
    """The forked child has what the run had open, but does not stand for the run."""
    apart = make_apart()
    (apart.beside / "strike").write_text("2")
    try:
        assert apart.place.kitaru("run", "-q", "apart.py:after_a_fork", f"beside={apart.beside}").code == -9
        assert [pid for pid in apart.noted("pids") if not is_gone(pid)] == []
        assert Path(f"/proc/{apart.noted('forked')[0]}").exists()
    finally:
        for pid in apart.noted("forked"):
            os.kill(pid, signal.SIGKILL)


def test_killed_while_a_call_is_stuck_in_c(make_apart):
    apart = make_apart()
    assert apart.place.kitaru("run", "-q", "apart.py:gets_stuck", f"beside={apart.beside}").code == -9
    assert [pid for pid in apart.noted("pids") if not is_gone(pid)] == []


def test_killed_while_calls_execute_at_once(make_apart):
    apart = make_apart()
    (apart.beside / "strike").write_text("4")
    words = ("apart.py:at_once", f"beside={apart.beside}")
    assert apart.place.kitaru("run", "-q", *words).code == -signal.SIGKILL
    assert [pid for pid in apart.noted("pids") if not is_gone(pid)] == []
    run = apart.place.only_run()
    state = apart.place.project().state(run)
    recorded = [view.record for view in state.calls.values() if view.record is not None]
    ended = apart.place.kitaru("resume", "-q", run)
    assert ended.code == 0, ended.err
    assert [item["n"] for item in json.loads(ended.out)] == list(range(1, CALLS + 1))
    done = [apart.place.project().value(record.output, run)["n"] for record in recorded]
    assert all(Counter(apart.noted("did"))[n] == 1 for n in done)


def test_killed_at_system_calls(make_apart):
    whole = system_calls(make_apart())
    for part in (0.5, 0.7, 0.85, 0.97):
        apart = make_apart()
        assert apart.run(TRIAL=f"KILL:after:{int(whole * part)}").code == -signal.SIGKILL
        apart.finish()


@pytest.mark.long
def test_long_fifty_moments(make_apart):
    whole = system_calls(make_apart())
    moments = random.Random(50)
    for trial in range(50):
        apart = make_apart()
        moment = f"{moments.choice(['before', 'after'])}:{moments.randint(1, whole)}"
        assert apart.run(TRIAL=f"KILL:{moment}").code == -signal.SIGKILL, trial
        apart.finish()
