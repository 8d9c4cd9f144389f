"""From what a user typed to a run, a call, a wait or an object."""

from __future__ import annotations

import pytest

import kitaru
from kitaru import checkpoint, flow
from kitaru.errors import AmbiguousRevision, BadRevision, UnknownCall, UnknownObject, UnknownRun


@checkpoint
def fetch(n):
    return [n] * 5


def make(*, ask=False):
    @flow
    def body(n):
        found = [fetch(n), fetch(n + 1)]
        return found if not ask else kitaru.wait("approve")

    return body


@pytest.fixture
def runs(bench):
    """Ids, oldest first."""
    return [bench.run(make(), n=n).run for n in range(3)]


def test_the_latest_runs(bench, runs):
    find = bench.project.find_run
    assert [find("@"), find("@~0"), find("@~1"), find("@~2")] == [runs[2], runs[2], runs[1], runs[0]]
    with pytest.raises(UnknownRun):
        find("@~3")


def test_prefixes(bench, runs):
    for run in runs:
        assert bench.project.find_run(run) == run
        assert bench.project.find_run(run[:9]) == run
    for text in ("zzzzzzzzzz", "zzz"):
        with pytest.raises(UnknownRun):
            bench.project.find_run(text)
    with pytest.raises(BadRevision):
        bench.project.find_run("no run!")


def test_an_ambiguous_prefix_lists_the_candidates(bench, monkeypatch):
    monkeypatch.setattr(bench.project.repo, "run_ids", lambda: ["abc2222222", "abc3333333", "xyz4444444"])
    with pytest.raises(AmbiguousRevision, match="abc2222222, abc3333333"):
        bench.project.find_run("abc")
    assert bench.project.find_run("x") == "xyz4444444"


def test_calls(bench, runs):
    state, view = bench.project.find_call("@:fetch")
    assert (state.run, view.label) == (runs[2], "fetch")
    assert bench.project.find_call(f"{runs[0]}:fetch#2")[1].order == 2
    assert bench.project.find_call(":fetch#1")[1].order == 1
    for text in ("@:fetch#3", "@:other", "@"):
        with pytest.raises(UnknownCall) as caught:
            bench.project.find_call(text)
        assert "fetch, fetch#2" in caught.value.hint


def test_waits(bench):
    ended = bench.run(make(ask=True), n=1)
    found = bench.project.find_wait("@:approve")
    assert found is not None
    assert found[1].label == "approve"
    assert bench.project.find_wait("@:fetch") is None
    assert bench.project.find_wait("@:approve#2") is None
    assert bench.project.rev_parse("@:approve") == ended.state.open_waits[0].id


def test_objects(bench, runs):
    state = bench.project.state(runs[0])
    output = state.calls[1].record.output
    assert bench.project.find_object(output) == output
    assert bench.project.find_object(output[:12]) == output
    assert bench.project.find_object(output[:12].upper()) == output
    for text in ("f" * 63, "abc", "xyzw"):
        with pytest.raises(UnknownObject):
            bench.project.find_object(text)
    assert bench.project.value(output, runs[0]) == [0] * 5
    assert bench.project.value(output) == [0] * 5
    import hashlib

    assert hashlib.sha256(bench.project.raw(output)).hexdigest() == output
    with pytest.raises(UnknownObject):
        bench.project.raw("0" * 64)


def test_rev_parse(bench, runs):
    parse = bench.project.rev_parse
    state = bench.project.state(runs[1])
    assert parse("@~1") == runs[1]
    assert parse("@~1:fetch#2") == state.calls[2].id
    output = state.calls[1].record.output
    assert parse(output) == output
    assert parse(output[:16]) == output
    with pytest.raises(UnknownRun):
        parse("zzz")
    with pytest.raises(BadRevision):
        parse("")
    with pytest.raises(UnknownCall):
        parse("@:other")
