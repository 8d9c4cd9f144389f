"""A run seen and stopped from another terminal, by the real program."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "kitaru.cli"]
TIMEOUT_S = 60


@pytest.fixture
def there(tmp_path):
    shutil.copyfile(Path(__file__).with_name("flows_live.py"), tmp_path / "flows_live.py")
    assert run(tmp_path, "init").returncode == 0
    return tmp_path


def environment(**more):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **more}


def run(directory, *words):
    return subprocess.run(
        [*PROGRAM, *words], cwd=directory, env=environment(), capture_output=True, timeout=TIMEOUT_S, text=True
    )


@pytest.fixture
def start(there):
    """Start commands that are killed at the test's end, if they are there by then."""
    started = []

    def begin(*words):
        process = subprocess.Popen(
            [*PROGRAM, *words],
            cwd=there,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def appears(path):
    """Wait for a file that a flow makes, which is how it says where it is."""
    until = time.monotonic() + TIMEOUT_S
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.01)
    return path


def latest(there):
    return run(there, "rev-parse", "@").stdout.strip()


@pytest.mark.parametrize("flow", ["isolated", "tasks", "waits_in_thread"])
def test_cancel_from_another_terminal(there, start, flow):
    runner = start("run", f"flows_live.py:{flow}", "-q")
    appears(there / "begun")
    began = time.monotonic()
    done = run(there, "cancel", "@", "--reason", "too dear", "--by", "ada")
    if flow == "waits_in_thread":
        (there / "go").touch()
    out, err = runner.communicate(timeout=TIMEOUT_S)
    assert (done.returncode, runner.returncode) == (0, 8), (done, err)
    assert "by ada" in err
    assert "too dear" in err
    assert out == ""
    assert time.monotonic() - began < TIMEOUT_S  # none of them waits its hour
    document = json.loads(run(there, "show", "@", "-o", "json").stdout)
    assert document["status"] == "cancelled"
    assert (document["cancelled"]["by"], document["cancelled"]["reason"]) == ("ada", "too dear")
    again = run(there, "cancel", "@")
    assert again.returncode == 6
    assert "ada" in again.stderr
    assert run(there, "resume", "@").returncode == 2
    assert run(there, "fsck").returncode == 0
    if flow == "isolated":
        pid = int((there / "begun").read_text())
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_finished_run_is_not_cancelled(there):
    run(there, "run", "flows_live.py:quick", "-q")
    ended = run(there, "cancel", "@")
    assert ended.returncode == 2
    assert "cannot be cancelled any more" in ended.stderr
    assert len(ended.stderr.splitlines()) == 2


def test_a_run_whose_runner_was_killed_is_cancelled(there, start):
    runner = start("run", "flows_live.py:waits_in_thread", "-q")
    appears(there / "begun")
    runner.send_signal(signal.SIGKILL)
    runner.wait(TIMEOUT_S)
    document = json.loads(run(there, "cancel", "@", "-o", "json").stdout)
    assert document["ended"] is True
    assert "cancelled" in run(there, "log").stdout


def test_logs_follow_a_call_in_flight_to_the_end(there, start):
    runner = start("run", "flows_live.py:talks", "-q")
    appears(there / "begun")
    follower = start("logs", "-f")
    seen = []
    for line in follower.stdout:
        seen.append(line)
        if "second" in line:
            break
    assert runner.poll() is None  # what it wrote was seen while it executed
    (there / "go").touch()
    rest = follower.stdout.read()
    assert follower.wait(TIMEOUT_S) == 0
    text = "".join(seen) + rest
    assert [text.count(word) for word in ("first", "second", "third", "halfway  50%", "\\x1b[31m")] == [1] * 5
    assert "\x1b[31m" not in text
    assert text.rstrip().endswith("completed")
    assert runner.wait(TIMEOUT_S) == 0
    assert not list((there / ".kitaru/cache/live").iterdir())
    assert "third" in run(there, "logs", "@", "talk").stdout


