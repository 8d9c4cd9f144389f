"""`kitaru invoke --queue`, `kitaru queue`, `kitaru schedule` through the real `main`; a worker as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from kitaru.cli.verbs.work import _say_ended
from kitaru.project import Project
from kitaru.project.due import Due
from kitaru.project.working import Carried

SOURCE = """
from kitaru import checkpoint, flow

@checkpoint
def say(q: str) -> str:
    return q.upper()

@flow
def talk(q: str, n: int = 1) -> str:
    return say(q) * n
"""


@pytest.fixture
def talking(project, directory):
    """A project with a recorded flow, and no sources any more."""
    (directory / "talk.py").write_text(SOURCE)
    assert project("run", "talk.py:talk", "q=x", "-q").code == 0
    (directory / "talk.py").unlink()
    return project


def queued(talking, *words):
    return talking("invoke", "talk", *words, "--queue", "-q").out.split()[0]


def work(directory, *words):
    command = [sys.executable, "-m", "kitaru", "work", "--once", *words]
    return subprocess.run(
        command, cwd=directory, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"}
    )


def test_what_is_queued_is_listed_shown_and_worked_off(talking, directory):
    low = queued(talking, "q=low", "--priority", "-2")
    late = queued(talking, "q=late", "--not-before", "2099-01-01")
    high = queued(talking, "q=high", "n=2", "--tag", "nightly", "--key", "order 17")
    listed = [line.split() for line in talking("queue").out.splitlines()]
    assert [(row[0], row[1], row[2]) for row in listed] == [
        (high, "queued", "talk"),
        (low, "queued", "talk"),
        (late, "delayed", "talk"),
    ]
    assert "key order 17" in talking("queue", "list").out
    assert "\nqueue: 2 queued, 1 delayed; kitaru work begins them\n" in talking("status").out
    shown = talking("queue", "show", high[:6]).out
    assert [line.strip() for line in shown.splitlines()[2:]] == [
        "key order 17",
        "tags nightly",
        "q:",
        "high",
        "n:",
        "2",
    ]
    stands = json.loads(talking("status", "-o", "json").out)
    assert (stands["queued"], stands["delayed"]) == (2, 1)
    ended = work(directory)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[0] == f"{high}  talk was queued"
    assert ended.stdout.splitlines()[1].startswith(f"{high}  completed")
    assert [row.split()[:2] for row in talking("queue", "list", "-a").out.splitlines()] == [
        [late, "delayed"],
        [high, "completed"],
        [low, "completed"],
    ]
    assert "HIGHHIGH" in talking("show", high).out
    assert f"invocation {high}" in talking("show", high).out


def test_json_of_the_queue(talking, directory):
    run = queued(talking, "q=a")
    (document,) = json.loads(talking("queue", "list", "-o", "json").out)["invocations"]
    assert document == {
        "id": run,
        "state": "queued",
        "target": "talk",
        "flow": "talk",
        "key": "",
        "env": "",
        "priority": 0,
        "not_before": None,
        "tags": [],
        "schedule": None,
        "tick": None,
        "queued": document["queued"],
        "by": "ada",
    }
    assert json.loads(talking("queue", "-o", "json").out) == {"invocations": [document]}
    assert json.loads(talking("queue", "show", run, "-o", "json").out) == {**document, "inputs": {"q": "a"}}
    first, last = map(json.loads, work(directory, "-o", "json").stdout.splitlines())
    assert first == {"event": "start", "run": run, "flow": "talk", "why": "queued"}
    assert (last["event"], last["status"], last["code"]) == ("end", "completed", 0)


def test_what_is_called_off_is_not_begun(talking, directory):
    runs = [queued(talking, f"q={n}") for n in range(3)]
    assert talking("queue", "cancel", runs[0], "nothing").code == 2
    assert len(talking("queue").out.splitlines()) == 3, "all or none"
    assert talking("queue", "cancel", *runs[:2], "--reason", "late").out == "".join(
        f"{r}  cancelled\n" for r in runs[:2]
    )
    assert work(directory).stdout.count("was queued") == 1
    ended = talking("queue", "cancel", runs[0])
    assert (ended.code, "was cancelled by ada" in ended.err) == (6, True)
    ended = talking("queue", "cancel", runs[2])
    assert (ended.code, "its run is completed" in ended.err, f"kitaru cancel {runs[2]}" in ended.err) == (2, True, True)


def test_what_cannot_be_started_is_told_and_stays(talking, directory):
    talking("route", "set", "talk", "nightly", "v1")
    run = talking("invoke", "talk@nightly", "q=a", "--queue", "-q").out.split()[0]
    talking("route", "remove", "talk", "nightly")
    ended = work(directory)
    assert ended.returncode == 0
    assert f"{run}  not begun" in ended.stdout
    assert "came no further, once more in 2.0 s: error: " in ended.stdout
    assert "nightly" in ended.stdout
    assert talking("queue").out.startswith(run)


def test_of_a_process_that_fell_the_last_line_is_shown(capsys):
    told = "Traceback (most recent call last):\n  File 'a.py', line 1, in f\nRuntimeError: no room\n"
    _say_ended(Carried(Due("r1", "talk", "queued", ()), "", 1, told, 0.1, again_s=2.0))
    assert capsys.readouterr().out.endswith("once more in 2.0 s: RuntimeError: no room\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("invoke", "talk", "q=a", "--queue", "--priority", "9999999"), "is no priority"),
        (("invoke", "talk", "--queue"), "no value for q"),
        (("invoke", "talk", "q=a", "n=x", "--queue"), "n: Input should be an integer"),
        (("queue", "-a", "show", "zz"), "unexpected extra argument(s) (show zz)"),
        (("queue", "show", "zz"), "no invocation matches 'zz'"),
        (("schedule", "add", "x", "talk", "q=a", "--cron", "61 * * * *"), "no cron line"),
        (("schedule", "add", "x", "talk", "q=a", "--cron", "* * * * *", "--tz", "Mars"), "no time zone 'Mars'"),
        (("schedule", "add", "x y", "talk", "q=a", "--cron", "* * * * *"), "cannot name a schedule"),
        (("schedule", "add", "x", "talk", "--cron", "* * * * *"), "no value for q"),
        (("schedule", "pause", "x"), "no schedule 'x'"),
        (("schedule", "log", "x"), "no schedule 'x'"),
    ],
)
def test_mistakes_are_one_line_and_a_hint(talking, words, told):
    ended = talking(*words)
    assert ended.code == 2
    assert told in ended.err
    assert [line.partition(":")[0] for line in ended.err.splitlines()] == ["error", "hint"]
    assert talking("queue", "list", "-a").out == talking("schedule", "list", "-a").out == ""


def test_a_schedule_from_its_beginning_to_its_end(talking):
    words = ("schedule", "add", "morning", "talk", "q=new", "--cron", "0 9 * * 1-5", "--tz", "Europe/Berlin")
    line = "morning  active  talk  0 9 * * 1-5  Europe/Berlin  next 2026-01-01 09:00+01:00\n"
    assert talking(*words, "--note", "asked for").out == line
    assert talking("schedule", "list").out == line
    assert talking("schedule", "show", "morning").out == f"{line}  q:\n    new\n"
    assert talking("schedule", "pause", "morning").out == "morning  paused  talk  0 9 * * 1-5  Europe/Berlin\n"
    assert talking("schedule", "resume", "morning").out == line
    assert talking("schedule", "remove", "morning", "--note", "enough").out.startswith("morning  removed")
    assert talking("schedule", "list").out == ""
    log = talking("schedule", "log", "morning").out.splitlines()
    assert [row.split()[:2] for row in log] == [["4", "removed"], ["3", "active"], ["2", "paused"], ["1", "active"]]
    assert (log[0].endswith("enough"), log[-1].endswith("asked for")) == (True, True)
    assert talking(*words).code == 0


def test_json_of_a_schedule(talking):
    words = ("schedule", "add", "often", "talk", "q=new", "--cron", "*/5 * * * *", "--tz", "UTC", "--catch-up", "all")
    document = json.loads(talking(*words, "-o", "json").out)
    assert document == {
        "name": "often",
        "state": "active",
        "target": "talk",
        "cron": "*/5 * * * *",
        "tz": "UTC",
        "catch_up": "all",
        "next": "2026-01-01T00:05:00+00:00",
        "last": None,
        "last_run": None,
        "n": 1,
        "changed": document["changed"],
        "by": "ada",
        "note": "",
        "wrong": "",
    }
    assert json.loads(talking("schedule", "list", "-o", "json").out) == {"schedules": [document]}
    assert json.loads(talking("schedule", "show", "often", "-o", "json").out) == {**document, "inputs": {"q": "new"}}
    (entry,) = json.loads(talking("schedule", "log", "often", "-o", "json").out)["entries"]
    assert (entry["n"], entry["state"], entry["catch_up"], entry["at"]) == (1, "active", "all", document["changed"])


def test_ticks_that_nobody_was_there_for_are_caught_up_by_a_worker(talking, directory):
    """The schedule is added by a clock that stands at the beginning of 2026, so that the worker comes months late."""
    talking("schedule", "add", "monthly", "talk", "q=report", "--cron", "0 0 1 * *", "--tz", "UTC", "--catch-up", "all")
    ended = work(directory, "-o", "json")
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    ticks = [queued for queued in Project.open(directory).queue(all=True) if queued.invocation.schedule]
    assert ticks
    assert {queued.state for queued in ticks} == {"completed"}
    assert sorted(e["run"] for e in events if e["event"] == "start") == sorted(q.invocation.id for q in ticks)
    assert {e["why"] for e in events} == {"scheduled"}


def test_completion(talking):
    from kitaru.cli import complete

    run = queued(talking, "q=a")
    talking("schedule", "add", "often", "talk", "q=new", "--cron", "*/5 * * * *")
    assert complete.queued(run[:3]) == [(run, "talk, queued")]
    assert complete.schedules("of") == [("often", "talk, active")]
    assert complete.schedules("x") == []
