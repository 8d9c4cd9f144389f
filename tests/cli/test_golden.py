"""Exact text of every page, with pinned clock, ids and width; `KITARU_GOLDEN=1` writes the texts anew."""

import os
import re
import sys
from pathlib import Path

import pytest

from kitaru.cli.verbs import log
from kitaru.model.summary import RunSummary

GOLDEN = Path(__file__).parents[1] / "golden" / "cli"


@pytest.fixture
def terminal(monkeypatch):
    """Make stdout and stderr narrow terminals without colour."""

    def narrow(columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    return narrow


def check(name, text):
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("KITARU_GOLDEN"):
        file.write_text(text, "utf-8")
    assert text == file.read_text("utf-8")


def steady(text):
    """Replace what differs between machines and runs: durations, object ids that hang on paths, directories."""
    text = re.sub(r"\d+(\.\d)? (µs|ms|s)\b *", "T  ", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "ID", text)  # of a record: it hangs on the Python that executes
    text = re.sub(r"^\s*[~^]+\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"/\S*?/(flows\.py|\.kitaru)", r"DIR/\1", text)
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return re.sub(r"^project \S+", "project DIR", text, flags=re.MULTILINE)


@pytest.fixture
def history(project):
    """A failed run, a run that waits, a completed run and two replays of it."""
    project("run", "flows.py:bad", "-q")
    project("run", "flows.py:agent", "question=first", "-q", "--tag", "demo")
    project("run", "flows.py:agent", "question=second", "-q")
    project("answer", "@", "true", "-q")
    project("replay", "@", "--from", "synthesize", "-q")
    project("replay", "@~1", "--set", 'plan={"queries": ["x"]}', "--answer", "approve=false", "-q")
    return project


PAGES = {
    "status": ["status"],
    "waits": ["waits"],
    "log": ["log"],
    "log-run": ["log", "@~2"],
    "log-replay": ["log", "@"],
    "show-run": ["show", "@"],
    "show-failed": ["show", "@~4"],
    "show-call": ["show", "@~2:retrieve"],
    "show-call-with-logs": ["show", "@~2:plan"],
    "show-wait": ["show", "@~2:approve"],
    "config": ["config"],
    "fsck": ["fsck"],
}


@pytest.mark.parametrize("name", PAGES)
def test_page(history, name):
    check(name, steady(history(*PAGES[name]).out))


@pytest.mark.parametrize("name", ["log", "status"])
def test_page_on_a_narrow_terminal(history, terminal, name):
    runs = re.findall(r"^[*| ]*([2-9a-z]{10}) ", history("log").out, re.MULTILINE)
    terminal(40)
    out = history(*PAGES[name]).out
    assert not any(len(line) > 40 for line in out.splitlines() if "use " not in line and "project" not in line)
    assert any(run in out for run in runs)
    assert name != "log" or all(run in out for run in runs)


def test_ids_are_whole_on_a_narrow_terminal(history, terminal):
    wide = history("log", "@~2").out
    terminal(40)
    assert re.findall(r"\b[0-9a-f]{12}\b", history("log", "@~2").out) == re.findall(r"\b[0-9a-f]{12}\b", wide) != []


def test_progress_off_a_terminal(project):
    check("run-waits", steady(project("run", "flows.py:agent", "question=hi").err))
    check("run-fails", steady(project("run", "flows.py:bad").err))


def test_help(kitaru):
    check("help", kitaru("--help").out)


def test_names_from_elsewhere_are_harmless(capsys):
    summary = RunSummary("abcdefghjk", "f\x1b[31mlow[red]\n", 1, "failed", 0, 1, tags=["t\x07"], error="e\x9b\nrest")
    log._runs([summary], 0, 10**15)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert r"f\x1b[31mlow[red]\n" in out
    assert out.count("\n") == 1