def test_logs_follow_as_json(there, start):
    run(there, "run", "flows_live.py:quick", "-q")
    ended = run(there, "logs", "-f", "-o", "json")
    kinds = [json.loads(line)["kind"] for line in ended.stdout.splitlines()]
    assert (kinds[0], kinds[-1], ended.returncode) == ("start", "over", 0)


def test_logs_of_a_run_that_sleeps_say_until_when_and_end(there):
    ended = run(there, "run", "flows_live.py:nap", "-q")
    assert ended.returncode == 3
    assert "sleeps until" in ended.stderr
    followed = run(there, "logs", "-f")
    assert followed.returncode == 0
    assert "sleeps until" in followed.stderr
    for words in (["status"], ["log"], ["log", "@"], ["waits"]):
        assert "sleeps until" in run(there, *words).stdout, words
    document = json.loads(run(there, "run", "flows_live.py:nap", "-q", "-o", "json").stdout)
    assert document["wakes"]
    assert document["questions"] == []


def test_a_sleep_that_the_process_stays_for(there):
    assert run(there, "run", "flows_live.py:nap", "seconds=0.01", "-q").stdout == "awake\n"
    assert run(there, "run", "flows_live.py:nap", "seconds=5.5", "-q", "--stay", "1m").stdout == "awake\n"


def test_status_watch_tells_changes_and_ends_on_ctrl_c(there, start):
    watcher = start("status", "--watch", "-o", "json")
    runner = start("run", "flows_live.py:waits_in_thread", "-q")
    assert json.loads(watcher.stdout.readline())["status"] == "running"
    (there / "go").touch()
    assert runner.wait(TIMEOUT_S) == 0
    assert json.loads(watcher.stdout.readline())["status"] == "completed"
    watcher.send_signal(signal.SIGINT)
    assert watcher.wait(TIMEOUT_S) == 0
    assert watcher.stderr.read() == ""


def test_a_key_starts_one_run_whoever_asks(there, start):
    racers = [start("run", "flows_live.py:once", "--key", "order 17", "-q", "-o", "json") for _ in range(8)]
    ended = [racer.communicate(timeout=TIMEOUT_S) for racer in racers]
    documents = [json.loads(out) for out, _ in ended]
    assert len({d["run"] for d in documents}) == 1
    assert [d["existing"] for d in documents].count(False) == 1
    assert (there / "charged").read_text() == "x"
    assert len(run(there, "log").stdout.splitlines()) == 1
    shown = run(there, "run", "flows_live.py:once", "--key", "order 17")
    assert (shown.returncode, shown.stdout) == (0, "charged\n")
    assert "was started for this key before, and is shown" in shown.stderr
    shown = run(there, "run", "flows_live.py:once", "amount=6", "--key", "order 17", "-o", "json")
    assert (shown.returncode, json.loads(shown.stdout)["other_inputs"]) == (0, ["amount"])
    assert "was started for this key before with another amount, and is shown" in shown.stderr
    assert run(there, "fsck").returncode == 0


def test_a_key_of_a_run_that_sleeps_in_its_process(there, start):
    sleeper = start("run", "flows_live.py:nap", "--key", "k", "--stay", "2h", "--events")
    while json.loads(sleeper.stdout.readline())["event"] != "sleep":
        pass
    shown = run(there, "run", "flows_live.py:nap", "--key", "k")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "goes on in the process that holds it" in shown.stderr


def test_a_line_without_end_comes_before_the_end_of_its_call(there):
    lines = run(there, "run", "flows_live.py:breaks").stderr.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("  ✗ breaks_off"))
    assert lines[at - 1] == "  breaks_off | no line end"
    lines = run(there, "logs", "@").stdout.splitlines()
    assert lines[2] == "  breaks_off | no line end"
    assert lines[3].startswith("  ✗ breaks_off")


def test_limits(there):
    ended = run(there, "run", "flows_live.py:many", "--max-calls", "3")
    assert ended.returncode == 1
    assert "has executed 3 calls, which is its limit" in ended.stderr
    assert f"kitaru resume {latest(there)} --max-calls 6" in ended.stderr
    assert run(there, "resume", "@", "--max-calls", "6", "-q").stdout == "10\n"
