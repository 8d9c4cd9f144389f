"""Which runs prune chooses, and that it asks again when it holds the run."""

from __future__ import annotations

import pytest

from kitaru import flow
from kitaru.errors import UsageError
from kitaru.model.summary import RunSummary
from kitaru.project.upkeep import choose, prune


def summary(run, flow="a", started=0, status="completed"):
    return RunSummary(run, flow, 1, status, started)


RUNS = [summary("r6", "a", 60), summary("r5", "b", 50), summary("r4", "a", 40), summary("r3", "a", 30)]


@pytest.mark.parametrize(
    ("keep_last", "before_us", "wanted_flow", "chosen"),
    [
        (1, None, None, ["r4", "r3"]),
        (0, None, None, ["r6", "r5", "r4", "r3"]),
        (0, None, "b", ["r5"]),
        (None, 50, None, ["r4", "r3"]),
        (2, 50, None, ["r3"]),
        (1, 40, "a", ["r3"]),
        (9, None, None, []),
    ],
)
def test_choice(keep_last, before_us, wanted_flow, chosen):
    found = choose(RUNS, keep_last=keep_last, before_us=before_us, flow=wanted_flow)
    assert [s.run for s in found] == chosen


def test_something_must_be_said(bench):
    with pytest.raises(UsageError, match="prune what"):
        bench.project.prune(flow="a")


def test_a_running_run_is_kept_even_by_force(bench):
    @flow
    def quick() -> int:
        return 1

    run = bench.project.run(quick, {}, foreground=True).exec_id
    held = bench.project.repo.blobs.lock(run)
    for dry_run in (True, False):
        (found,) = bench.project.prune(keep_last=0, force=True, dry_run=dry_run)
        assert (found.summary.run, found.kept) == (run, "running")
    held.release()
    (found,) = bench.project.prune(keep_last=0)
    assert (found.summary.run, found.kept) == (run, "")
    assert bench.project.log() == []
    assert bench.project.prune(keep_last=0) == []


def test_what_was_carried_on_meanwhile_counts(bench):
    """The listing said completed; by the time the run is held, it waits."""

    @flow
    def asks() -> int:
        import kitaru

        return kitaru.wait(name="n", question="How many?", schema=int)

    run = bench.project.run(asks, {}, foreground=True).exec_id
    stale = [summary(run)]
    (found,) = prune(bench.project.repo, stale, now=1, by="ann", force=False, dry_run=False)
    assert found.kept == "waiting"
    (found,) = prune(bench.project.repo, stale, now=1, by="ann", force=True, dry_run=False)
    assert found.kept == ""
