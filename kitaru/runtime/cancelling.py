"""Ending a run because somebody asked for it.

Owns: how a request to cancel becomes the end of a run, whoever holds the run: its runner, who saw the request, or
whoever takes the run up next. Where requests are kept is the store's; who asks, the project's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.errors import RunCancelled, RunRejected
from kitaru.model.history import Status
from kitaru.model.moments import utc_text
from kitaru.model.records import Answer, End, Resumed
from kitaru.runtime.replies import REJECTED
from kitaru.store.names import CancelName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.model.history import RunState, WaitView
    from kitaru.runtime.events import Services
    from kitaru.store.repository import AnswerName, Repository, RunWriter


def end_record(request: CancelName, now_us: int, rejected_at: str = "") -> End:
    """Return the record that ends a run as it was asked: by a cancel, or by a rejection at a wait.

    Args:
        request: who asked, when, and why.
        now_us: microseconds since 1970 UTC.
        rejected_at: label of the wait at which the run was rejected; empty for a cancel.
    """
    asked: dict[str, Any] = {"by": request.by, "at": request.at, "reason": request.reason}
    return End(now_us, "cancelled", cancelled={**asked, "wait": rejected_at} if rejected_at else asked)


def cancelled(run: str, request: CancelName, rejected_at: str = "") -> RunCancelled:
    """Return the error that tells of a request, or of a rejection."""
    return _told(run, rejected_at, request.by, utc_text(request.at), request.reason)


def _told(run: str, rejected_at: str, by: str, when: str, reason: str) -> RunCancelled:
    if rejected_at:
        return RunRejected(run, rejected_at, by, when, reason)
    return RunCancelled(run, by, when, reason)


def recorded_cancelled(run: str, recorded: Mapping[str, Any] | None) -> RunCancelled:
    """Return the same of what an `end` recorded; what is malformed there is told as somebody's, some time."""
    found = recorded or {}
    at = found.get("at")
    when = utc_text(at) if type(at) is int else "some time"
    return _told(run, str(found.get("wait", "")), str(found.get("by", "")), when, str(found.get("reason", "")))


def end_held(writer: RunWriter, state: RunState, request: CancelName, services: Services) -> None:
    """End a run that nobody executes, by who has just taken it up: it is sealed, and let go.

    Raises:
        StoreError: the disk refused; the request stands, and the next to come ends it.
    """
    if state.status is Status.FAILED:  # what ended stays ended, unless it is taken up again
        writer.commit(Resumed(services.clock_us(), dict(state.version), services.origin), sync=False)
    writer.commit(end_record(request, services.clock_us()))
    writer.seal()


def rejection(repo: Repository, state: RunState) -> tuple[WaitView, AnswerName] | None:
    """Return the rejection that stands at an open wait of a run and that the run has not taken, if there is one."""
    for view in state.open_questions:
        found = repo.answer(state.run, view.record.digest, settle=True)
        if found is not None and found.source == REJECTED:
            return view, found
    return None


def end_rejected(
    writer: RunWriter, state: RunState, view: WaitView, given: AnswerName, services: Services
) -> RunCancelled:
    """End a run that somebody rejected and that nobody executes, as `end_held`; return the error that tells of it."""
    now = services.clock_us()
    answer = Answer(now, view.id, given.value, given.by, answered=given.at, source=REJECTED, note=given.note)
    writer.commit(answer, sync=False)
    request = CancelName(given.by, given.at, given.note, given.nonce)
    writer.commit(end_record(request, now, view.label))
    writer.seal()
    return cancelled(state.run, request, view.label)
