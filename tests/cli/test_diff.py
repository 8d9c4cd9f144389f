"""`kitaru diff`, through the real `main`."""

import json

import pytest

from tests.cli.test_golden import check, steady


@pytest.fixture
def two(project):
    """A run that was answered, and one on another question that waits."""
    project("run", "flows.py:agent", "question=first", "-q")
    project("answer", "@", "true", "-q")
    project("run", "flows.py:agent", "question=second", "-q")
    return project


def test_pages(two):
    check("diff", steady(two("diff", "@~1", "@").out))
    check("diff-stat", steady(two("diff", "@~1", "@", "--stat").out))


def test_the_document(two):
    document = json.loads(two("diff", "@~1", "@", "-o", "json").out)
    assert document["differs"] is True
    assert {"what": "status", "was": "completed", "now": "waiting"} in document["facts"]
    assert [(s["step"], s["kind"]) for s in document["steps"]] == [
        ("call", "changed"),
        ("call", "changed"),
        ("wait", "changed"),
        ("call", "removed"),
    ]
    (question,) = [v for v in document["steps"][0]["values"] if v["what"] == "argument"]
    assert question["parts"] == [{"path": "question", "kind": "changed", "was": "first", "now": "second", "diff": []}]
    short = json.loads(two("diff", "@~1", "@", "-o", "json", "--stat").out)
    assert "parts" not in short["values"][0]


def test_exit_code(two):
    assert two("diff", "@~1", "@").code == 0
    assert two("diff", "@~1", "@", "--exit-code").code == 1
    assert two("diff", "@", "@", "--exit-code").code == 0
    assert two("diff", "@~1", "@", "--call", "plan", "--exit-code").code == 1


def test_a_replay_and_its_source(two):
    two("replay", "@~1", "--from", "synthesize", "--set", "synthesize=other", "-q")
    out = two("diff", "@").out
    assert "~ synthesize" in out
    assert "output: '2 documents' → 'other'" in out
    assert "3 the same, 1 changed" in out
    ended = two("diff", "@~1")
    assert (ended.code, "branched from no other" in ended.err) == (2, True)


def test_what_is_shown_is_harmless(project):
    project("run", "flows.py:hostile", "-q")
    project("run", "flows.py:agent", "question=a\x1b[31m\nb", "-q")
    project("run", "flows.py:agent", "question=a\x1b[32m\nc", "-q")
    for words in (["diff", "@~1", "@"], ["diff", "@~2", "@"]):
        out = project(*words).out
        assert "\x1b" not in out
        assert r"\x1b" in out


def test_two_calls(two):
    assert "argument question: 'first' → 'second'" in two("diff", "@~1:plan", "@").out
    ended = two("diff", "@~1:nothing", "@")
    assert (ended.code, "no call named 'nothing'" in ended.err) == (2, True)
