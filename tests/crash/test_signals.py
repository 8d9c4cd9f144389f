"""Ctrl-C ends a command with status 130, SIGTERM with the system's own; either way the run can be resumed.

The long form, `pytest -m long tests/crash/test_signals.py`, interrupts at every seventh system call (some minutes).
"""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.crash.conftest import DURABILITIES
from tests.crash.test_kill import RESULT, finish, run_twenty, total, totals
from tests.crash.workers import started, wait_for

__all__ = ["totals"]


def told_to_resume(place, ended):
    run = place.only_run()
    assert ended.code == 130, ended.err
    assert f"error: run {run} was interrupted\nhint: kitaru resume {run}\n" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("strike", ["inside:1", "inside:13", "between:7"])
def test_ctrl_c_in_the_users_code(place, strike):
    ended = run_twenty(place, STRIKE=f"INT:{strike}")
    told_to_resume(place, ended)
    assert finish(place) == RESULT


def test_ctrl_c_after_the_last_call(place):
    told_to_resume(place, run_twenty(place, STRIKE="INT:after:20"))
    assert finish(place) == RESULT


def interrupted_at(place, trial):
    """Interrupt a run at a system call: it is resumable if it began, and whole if it had ended."""
    ended = run_twenty(place, TRIAL=trial)
    assert ended.code in (0, 130), (trial, ended.err)
    assert "Traceback" not in ended.err, trial
    assert finish(place) == RESULT, trial
    return ended.code


@pytest.mark.parametrize("at", [0.02, 0.45, 0.55, 0.7, 0.85, 0.97])
def test_ctrl_c_at_a_system_call(make_place, durability, totals, at):
    number = max(1, round(total(totals, make_place, durability) * at))
    interrupted_at(make_place(durability), f"INT:after:{number}")


@pytest.mark.long
@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_long_ctrl_c_at_every_seventh_system_call(make_place, durability, totals, moment):
    codes = [
        interrupted_at(make_place(durability), f"INT:{moment}:{number}")
        for number in range(1, total(totals, make_place, durability), 7)
    ]
    assert 130 in codes


def test_sigterm_leaves_a_run_that_can_be_resumed(place):
    assert run_twenty(place, STRIKE="TERM:inside:9").code == -signal.SIGTERM
    assert finish(place) == RESULT


def test_ctrl_c_from_outside_while_a_call_blocks(place, tmp_path):
    """A process as a shell starts it, and the signal as a terminal sends it."""
    with started(place, "steps.py:held", tmp_path / "release-", "name=it") as process:
        wait_for(place.effects)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    run = place.only_run()
    assert (process.returncode, out) == (130, "")
    assert err.endswith(f"error: run {run} was interrupted\nhint: kitaru resume {run}\n")
    (tmp_path / "release-it").touch()
    resumed = place.kitaru("resume", "-q", "-o", "json", run, RELEASE=str(tmp_path / "release-"))
    assert json.loads(resumed.out)["result"] == "it"
    place.is_clean()


@pytest.mark.parametrize("flow", ["submitted", "on_a_loop"])
def test_a_second_ctrl_c_waits_for_no_thread(place, tmp_path, flow):
    shutil.copyfile(Path(__file__).parent / "flows" / "threads.py", place.root / "threads.py")
    release = tmp_path / "release"
    with started(place, f"threads.py:{flow}", release) as process:
        wait_for(place.effects)
        process.send_signal(signal.SIGINT)
        assert "holds" in next(line for line in process.stderr if "stops; waits for" in line)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    run = place.only_run()
    assert (process.returncode, err) == (130, f"error: run {run} was interrupted\nhint: kitaru resume {run}\n")
    release.touch()
    resumed = place.kitaru("resume", "-q", "-o", "json", run, RELEASE=str(release))
    assert json.loads(resumed.out)["result"] == 2
    place.is_clean()
