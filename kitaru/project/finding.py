"""From what a user typed to a run, a call or an object.

Owns: resolving revisions against what a store holds. The grammar is `model.ids`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import AmbiguousRevision, BadRevision, UnbegunRun, UnknownCall, UnknownObject, UnknownRun
from kitaru.model.ids import MIN_OBJECT_PREFIX, RUN_ID_LENGTH, CallName, Revision, is_run_id, parse_revision
from kitaru.store.invocations import invocation_ids
from kitaru.store.layout import is_object_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.model.history import CallView, RunState, WaitView
    from kitaru.store.repository import Repository

MAX_LISTED = 20
"""Calls that are named where none of them was meant."""

_HEX = frozenset("0123456789abcdef")


def find_run(repo: Repository, text: str, newest_first: Callable[[], list[str]]) -> str:
    """Return the id of the run that a revision names; a call in it is ignored.

    Args:
        newest_first: all run ids by start time, asked for only where `@` was written.

    Raises:
        BadRevision, UnknownRun, AmbiguousRevision
    """
    revision = parse_revision(text)
    return _latest(text, revision, newest_first()) if revision.prefix is None else _by_prefix(repo, revision.prefix)


def _latest(text: str, revision: Revision, runs: list[str]) -> str:
    back = revision.back or 0
    if back >= len(runs):
        raise UnknownRun(text)
    return runs[back]


def _by_prefix(repo: Repository, prefix: str) -> str:
    if is_run_id(prefix) and repo.has_run(prefix):
        repo.check_unpruned(prefix)
        return prefix
    found = [run for run in repo.run_ids() if run.startswith(prefix)] if len(prefix) < RUN_ID_LENGTH else []
    if len(found) > 1:
        raise AmbiguousRevision(prefix, found)
    if not found:
        for run in repo.pruned_ids():
            if run.startswith(prefix):
                repo.check_unpruned(run)
        queued = [run for run in invocation_ids(repo.blobs) if run.startswith(prefix)]
        raise UnbegunRun(queued[0]) if len(queued) == 1 else UnknownRun(prefix)
    return found[0]


def find_call(state: RunState, wanted: CallName) -> CallView:
    """Return a call of a run; the first of its name where none is said.

    Raises:
        UnknownCall: the run has none such.
    """
    nth = wanted.nth or 1
    for view in state.ordered_calls:
        if view.name == wanted.name and view.occurrence == nth:
            return view
    raise UnknownCall(state.run, str(wanted), some([c.label for c in state.ordered_calls]))


def some(labels: list[str]) -> list[str]:
    """Return as many labels as can be read at a glance, and how many more there are."""
    more = len(labels) - MAX_LISTED
    return [*labels[:MAX_LISTED], f"and {more} more"] if more > 0 else labels


def find_wait(state: RunState, wanted: CallName) -> WaitView | None:
    """Return a wait of a run, the first of its name where none is said, or None."""
    nth = wanted.nth or 1
    waits = state.waits.values()
    return next((w for w in waits if w.record.name == wanted.name and w.record.occurrence == nth), None)


def find_object(repo: Repository, prefix: str) -> str:
    """Return the whole id of an object from a unique prefix of at least four digits, in either case.

    Raises:
        UnknownObject, AmbiguousRevision
    """
    prefix = prefix.lower()
    if is_object_id(prefix):
        return prefix
    if len(prefix) < MIN_OBJECT_PREFIX or not _HEX.issuperset(prefix):
        raise UnknownObject(prefix)
    found = repo.find_objects(prefix)
    if len(found) > 1:
        raise AmbiguousRevision(prefix, [f[:16] for f in found])
    if not found:
        raise UnknownObject(prefix)
    return found[0]


def rev_parse(repo: Repository, text: str, run_of: Callable[[str], str], state_of: Callable[[str], RunState]) -> str:
    """Return the run id of a revision, the record id of a call or wait in it, or the id of an object.

    Raises:
        BadRevision, UnknownRun, UnknownCall, UnknownObject, AmbiguousRevision
    """
    try:
        revision = parse_revision(text)
        run = run_of(text)
    except (BadRevision, UnknownRun):
        if len(text) >= MIN_OBJECT_PREFIX and _HEX.issuperset(text.lower()):
            return find_object(repo, text)
        raise
    if revision.call is None:
        return run
    state = state_of(run)
    wait = find_wait(state, revision.call)
    return wait.id if wait is not None else find_call(state, revision.call).id
