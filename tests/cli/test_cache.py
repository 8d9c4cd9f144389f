"""The result cache on the command line: said where it was used, shown, cleared, and put aside for a run."""

import json
import sys

import pytest

HELPERS = "def tidy(text):\n    return text.strip()\n"
FLOW = """
from kitaru import checkpoint, flow
from helpers import tidy


@checkpoint(cache=True)
def fetch(url: str) -> str:
    print("executing")
    return tidy(url)


@flow
def look(url: str = "a") -> str:
    return fetch(url)
"""


@pytest.fixture
def cached(kitaru, directory):
    """Run the flow once; return the command line, and what starts a process anew."""
    (directory / "helpers.py").write_text(HELPERS)
    (directory / "cached.py").write_text(FLOW)
    assert kitaru("init").code == 0

    def run(*words):
        for module in ("cached", "helpers"):
            sys.modules.pop(module, None)
        return kitaru("run", "cached.py:look", *words)

    assert "executing" in run().err
    yield kitaru, run
    for module in ("cached", "helpers"):
        sys.modules.pop(module, None)


def first_run(kitaru):
    return json.loads(kitaru("log", "-o", "json").out)["runs"][-1]["run"]


def test_a_reused_call_says_where_it_came_from(cached):
    kitaru, run = cached
    source = first_run(kitaru)
    ended = run()
    assert ended.out == "a\n"
    assert "executing" not in ended.err
    assert f"fetch  reused from {source}:fetch" in ended.err
    assert f"[from {source}:fetch]" in kitaru("log", "@").out
    assert f"reused from {source}:fetch" in kitaru("show", "@:fetch").out
    call = json.loads(kitaru("show", "@:fetch", "-o", "json").out)
    assert call["how"] == "reused"
    assert call["reused"] == {
        "call": "fetch",
        "run": source,
        "record": kitaru("rev-parse", f"{source}:fetch").out.strip(),
    }


def test_its_event(cached):
    _, run = cached
    events = [json.loads(line) for line in run("--events").out.splitlines()]
    (call,) = [event for event in events if event["event"] == "call"]
    assert (call["how"], call["reused"]["call"]) == ("reused", "fetch")


def test_without_the_cache(cached):
    kitaru, run = cached
    assert "executing" in run("--no-cache").err
    assert "executing" not in run().err
    assert "executing" not in kitaru("replay", "@", "--from", "fetch").err
    assert "executing" in kitaru("replay", "@", "--from", "fetch", "--no-cache").err


def test_a_helper_in_another_file_that_changed(cached, directory):
    _, run = cached
    (directory / "helpers.py").write_text(f"# a comment\n{HELPERS}")
    assert "executing" not in run().err
    (directory / "helpers.py").write_text(HELPERS.replace("strip", "upper"))
    ended = run()
    assert "executing" in ended.err
    assert ended.out == "A\n"


def test_recorded_code_neither_takes_nor_gives(cached, directory):
    kitaru, run = cached
    assert "executing" in kitaru("replay", "@", "--from", "fetch", "--as-recorded").err
    kitaru("cache", "clear")
    assert "executing" in kitaru("replay", "@", "--from", "fetch", "--as-recorded").err
    assert kitaru("cache").out == "0 results, 0 B\n"
    assert "executing" in run().err


def test_show_and_clear(cached):
    kitaru, run = cached
    assert kitaru("cache").out.startswith("1 result, ")
    assert json.loads(kitaru("cache", "info", "-o", "json").out)["entries"] == 1
    assert kitaru("cache", "clear").out.startswith("cleared 1 result, ")
    assert kitaru("cache").out == "0 results, 0 B\n"
    assert json.loads(kitaru("cache", "clear", "-o", "json").out) == {"entries": 0, "bytes": 0, "cleared": True}
    assert "executing" in run().err


def test_a_damaged_cache_is_one_line(cached, directory):
    _, run = cached
    (directory / ".kitaru/cache/results/cache.db").write_bytes(b"no database" * 1000)
    ended = run()
    assert ended.code == 0
    assert ended.err.count("the result cache in") == 1
    assert "executing" in ended.err
    assert "executing" not in run().err  # it was begun anew by the run before
