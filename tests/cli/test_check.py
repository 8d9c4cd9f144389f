"""`--check`, through the real `main`."""

import json
import sys

import pytest

from tests.cli.test_golden import check, steady


@pytest.fixture
def edit(directory):
    """Change the text of the flows' file; the module is loaded anew."""

    def change(was, now):
        file = directory / "flows.py"
        text = file.read_text()
        assert was in text
        file.write_text(text.replace(was, now))
        sys.modules.pop("flows", None)

    return change


def snapshot(directory):
    files = [p for p in (directory / ".kitaru").rglob("*") if p.is_file() and "cache" not in p.parts]
    return {path: path.read_bytes() for path in files}


@pytest.fixture
def waiting(project):
    project("run", "flows.py:agent", "question=hi", "-q")
    return project


def test_a_run_that_fits(waiting, directory):
    before = snapshot(directory)
    ended = waiting("resume", "@", "--check")
    assert (ended.code, ended.err) == (0, "")
    check("check", steady(ended.out))
    assert snapshot(directory) == before


def test_a_run_that_drifts(waiting, edit, directory):
    edit("retrieve(plan(question))", "retrieve(plan(question + ' there'))")
    before = snapshot(directory)
    ended = waiting("resume", "@", "--check")
    assert (ended.code, "drifted at plan" in ended.err) == (5, True)
    check("check-drift", steady(ended.out))
    found = json.loads(waiting("resume", "@", "--check", "-o", "json").out)
    assert [(c["call"], c["verdict"]) for c in found["calls"]] == [("plan", "stop")]
    assert (found["ending"], found["left"], found["error"]["type"]) == ("drifts", ["plan", "retrieve"], "Drift")
    assert found["changes"] == [{"path": "flows.py", "change": "changed"}]
    assert snapshot(directory) == before
    assert waiting("resume", "@", "--check", "--as-recorded").code == 0
    ended = waiting("resume", "@", "--check", "--on-drift", "new")
    assert (ended.code, "> plan" in ended.out) == (0, True)


def test_a_body_that_fails(waiting, edit):
    edit("docs = retrieve(plan(question))", "docs = retrieve(plan(question))[7]")
    ended = waiting("resume", "@", "--check")
    assert (ended.code, "it would fail" in ended.out) == (1, True)


def test_a_replay(waiting):
    waiting("answer", "@", "true", "-q")
    ended = waiting("replay", "@", "--from", "retrieve", "--check")
    assert (ended.code, "it would go on by executing retrieve" in ended.out) == (0, True)
    assert waiting("replay", "@", "--set", "retrieve=[]", "--check").out.count("its output is given") == 1
    assert waiting("replay", "@", "--check").code == 2
    assert len(waiting("log").out.splitlines()) == 1


def test_what_is_shown_is_harmless(project, edit):
    project("run", "flows.py:hostile", "-q")
    edit("a\\x1b[31m[red]\\nb", "c\\x1b[31m[red]\\nb")
    ended = project("resume", "@", "--check")
    assert ended.code == 5
    assert "\x1b" not in ended.out + ended.err
