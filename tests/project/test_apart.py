"""Versions started in processes of their own: handles, what is refused, and waiting for what others execute."""

import asyncio
import sys
import threading

import pytest

from kitaru.errors import BadInput, CodeUnloadable, KitaruError, PrunedRun, RunCancelled, RunWaiting, StoreError
from kitaru.model.history import Status
from kitaru.project import Project, apart
from kitaru.project.apart import start_apart

FLOW = """
import sys
from datetime import date
from pathlib import Path
from kitaru import checkpoint, flow, wait

if Path("broken").exists():
    raise OSError("broken")

@checkpoint
def say(n: int) -> str:
    print("said")
    print("and warned", file=sys.stderr)
    return "x" * n

@flow
def talk(n: int, day: date | None = None, extra=None) -> str:
    return say(n)

@flow
def ask() -> str:
    return wait(name="w", schema=str)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = Project.init(tmp_path)
    (tmp_path / "talk.py").write_text(FLOW)
    project.run("talk.py:talk", {"n": 1}, foreground=True).wait()
    project.run("talk.py:ask", {}, foreground=True)
    (tmp_path / "talk.py").unlink()
    yield project
    sys.modules.pop("talk", None)


def test_a_handle_waits_for_the_process(project):
    told = []
    handle = project.invoke("talk@v1", {"n": 3}, detach=True, tags=["t"], max_calls=9, observer=told.append)
    assert handle.wait(60) == "xxx"
    assert (handle.status, handle.get()) == (Status.COMPLETED, "xxx")
    start = project.state(handle.exec_id).start
    assert (start.tags, start.limits, start.invoked["target"]) == (["t"], {"max_calls": 9}, "talk@v1")
    assert [(event.kind, event.run) for event in told] == [("invoked", handle.exec_id)]
    assert "talk" not in sys.modules or sys.modules["talk"].__file__ == str(project.root / "talk.py")


def test_a_handle_can_be_awaited(project):
    async def main():
        return await project.invoke("talk@v1", {"n": 2}, detach=True)

    assert asyncio.run(main()) == "xx"


def test_a_run_that_stops_at_a_question_lets_its_process_end(project):
    handle = project.invoke("ask@v1", detach=True)
    with pytest.raises(RunWaiting):
        handle.wait(60)
    assert project.answer(handle.exec_id, "w", "yes", foreground=True).wait() == "yes"


def test_a_key_finds_the_run_that_is_there(project):
    first = project.invoke("talk@v1", {"n": 1}, key="k", foreground=True)
    again = project.invoke("talk@v1", {"n": 2}, key="k", detach=True)
    assert (again.exec_id, again.outcome.existing, again.outcome.other_inputs) == (first.exec_id, True, ("n",))


@pytest.mark.parametrize(
    ("inputs", "broken", "error", "told"),
    [
        ({"n": 1, "extra": object()}, False, BadInput, "an input is no JSON data"),
        ({"n": 1, "day": "tomorrow"}, False, BadInput, "wrong input for talk: day"),
        ({"n": "x"}, False, BadInput, "wrong input for talk@v1: n"),
        ({"n": 1}, True, CodeUnloadable, "talk.py:8: OSError: broken"),
    ],
)
def test_what_keeps_it_from_beginning_is_told_where_it_was_asked(project, tmp_path, inputs, broken, error, told):
    if broken:
        (tmp_path / "broken").touch()
    before = project.repo.run_ids()
    with pytest.raises(error) as caught:
        project.invoke("talk@v1", inputs, detach=True)
    assert told in caught.value.message
    assert caught.value.hint or error is CodeUnloadable
    assert project.repo.run_ids() == before


def test_a_process_that_dies_first_leaves_its_last_words(project, tmp_path):
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\necho one >&2\necho no such luck >&2\nexit 3\n")
    dying.chmod(0o755)
    request = {"root": str(tmp_path), "target": "talk@v1", "run": "abcdefghjk"}
    with pytest.raises(StoreError, match="died: no such luck"):
        start_apart(dying, tmp_path / ".kitaru", request, outlives=False)
    with pytest.raises(StoreError, match="no process could be started"):
        start_apart(tmp_path / "none", tmp_path / ".kitaru", request, outlives=False)


def test_an_error_of_a_kind_that_is_not_known_here_is_an_error_still():
    found = apart._refusal({"error": "FromTheFuture", "message": "m", "hint": "h"}, None)
    assert (type(found), found.message, found.hint) == (KitaruError, "m", "h")


# -- waiting for what others begin -----------------------------------------------------------------------------------


def test_a_queued_run_is_waited_for_until_it_is_over(project):
    run = "abcdefghjk"
    looked = threading.Event()

    def begin():
        looked.wait()
        project.invoke("talk@v1", {"n": 1}, run=run, foreground=True)

    worker = threading.Thread(target=begin)
    worker.start()
    project.await_run(run, rest=lambda _: looked.set())
    worker.join()
    assert looked.is_set()
    assert project.state(run).status is Status.COMPLETED


def test_one_that_never_begins_is_not_waited_for(project):
    project.repo.put_cancellation("abcdefghjk", by="bo", at=5, reason="no")
    with pytest.raises(RunCancelled, match="by bo"):
        project.await_run("abcdefghjk")
    project.repo.prune("abcdefghjm", at=1, by="bo", may=None)
    with pytest.raises(PrunedRun):
        project.await_run("abcdefghjm")
