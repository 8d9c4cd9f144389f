"""`kitaru diff`, through the real `main`."""

import json
import sys

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


@pytest.fixture
def versions(project, directory):
    """Three versions of one flow: one edited, and one that also imports a file of its own."""
    file = directory / "steps.py"
    head = "from kitaru import checkpoint, flow\n"
    body = "\n\n@flow\ndef steps(n: int = 1) -> int:\n    return n\n"
    for text in (head + body, head + body.replace("return n", "return n + 1"), f"{head}from extra import x\n{body}"):
        file.write_text(text)
        (directory / "extra.py").write_text("x = 1\n")
        assert project("run", "steps.py", "-q").code == 0
        for name in ("steps", "extra"):
            sys.modules.pop(name, None)
    return project


def test_versions(versions):
    ended = versions("diff", "steps@v1", "steps@v2")
    assert ended.code == 0
    check("diff-versions", ended.out)
    check("diff-versions-stat", versions("diff", "steps@v3", "--stat").out)
    assert versions("diff", "steps@v1", "steps@v1", "--exit-code").code == 0
    assert versions("diff", "steps@v1", "steps@v3", "--exit-code").code == 1


def test_the_document_of_versions(versions):
    document = json.loads(versions("diff", "steps@v1", "steps@v3", "-o", "json").out)
    assert [(f["path"], f["kind"], f["added"], f["removed"]) for f in document["files"]] == [
        ("extra.py", "added", 1, 0),
        ("steps.py", "changed", 1, 0),
    ]
    assert document["files"][0]["diff"] == ["@@ -0,0 +1 @@", "+x = 1"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["steps@v9"], "v1 to v3"),
        (["steps@v1"], "first version"),
        (["nothing@v1", "steps@v1"], "nothing is recorded of a flow 'nothing'"),
        (["steps@v1", "@"], "names no flow version"),
        (["steps@v1", "steps@v2", "--call", "x"], "--call"),
    ],
)
def test_mistakes_with_versions(versions, words, told):
    ended = versions("diff", *words)
    assert (ended.code, told in ended.err) == (2, True)
