"""Recorded histories followed by today's code, as a user's own tests do it."""

from __future__ import annotations

import shutil
import sys

import pytest

from kitaru import flow
from kitaru.config import Config
from kitaru.errors import NotAProject, UnknownRun
from kitaru.testing import HistoryMismatch, memory_project, replay_history
from tests.runtime.bench import Scripts

FLOW = """
from pathlib import Path
from kitaru import checkpoint, flow, wait

@checkpoint
def plan(topic):
    Path("executed").open("a").write("plan\\n")
    return [topic, "why"]

@checkpoint
def write(queries, style="plain"):
    Path("executed").open("a").write("write\\n")
    return f"{style}: {', '.join(queries)}"

@flow
def report(topic="tides"):
    queries = plan(topic)
    wait("ok", "Go on?")
    return write(queries)
"""


@pytest.fixture
def history(tmp_path, monkeypatch):
    """A project with a run that waits and one that completed, and a copy of its store instead of it."""
    scripts = Scripts(tmp_path)
    scripts.write("reports.py", FLOW)
    run = "project.run('reports.py:report', {}, foreground=True)"
    scripts.do(run)
    scripts.do(f"{run} and project.answer('@', None, True, foreground=True)")
    shutil.copytree(tmp_path / ".kitaru", tmp_path / "histories" / "reports")
    shutil.rmtree(tmp_path / ".kitaru")
    (tmp_path / "executed").unlink()
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("reports", None)
    assert not (tmp_path / "executed").exists()


def edit(history, was, now):
    file = history / "reports.py"
    assert was in file.read_text()
    file.write_text(file.read_text().replace(was, now))


def test_code_that_fits_and_a_store_that_stays_as_it_is(history):
    store = history / "histories" / "reports"
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    waiting, completed = replay_history("histories/reports", strict=True)
    assert [str(check.ending) for check in (waiting, completed)] == ["waits", "completes"]
    assert [call.call for call in completed.calls] == ["plan", "write"]
    after = {path: path.read_bytes() for path in store.rglob("*") if path.is_file() and "cache" not in path.parts}
    assert after == {path: content for path, content in before.items() if "cache" not in path.parts}


def test_drift_fails_the_test_and_is_shown(history):
    edit(history, "plan(topic)\n    wait", "plan(topic.upper())\n    wait")
    with pytest.raises(HistoryMismatch, match="topic was 'tides', is now 'TIDES'") as caught:
        replay_history("histories/reports")
    assert isinstance(caught.value, AssertionError)
    assert [str(check.ending) for check in caught.value.checks] == ["drifts", "drifts"]
    assert [str(c.ending) for c in replay_history("histories/reports", "@", on_drift="reuse")] == ["completes"]


def test_a_flow_that_fails_on_its_history(history):
    edit(history, 'wait("ok"', 'queries[5], wait("ok"')
    with pytest.raises(HistoryMismatch, match="IndexError"):
        replay_history("histories/reports", "@")


def test_a_new_call_is_no_drift_but_strictly_a_mismatch(history):
    edit(history, "return write(queries)", "return publish(write(queries))")
    edit(history, "@flow", "@checkpoint\ndef publish(text):\n    return text\n\n@flow")
    (found,) = replay_history("histories/reports", "@")
    assert [f"{call.call} {call.verdict}" for call in found.calls] == ["plan reuse", "write reuse", "publish run"]
    with pytest.raises(HistoryMismatch, match="publish: run, new"):
        replay_history("histories/reports", "@", strict=True)


def test_a_call_that_is_gone_is_strictly_a_mismatch(history):
    edit(history, "return write(queries)", "return queries")
    replay_history("histories/reports")
    with pytest.raises(HistoryMismatch, match="write: recorded, and no longer made"):
        replay_history("histories/reports", strict=True)


def test_what_is_no_history(history):
    with pytest.raises(NotAProject):
        replay_history("nowhere")
    with pytest.raises(UnknownRun):
        replay_history("histories/reports", "zzzzzzzzzz")


@flow
def doubled(number: int) -> int:
    return 2 * number


def test_two_projects_in_memory_meet_at_a_remote(tmp_path):
    remotes = Config(tables={"remotes": {"team": {"url": str(tmp_path / "shared")}}})
    ana, ben = (memory_project(config=remotes, seed=name) for name in ("ana", "ben"))
    first, second = (project.run(doubled, {"number": 2}, foreground=True).exec_id for project in (ana, ben))
    assert first != second
    ana.push()
    ben.pull()
    assert {run.run for run in ben.log()} == {first, second}
