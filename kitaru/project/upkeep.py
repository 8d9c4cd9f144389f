"""Keeping a store small and whole: which runs may go, and what a visit of gc is told.

Owns: the choice of runs to prune. How a run is removed, and what takes the room, is the store's.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.errors import RunHeld, UnknownRun, UsageError
from kitaru.model.history import OVER, Status, live_status
from kitaru.model.summary import RunSummary, summarize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kitaru.model.records import Stored
    from kitaru.store.repository import Repository

GRACE_US = 12 * 3_600_000_000
"""Half a day between gc's visits: nobody who is alive takes that long from an object to the record that names it."""


DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Pruned:
    """A run that `prune` chose; `kept` says why it is there all the same, and is empty where it is gone."""

    summary: RunSummary
    kept: str = ""


def choose(
    summaries: Iterable[RunSummary],
    *,
    runs: Sequence[str] = (),
    keep_last: int | None = None,
    before_us: int | None = None,
    flow: str | None = None,
) -> list[RunSummary]:
    """Return the runs that are named, or those that fit every condition.

    Args:
        summaries: of all runs that can be read, newest first.
        runs: ids; one that cannot be read is `damaged`.
        keep_last: not the newest so many of each flow.
        before_us: only runs that started before this.
        flow: only runs of this flow.

    Raises:
        UsageError: nothing says which runs are to be kept, or it is said in two ways.
    """
    if runs:
        if (keep_last, before_us, flow) != (None, None, None):
            raise UsageError("either runs by name, or by what they are: not both", hint="kitaru prune RUN")
        found = {summary.run: summary for summary in summaries}
        return [found.get(run) or RunSummary(run, "", 0, DAMAGED, 0) for run in runs]
    if keep_last is None and before_us is None:
        raise UsageError("prune what?", hint="kitaru prune --keep-last 20, or --older-than 30d, or both")
    newer: dict[str, int] = defaultdict(int)
    chosen = []
    for summary in summaries:
        newer[summary.flow] += 1
        if keep_last is not None and newer[summary.flow] <= keep_last:
            continue
        if (before_us is None or summary.started < before_us) and flow in (None, summary.flow):
            chosen.append(summary)
    return chosen


def prune(
    repo: Repository, chosen: Iterable[RunSummary], *, now: int, by: str, force: bool, dry_run: bool
) -> list[Pruned]:
    """Put a tombstone on each of these runs, but on one that is running; one that is not over needs `force`."""
    return [Pruned(s, _prune(repo, s, now, by, force=force, dry_run=dry_run)) for s in chosen]


def _prune(repo: Repository, summary: RunSummary, now: int, by: str, *, force: bool, dry_run: bool) -> str:
    run, found = summary.run, str(summary.status)

    def may(records: Sequence[Stored]) -> bool:
        nonlocal found
        status = live_status(Status(summarize(run, records).status), held=False)
        found = str(status)
        return status in OVER

    try:
        if dry_run:
            if repo.is_held(run):
                return str(Status.RUNNING)
            return "" if force or may(repo.records(run)) else found
        return "" if repo.prune(run, at=now, by=by, may=None if force else may) else found
    except RunHeld:
        return str(Status.RUNNING)
    except UnknownRun:  # somebody else pruned it, and gc came
        return ""
