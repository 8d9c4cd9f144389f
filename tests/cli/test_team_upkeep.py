"""A remote is looked after, and what came from it is looked at: gc, fsck, partial runs and trust, from end to end."""

import json

import pytest

from kitaru.store import layout, loose
from tests.servers.broken import broken_off

FLOWS = """
import random
from kitaru import checkpoint, flow

@checkpoint
def big(n: int) -> bytes:
    return random.Random(n).randbytes(60_000)

@checkpoint
def size(data: bytes) -> int:
    return len(data)

@flow
def heavy(n: int = 1) -> int:
    return size(big(n))
"""


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    monkeypatch.setattr(loose, "LARGE", 10_000)


@pytest.fixture
def where(kitaru, directory, monkeypatch):
    """Return a function that runs a command line in a project: Ann's, who has pushed two runs, or Bob's."""

    def run(project, *words):
        monkeypatch.chdir(directory)
        return kitaru("-C", project, *words)

    (directory / "ann").mkdir()
    (directory / "ann" / "own.py").write_text(FLOWS)
    run("ann", "init")
    for n in (1, 2):
        assert run("ann", "run", "own.py:heavy", f"n={n}", "-q").code == 0
    assert run("ann", "remote", "add", "team", str(directory / "share")).code == 0
    assert run("ann", "push", "-q").code == 0
    return run


def runs(where, project):
    return [run["run"] for run in json.loads(where(project, "log", "-o", "json").out)["runs"]]


def clone(where, *options):
    assert where(".", "clone", "share", "bob", *options, "-q").code == 0


def test_what_was_pruned_goes_from_the_remote_and_from_everybody(where):
    clone(where)
    gone = runs(where, "ann")[0]
    where("ann", "prune", gone)
    assert where("ann", "push", "-q").code == 0
    noted = where("ann", "gc", "--remote", "team", "--grace", "0s")
    assert noted.code == 0
    assert "removed 0 files" in noted.out
    assert "noted " in noted.out
    dry = json.loads(where("ann", "gc", "--remote", "team", "--grace", "0s", "--dry-run", "-o", "json").out)
    removed = json.loads(where("ann", "gc", "--remote", "team", "--grace", "0s", "-o", "json").out)
    assert removed["removed"] == dry["removed"]
    assert removed["removed"]["files"] >= 3
    assert where("ann", "fsck", "--remote", "team").out.rstrip().endswith("clean")
    assert where("bob", "pull", "-q").code == 0
    assert where("bob", "push", "-q").code == 0
    assert gone not in runs(where, "bob")
    assert where("ann", "pull", "-q").code == 0
    assert runs(where, "ann") == runs(where, "bob") != []


def test_damage_there_is_told_and_not_repaired_from_here(where, directory):
    assert json.loads(where("ann", "fsck", "--remote", "team", "-o", "json").out)["clean"] is True
    segment = next((directory / "share" / "segments").rglob("[0-9a-f]*/*"))
    data = bytearray(segment.read_bytes())
    data[100] ^= 1
    segment.chmod(0o600)
    segment.write_bytes(data)
    (directory / "share" / "runs" / "No run").mkdir()
    (directory / "share" / "runs" / "No run" / "x").write_bytes(b"x")
    told = where("ann", "fsck", "--remote", "team")
    assert told.code == 4
    assert str(segment) in told.out
    assert "No run" in told.out
    assert where("ann", "fsck", "--remote", "team", "--repair").code == 2
    assert where("ann", "gc", "--remote", "team").code == 4
    assert where("ann", "fsck").code == 0


@pytest.mark.parametrize("verb", ["gc", "fsck"])
def test_a_remote_that_is_none(where, verb):
    ended = where("ann", verb, "--remote", "nowhere")
    assert ended.code == 2
    assert "nowhere" in ended.err


def test_a_partial_run_is_read_on_demand(where, directory):
    clone(where, "--runs-only")
    fsck = where("bob", "fsck")
    assert fsck.code == 0
    assert "of partial runs are on a remote" in fsck.out
    (run, *_) = runs(where, "bob")
    shown = where("bob", "show", f"{run}:big")
    assert shown.code == 0
    assert shown.err == "large objects come from origin\n"
    again = where("bob", "show", f"{run}:big")
    assert (again.out, again.err) == (shown.out, "")
    (directory / "share").rename(directory / "away")
    other = runs(where, "bob")[1]
    lost = where("bob", "show", f"{other}:big")
    assert lost.code == 1
    assert f"of run {other}" in lost.err
    assert lost.err.count("\n") <= 3
    (directory / "away").rename(directory / "share")
    assert where("bob", "pull", "-q").code == 0
    assert "on a remote" not in where("bob", "fsck").out
    (directory / "share").rename(directory / "away")
    assert where("bob", "show", f"{other}:big").code == 0


def test_a_partial_run_goes_whole_to_another_remote(where, directory):
    clone(where, "--runs-only")
    assert where("bob", "remote", "add", "other", str(directory / "other")).code == 0
    pushed = where("bob", "push", "other", "-q")
    assert pushed.code == 0
    assert "large objects come from origin" in pushed.err
    assert where("bob", "fsck", "--remote", "other").code == 0
    assert "on a remote" not in where("bob", "fsck").out


def test_what_was_pulled_is_executed_once_it_is_trusted(where):
    clone(where)
    (run, *_) = runs(where, "bob")
    words = ("replay", run, "--from", "size", "--as-recorded", "-q")
    refused = where("bob", *words)
    assert refused.code == 11
    assert "heavy v1 was recorded by ada and came from origin; its code has not been looked at here" in refused.err
    assert "heavy@v1" in where("bob", "trust", "--remote", "origin", "--yes").out
    done = where("bob", *words)
    assert (done.out, done.err) == ("60000\n", "")
    assert where("ann", *words).out == "60000\n"


@pytest.mark.parametrize("verb", ["gc", "fsck"])
def test_a_remote_to_which_nothing_was_pushed_is_no_damage(project, directory, verb):
    project("remote", "add", "team", directory / "shared")
    ended = project(verb, "--remote", "team")
    assert (ended.code, ended.err) == (2, "error: nothing was pushed to team yet\nhint: kitaru push team\n")


def test_uploads_that_nobody_finished_go_from_a_bucket(where, s3_remote, s3_proxy):
    place = s3_remote(s3_proxy.endpoint)
    added = where("ann", "remote", "add", "bucket", place.url, "--endpoint-url", s3_proxy.endpoint)
    assert added.code == where("ann", "push", "bucket", "-q").code == 0
    broken_off(place.url, s3_proxy, layout.object_key("ab" * 32))

    def gc(*options):
        return where("ann", "gc", "--remote", "bucket", *options)

    assert "upload" not in gc().out, "it is younger than the grace"
    assert "would remove 1 unfinished upload\n" in gc("--grace", "0s", "--dry-run").out
    assert json.loads(gc("--grace", "0s", "--dry-run", "-o", "json").out)["uploads"] == 1
    assert "removed 1 unfinished upload\n" in gc("--grace", "0s").out
    s3_proxy.fail(1, "error:AccessDenied", path="uploads")
    assert "unfinished uploads stay: " in gc().out
    assert json.loads(gc("-o", "json").out)["uploads"] == 0
