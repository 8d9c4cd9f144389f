"""kill -9 while models are asked: what is recorded is never asked, and paid, again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading

import pytest

from kitaru.project import Project
from tests.llm.conftest import KEY
from tests.llm.stub import Stub

CALLS = 40

FLOW = f"""
import kitaru

@kitaru.flow
def asks() -> int:
    return sum(len(kitaru.llm(f"item {{n}}")) for n in range({CALLS}))

@kitaru.flow
def streams() -> str:
    return "".join(kitaru.llm("tell me", stream=True))
"""


@pytest.fixture
def project(tmp_path):
    with Stub() as stub:
        project = Project.init(tmp_path)
        project.add_secret("stub", "env:STUB_KEY")
        project.add_model("fast", ["openai/gpt-4o-mini"], secret="stub", api_base=stub.url, default=True)
        (tmp_path / "flow.py").write_text(FLOW)
        yield project, stub


def start(project, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "kitaru", *words, "-q"],
        cwd=project.root,
        env={**os.environ, "STUB_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def recorded(project) -> set[str]:
    """Return the prompts whose replies are recorded."""
    fresh = Project.open(project.root)
    runs = fresh.log()
    if not runs:
        return set()
    state = fresh.state(runs[0].run)
    ids = [call.record.args["messages"] for call in state.ordered_calls if call.record is not None]
    return {fresh.value(object_id, state.run)[0]["content"] for object_id in ids}


def killed_at(stub: Stub, process: subprocess.Popen, request: int, delay_s: float) -> None:
    """Kill a process a moment after the stub has got so many requests, unless it ends before."""
    over = threading.Event()

    def watch() -> None:
        while len(stub.requests) < request and not over.is_set():
            stub.asked.wait(0.05)
            stub.asked.clear()
        over.wait(delay_s)
        process.kill()

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.wait()
    over.set()
    watcher.join()
    process.stdout.close()
    process.stderr.close()


@pytest.mark.parametrize("kills", [1, pytest.param(30, marks=pytest.mark.long)])
def test_a_recorded_reply_is_never_asked_for_again(project, kills):
    project, stub = project
    chance = random.Random(7)
    process = start(project, "run", "flow.py:asks")
    for _ in range(kills):
        killed_at(stub, process, len(stub.requests) + chance.randint(1, 2), chance.uniform(0, 0.02))
        paid, before = recorded(project), len(stub.requests)
        process = start(project, "resume", "@")
        killed_at(stub, process, before + 1, 0.0)
        assert not paid & set(stub.said[before:])
        process = start(project, "resume", "@")
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert int(out) == sum(len(f"echo: item {n}") for n in range(CALLS))
    assert set(stub.said) == {f"item {n}" for n in range(CALLS)}
    assert len(stub.requests) <= CALLS + 2 * kills


def test_a_run_killed_in_the_middle_of_a_stream_asks_again_once(project):
    project, stub = project
    stub.script = ["stall:some of it"]
    process = start(project, "run", "flow.py:streams")
    stub.asked.wait()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert recorded(project) == set()
    process = start(project, "resume", "@")
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.decode().strip() == "echo: tell me"
    assert stub.said == ["tell me", "tell me"]
