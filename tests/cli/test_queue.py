"""`kitaru invoke --queue`, `kitaru queue`, `kitaru schedule` through the real `main`; a worker as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kitaru.cli.verbs.work import _say_ended
from kitaru.project import Project
from kitaru.project.due import Due
from kitaru.project.working import Carried
from kitaru.store import layout

SOURCE = """
from kitaru import checkpoint, flow

@checkpoint
def say(q: str) -> str:
    return q.upper()

@flow
def talk(q: str, n: int = 1) -> str:
    return say(q) * n
"""

LONG = """
import time
from pathlib import Path
from kitaru import flow

@flow
def long() -> None:
    while not Path("go").exists():
        time.sleep(0.01)
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
        "why": None,
        "hint": None,
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
    assert "came no further: error: " in ended.stdout
    assert "nightly" in ended.stdout
    assert talking("queue").out.startswith(run)


def test_of_a_process_that_fell_the_last_line_is_shown(capsys):
    told = "Traceback (most recent call last):\n  File 'a.py', line 1, in f\nRuntimeError: no room\n"
    _say_ended(Carried(Due("r1", "talk", "queued", ()), "", 1, told, 0.1, again_s=2.0), once=False)
    assert capsys.readouterr().out.endswith("came no further, once more in 2.0 s: RuntimeError: no room\n")


@pytest.mark.parametrize(("once", "again"), [(False, ", once more in 2.0 s"), (True, "")])
def test_of_a_process_that_came_no_further_the_hint_is_shown(capsys, once, again):
    told = "error: version talk@v1 has not been looked at here\nhint: kitaru trust talk@v1\n"
    _say_ended(Carried(Due("r1", "talk", "queued", ()), "", 11, told, 0.1, again_s=2.0), once=once)
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"  came no further{again}: error: version talk@v1 has not been looked at here",
        "  hint: kitaru trust talk@v1",
    ]


def test_what_is_waited_for_is_told_and_goes_on_after_the_waiting(talking, directory):
    ended, told = cut_short(directory, "invoke", "talk", "q=a", "--queue", "--wait")
    run = talking("queue").out.split()[0]
    assert told == f"note: queued {run}; kitaru work begins it\n"
    assert ended == (130, f"error: interrupted; {run} is still queued\nhint: kitaru queue show {run}\n")

    (directory / "long.py").write_text(LONG)
    assert talking("deploy", "long.py:long").code == 0
    ended, told = cut_short(directory, "invoke", "long", "--detach", "--wait")
    run = Project.open(directory).find_run("@")
    assert told == f"note: run {run} has begun; kitaru logs -f {run}\n"
    assert ended == (130, f"error: interrupted; run {run} goes on\nhint: kitaru log {run}\n")
    (directory / "go").touch()
    Project.open(directory).await_run(run)
    assert Project.open(directory).state(run).status == "completed"


def cut_short(directory, *words):
    """Press Ctrl-C once a command has told what it waits for; return how it ended, and what it had told."""
    command = [sys.executable, "-m", "kitaru", *words]
    process = subprocess.Popen(command, cwd=directory, stderr=subprocess.PIPE, text=True)
    try:
        told = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    return (process.returncode, rest), told


def test_a_queued_run_is_called_off_in_the_queue(talking):
    run = queued(talking, "q=a")
    ended = talking("cancel", run[:6])
    assert (ended.code, f"hint: kitaru queue cancel {run}" in ended.err) == (2, True)


def test_notes_are_whole_on_a_terminal(talking, monkeypatch):
    note = "because " + "the others need it every morning before they begin " * 3 + "END"
    talking("schedule", "add", "x", "talk", "q=a", "--cron", "0 3 * * *", "--tz", "UTC", "--note", note)
    talking("route", "set", "talk", "stable", "v1", "--note", note)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert note in talking("schedule", "log", "x").out
    assert note in talking("route", "log", "talk", "stable").out


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


# -- what keeps an invocation from being begun -----------------------------------------------


def standing(project):
    """Return why and hint of the first that is queued, and what the listing says under its row."""
    (first,) = json.loads(project("queue", "-o", "json").out)["invocations"]
    shown = json.loads(project("queue", "show", first["id"], "-o", "json").out)
    assert (shown["why"], shown["hint"]) == (first["why"], first["hint"])
    told = project("queue", "show", first["id"]).out
    assert first["why"] is None or first["why"] in told
    return first["why"], first["hint"], project("queue").out.partition("\n\n")[2]


def test_what_can_be_begun_has_nothing_in_its_way(talking):
    queued(talking, "q=x")
    assert standing(talking) == (None, None, "")


def test_a_route_that_is_gone(talking):
    talking("route", "set", "talk", "stable", "v1")
    run = queued(talking, "q=x")
    talking("route", "set", "talk", "other", "v1")
    assert talking("route", "remove", "talk", "stable").code == 0
    why, hint, told = standing(talking)
    assert "none named stable" in why
    assert hint == "talk@other or talk@latest"
    assert told == f"{run}  {why}\n  hint: {hint}\n"


def test_inputs_that_no_longer_fit(talking, directory):
    first, second = queued(talking, "q=x"), queued(talking, "q=y")
    (directory / "talk.py").write_text(SOURCE.replace("n: int = 1", "m: int"))
    talking("run", "talk.py:talk", "q=x", "m=1", "-q")
    found = json.loads(talking("queue", "-o", "json").out)["invocations"]
    assert ["n" in item["why"] and "m" in item["hint"] for item in found] == [True, True]
    told = talking("queue").out.partition("\n\n")[2]
    assert told.startswith(f"{first}, {second}  ")  # what is in the way of several is said once
    assert talking("queue", "cancel", first, second).code == 0
    assert talking("queue").out == ""


def test_code_that_nobody_trusts_here(talking, directory, monkeypatch):
    queued(talking, "q=x")
    talking("remote", "add", "team", str(directory / "team"))
    assert talking("push", "team", "-q").code == 0
    (directory / "elsewhere").mkdir()
    monkeypatch.chdir(directory / "elsewhere")
    talking("init", "--remote", str(directory / "team"))
    assert talking("pull", "-q").code == 0
    why, hint, _ = standing(talking)
    assert why.endswith("its code has not been looked at here")
    assert "kitaru trust talk@v1" in hint
    assert talking("trust", "talk@v1", "--yes").code == 0
    assert standing(talking)[0] is None


def test_a_limit_that_is_reached(talking, directory):
    with (directory / ".kitaru" / "config.toml").open("a") as settings:
        settings.write("[flows.talk]\nper-minute = 1\n")
    queued(talking, "q=x")
    why, hint, _ = standing(talking)
    assert why == "no further run of talk for now: 1 of them began in the last minute, and per-minute is 1"
    assert hint == "[flows.talk] in .kitaru/config.toml"


def test_a_version_that_is_damaged(talking):
    queued(talking, "q=x")
    project = Project.open()
    path = Path(project.repo.blobs.where(layout.flow_key("talk", 1)))
    path.chmod(0o600)
    path.write_bytes(b"{}")
    why, _, told = standing(talking)
    assert "flows/talk" in why
    assert why in told
