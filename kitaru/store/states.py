"""From a run's records to its state, with what a branch shares of its source.

Owns: following a branch to its source, as far back as it goes. What records mean is `model.folding`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import Damaged
from kitaru.model.folding import fold
from kitaru.model.records import Start
from kitaru.store import parted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kitaru.blobs.contract import Blobs
    from kitaru.model.history import RunState
    from kitaru.model.records import Stored
    from kitaru.store.repository import Repository

MAX_BRANCH_DEPTH = 500


def run_state(repo: Repository, run: str, records: Sequence[Stored] | None = None) -> tuple[RunState, list[str]]:
    """Return a run's state, and the runs that its values are found in: itself, its source, the source's source.

    Args:
        records: the run's own records, where they are at hand.

    Raises:
        UnknownRun: there is no such run, or a source of it is missing.
        Damaged: records that do not add up, or sources without an end.
    """
    state, runs = state_of(repo.blobs, repo.records, run, repo.records(run) if records is None else records)
    versions = [state.start.version, *(record.version for record in state.resumed)]
    named = {str(version.get("id")): version for version in versions}
    state.numbers = {id: repo.version_number(state.start.flow, version) for id, version in named.items()}
    return state, runs


def state_of(
    blobs: Blobs, records_of: Callable[[str], Sequence[Stored]], run: str, records: Sequence[Stored], depth: int = 0
) -> tuple[RunState, list[str]]:
    """As `run_state`, of a run that may not be in the store yet.

    Args:
        blobs: the store.
        records_of: returns the records of a run; raises UnknownRun where there are none.
        run: its id.
        records: its own records.
        depth: how many branches led here.
    """
    start = records[0].record if records else None
    if not isinstance(start, Start):
        raise Damaged(f"run {run}", "its first record is not a start")
    if start.source is None:
        return fold(run, records), [run]
    if depth >= MAX_BRANCH_DEPTH:
        raise Damaged(f"run {run}", f"more than {MAX_BRANCH_DEPTH} branches of branches")
    source, head = start.source.get("run"), start.source.get("head")
    if not isinstance(source, str) or not isinstance(head, str):
        raise Damaged(f"run {run}", "its first record does not say which record of which run it branches from")
    found, shared = parted.source(blobs, records_of, source, head)
    if shared is None:
        raise Damaged(f"run {run}", f"branches from record {head[:12]}, which its source does not have")
    base, runs = state_of(blobs, records_of, found, shared, depth + 1)
    return fold(run, records, base), [run, *runs]
