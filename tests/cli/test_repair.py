"""fsck --repair on a real project: what can be done is told, then done."""

import json

import pytest


@pytest.fixture
def damaged(project, directory):
    """A run whose segment has a damaged index, and another with an answer that is damaged."""
    project("run", "flows.py:numbers", "-q")
    project("run", "flows.py:agent", "question=hi", "-q")
    project("answer", "@", "true", "-q")
    answer = next(path for path in (directory / ".kitaru/answers").rglob("*") if path.is_file())
    segment = max((directory / ".kitaru/segments").rglob("*"), key=lambda path: path.is_file() and path.stat().st_size)
    for path, at in ((answer, 30), (segment, -30)):
        path.chmod(0o600)
        content = bytearray(path.read_bytes())
        content[at] ^= 4
        path.write_bytes(content)
    return project


def test_what_can_be_repaired_is_told(damaged):
    ended = damaged("fsck")
    assert ended.code == 4
    assert "--repair would: " in ended.out
    document = json.loads(damaged("fsck", "-o", "json").out)
    assert sorted(r["did"] for r in document["repairable"]) == [
        "its index was made again",
        "put aside: it can be answered anew",
    ]
    assert document["repaired"] == []


def test_repair(damaged):
    ended = damaged("fsck", "--repair")
    assert ended.code == 0
    assert "its index was made again" in ended.out
    assert "clean" in ended.out
    assert damaged("fsck").code == 0
    assert damaged("show", "@").code == 0
    document = json.loads(damaged("fsck", "--repair", "-o", "json").out)
    assert (document["repaired"], document["repairable"]) == ([], [])


def test_a_run_that_cannot_be_read_is_given_up_by_name(project, directory):
    project("run", "flows.py:numbers", "-q")
    run = project("rev-parse", "@").out.strip()
    for path in (directory / ".kitaru/segments").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"?" * 100)
    assert project("fsck", "--repair").code == 4
    assert project("prune", run).code == 4
    assert project("prune", run, "--keep-last", "1").code == 2
    ended = project("prune", run, "--force")
    assert (ended.code, "1 run pruned" in ended.out) == (0, True)
    assert project("log").code == 0
    project("gc")
    assert project("gc", "--grace", "0s").code == 0
    assert project("fsck").code == 0
