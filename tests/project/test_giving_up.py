"""Runs whose process dies each time: workers leave them alone, by what is recorded, until somebody brings them on."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from kitaru.project import Project
from kitaru.project.apart import resume_apart
from kitaru.project.runners import Runners
from kitaru.project.working import Carried, Processes, Told, Work
from kitaru.runtime.prepared import Options

CODE = """
import os, pathlib, signal, time
from kitaru import checkpoint, flow, wait

@checkpoint
def first() -> int:
    return 1

@checkpoint
def deadly(n: int) -> int:
    todo = pathlib.Path(os.environ["TODO"]).read_text()
    if todo == "linger":
        time.sleep(0.2)  # it is recorded that the call has begun
    if todo in ("die", "linger"):
        os.kill(os.getpid(), signal.SIGKILL)
    if todo == "stop":
        raise KeyboardInterrupt
    return n

@flow
def dying() -> int:
    return deadly(first())

@flow
def after() -> int:
    wait("sure")
    return deadly(1)
"""


@pytest.fixture
def todo(tmp_path, monkeypatch):
    path = tmp_path / "todo"
    monkeypatch.setenv("TODO", str(path))
    path.write_text("live")
    return path


def assign_limit(root, flow, attempts):
    with (root / ".kitaru" / "config.toml").open("a") as settings:
        settings.write(f"[flows.{flow}]\nattempts = {attempts}\n")


@pytest.fixture
def project(tmp_path, todo):
    root = tmp_path / "project"
    root.mkdir()
    Project.init(root)
    for flow in ("dying", "after"):
        assign_limit(root, flow, 2)
    project = Project.open(root)
    (root / "flows.py").write_text(CODE)
    project.run(f"{root}/flows.py:dying", {}, foreground=True).wait()
    return project


def work(project):
    """Do what a worker does that looks once, and ends; return what it says but for what it takes up."""
    project = Project.open(project.root)
    runners = Runners(project, Processes(project.root))
    try:
        told = list(Work(project, start=runners.start).carry(once=True))
    finally:
        runners.close()
    return [t for t in told if isinstance(t, Carried | Told)]


def kinds(told):
    return [t.kind if isinstance(t, Told) else t.status for t in told]


def until_left_alone(project):
    """Return how many workers took a run up until one said that it is given up."""
    for count in range(1, 20):
        told = kinds(work(project))
        if told == ["interrupted", "given-up"]:
            return count
        assert told == ["interrupted"]
    raise AssertionError("it is taken up for ever")


@pytest.mark.parametrize("how", ["die", "linger"])
def test_a_run_whose_process_always_dies_is_given_up(project, todo, how):
    todo.write_text(how)
    run = project.enqueue("dying").run
    assert until_left_alone(project) == 3  # the first of them recorded a call
    assert work(project) == []
    state = project.state(run)
    assert (state.status, state.barren, state.ordered_calls[0].label) == ("interrupted", 2, "first")
    said = "given up by workers: its process died 2 times in a row before anything more was recorded"
    assert project.giving_up.told(state) == f"{said}; kitaru resume {run}"
    assert [(summary.run, summary.given_up) for summary in project.log(status="interrupted")] == [(run, True)]
    assert [(queued.invocation.id, queued.state) for queued in project.queue()] == [(run, "given up")]
    todo.write_text("live")
    assert work(project) == []
    assert project.resume(run, foreground=True).outcome.value == 1
    assert project.giving_up.told(project.state(run)) == ""
    assert not any(summary.given_up for summary in project.log())
    assert project.queue() == []


def test_a_run_that_somebody_brought_further_is_looked_after_again(project, todo):
    todo.write_text("die")
    run = project.enqueue("dying").run
    until_left_alone(project)
    todo.write_text("stop")
    project.resume(run, foreground=True)
    assert work(project) == []  # it came no further
    todo.write_text("live")
    project.resume(run, foreground=True)
    assert project.state(run).status == "completed"


def test_five_times_where_the_settings_say_nothing(project, todo):
    (project.root / ".kitaru" / "config.toml").write_text("")
    todo.write_text("die")
    project.enqueue("dying")
    assert until_left_alone(project) == 6


def test_what_stops_in_an_orderly_way_is_tried_again_for_ever_and_records_nothing_more(project, todo):
    todo.write_text("stop")
    run = project.enqueue("dying").run
    assert kinds(work(project)) == ["interrupted"]
    assert kinds(work(project)) == ["interrupted"]
    kept = len(project.repo.records(run))
    assert [kinds(work(project)) for _ in range(2)] == [["interrupted"]] * 2
    assert (project.state(run).barren, len(project.repo.records(run))) == (0, kept)


def test_deaths_after_an_orderly_stop_are_counted_all_the_same(project, todo):
    todo.write_text("stop")
    project.enqueue("dying")
    work(project)
    work(project)
    todo.write_text("die")
    assert until_left_alone(project) == 3  # of the first of them nothing is recorded but by the next


def test_an_answered_run_that_dies_each_time(project, todo):
    project.run(f"{project.root}/flows.py:after", {}, foreground=True)
    run = project.enqueue("after").run
    assert kinds(work(project)) == ["waiting"]
    project.answer(run, None, True, resume=False)
    todo.write_text("die")
    assert until_left_alone(project) == 3


def test_another_machine_goes_by_the_same_records(project, todo, tmp_path):
    (tmp_path / "other").mkdir()
    settings = (project.root / ".kitaru" / "config.toml").read_text()
    project.add_remote("team", str(tmp_path / "team"))
    todo.write_text("die")
    run = project.enqueue("dying").run
    until_left_alone(project)
    project.push(runs=[run])
    Project.init(tmp_path / "other")
    (tmp_path / "other" / ".kitaru" / "config.toml").write_text(settings)
    other = Project.open(tmp_path / "other")
    other.add_remote("team", str(tmp_path / "team"))
    other.pull("team")
    assert other.giving_up.told(other.state(run)) == project.giving_up.told(project.state(run)) != ""
    assert list(Work(other, interrupted=True, start=lambda due: pytest.fail(str(due))).carry(once=True)) == []


def test_a_person_s_attempts_leave_no_record_where_they_come_to_nothing(project, todo):
    todo.write_text("die")
    run = project.enqueue("dying").run
    work(project)
    before = project.repo.records(run)
    todo.write_text("stop")
    assert "KITARU_COUNTED" not in os.environ
    project.resume(run, foreground=True)
    assert len(project.repo.records(run)) == len(before)


def test_how_it_is_shown(project, todo, monkeypatch, capsys):
    from kitaru.cli import main

    monkeypatch.chdir(project.root)
    todo.write_text("die")
    run = project.enqueue("dying").run
    until_left_alone(project)
    why = "given up by workers: its process died 2 times in a row before anything more was recorded"
    shown = {}
    for words in (["queue"], ["queue", "show", run], ["status"], ["log"], ["log", run], ["show", run]):
        main(words)
        shown[" ".join(words)] = capsys.readouterr().out
    assert f"{run}  given up" in shown["queue"]
    assert f"{run}  {why}\n  hint: kitaru resume {run}\n" in shown["queue"]
    assert all("given up by workers" in page for page in shown.values())
    assert why in shown[f"log {run}"] and why in shown[f"show {run}"]
    main(["queue", "-o", "json"])
    (listed,) = json.loads(capsys.readouterr().out)["invocations"]
    assert (listed["state"], listed["why"], listed["hint"]) == ("given up", why, f"kitaru resume {run}")
    main(["log", "-o", "json"])
    listed = json.loads(capsys.readouterr().out)["runs"]
    assert [(item["run"] == run, item["given_up"]) for item in listed] == [(True, True), (False, False)]


@pytest.mark.parametrize("counted", [True, False])
def test_what_is_carried_on_in_another_environment_is_counted_there(project, todo, counted):
    todo.write_text("die")
    run = project.enqueue("dying").run
    work(project)
    options = Options(counted=counted)
    assert resume_apart(Path(sys.executable), project.root, run, options, offline=False).wait(60) != 0
    assert project.state(run).barren == int(counted)
