"""prune, gc and du on a real project, through the real `main`."""

import json
import re

import pytest


@pytest.fixture
def many(project):
    """Four runs of `numbers`, a replay of the third, and a run of `agent` that waits."""
    for n in range(1, 5):
        assert project("run", "flows.py:numbers", f"n={n}", "-q").code == 0
    assert project("replay", "@~1", "--from", "square#3", "-q").code == 0
    assert project("run", "flows.py:agent", "question=hi", "-q").code == 3
    return project


def listed(kitaru):
    return [run["run"] for run in json.loads(kitaru("log", "-n", "0", "-o", "json").out)["runs"]]


def test_prune_keeps_the_newest_of_each_flow(many):
    before = listed(many)
    ended = many("prune", "--keep-last", "1")
    assert ended.code == 0
    assert "4 runs pruned, 0 kept" in ended.out
    assert listed(many) == before[:2]
    assert many("fsck").code == 0


def test_a_pruned_run_is_told_of_wherever_it_is_named(many):
    gone = listed(many)[-1]
    many("prune", "--keep-last", "1")
    for words in (
        ["show", gone],
        ["show", gone[:7]],
        ["log", gone],
        ["resume", gone],
        ["show", f"{gone}:square"],
        ["replay", gone, "--from", "square"],
        ["answer", gone, "x", "1"],
    ):
        ended = many(*words)
        assert ended.code == 2, words
        assert re.search(rf"run {gone} was pruned by ada at 2026-01-01 00:00:0\d UTC", ended.err), words
    many("gc", "--grace", "0s")
    many("gc", "--grace", "0s")
    assert "was pruned by ada" in many("show", gone).err


def test_prune_refuses_what_is_not_over(many):
    waiting = listed(many)[0]
    ended = many("prune", "--keep-last", "0", "--flow", "agent")
    assert (ended.code, "kept, for it is waiting" in ended.out) == (0, True)
    document = json.loads(many("prune", "--keep-last", "0", "--flow", "agent", "-o", "json").out)
    assert [(run["run"], run["why"]) for run in document["kept"]] == [(waiting, "waiting")]
    assert document["pruned"] == []
    document = json.loads(many("prune", "--keep-last", "0", "--flow", "agent", "--force", "-o", "json").out)
    assert [run["run"] for run in document["pruned"]] == [waiting]
    assert waiting not in listed(many)
    assert "no open questions" in many("waits").err


def test_a_dry_run_changes_nothing(many):
    before = listed(many)
    assert "5 runs would be pruned, 1 kept" in many("prune", "--keep-last", "0", "--dry-run").out
    assert listed(many) == before
    many("prune", "--keep-last", "1")
    many("gc", "--grace", "0s")
    assert "would remove" in many("gc", "--grace", "0s", "--dry-run").out
    assert "removed 0 files" in many("gc").out


def test_prune_by_age(many):
    assert "0 runs pruned" in many("prune", "--older-than", "1d").out
    assert "5 runs pruned, 1 kept" in many("prune", "--older-than", "0s").out


def test_prune_wants_to_know_what_to_keep(many):
    ended = many("prune", "--flow", "numbers")
    assert (ended.code, "hint: kitaru prune --keep-last 20" in ended.err) == (2, True)
    assert many("prune", "--older-than", "soon").code == 2


def test_gc_gives_back_what_no_replay_shares(many):
    source = many("rev-parse", "@~3").out.strip()
    replay = many("rev-parse", "@~1").out.strip()
    assert many("show", replay).out.count(source)
    many("prune", "--keep-last", "1")
    ended = many("gc")
    assert "removed 0 files" in ended.out
    assert "a visit in 11 h 59 m removes them" in ended.out
    document = json.loads(many("gc", "--grace", "0s", "-o", "json").out)
    assert document["removed"]["files"] > 0
    assert document["noted"] == {"files": 0, "bytes": 0}
    assert document["removable_from"] is None
    assert many("fsck").code == 0
    assert "reused" in many("log", replay).out
    assert many("replay", replay, "--from", "square#2", "-q").code == 0


def test_gc_removes_nothing_from_a_damaged_store(many, directory):
    many("prune", "--keep-last", "1")
    many("gc")
    for segment in (directory / ".kitaru/segments").rglob("*"):
        if segment.is_file():
            segment.chmod(0o600)
            segment.write_bytes(segment.read_bytes()[:-1])
    ended = many("gc", "--grace", "0s")
    assert ended.code == 4
    assert "hint: kitaru fsck" in ended.err


@pytest.mark.parametrize("by", ["flow", "run", "artifact"])
def test_du_adds_up(many, by):
    document = json.loads(many("du", "--by", by, "-n", "0", "-o", "json").out)
    assert document["by"] == by
    assert sum(use["size"] for use in document["uses"]) == document["total"]
    flows = {use["flow"] for use in document["uses"]}
    assert {"numbers", "agent"} <= flows
    told = [use for use in document["uses"] if use["run"]]
    assert bool(told) == (by != "flow")
    assert any(use["artifact"] == "plan" for use in document["uses"]) == (by == "artifact")


def test_du_in_words(many):
    out = many("du").out
    assert re.search(r"^ +[\d.]+ k?B  numbers$", out, re.MULTILINE)
    assert out.rstrip().endswith("in all")
    assert "more; kitaru du -n 0 lists all" in many("du", "--by", "artifact", "-n", "3").out


def test_a_grace_that_is_none(many):
    assert many("gc", "--grace", "soon").code == 2
