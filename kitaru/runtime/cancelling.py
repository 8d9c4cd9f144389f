"""Ending a run because somebody asked for it.

Owns: how a request to cancel becomes the end of a run, whoever holds the run: its runner, who saw the request, or
whoever takes the run up next. Where requests are kept is the store's; who asks, the project's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.errors import RunCancelled
from kitaru.model.history import Status
from kitaru.model.moments import utc_text
from kitaru.model.records import End, Resumed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.model.history import RunState
    from kitaru.runtime.events import Services
    from kitaru.store.repository import CancelName, RunWriter


def end_record(request: CancelName, now_us: int) -> End:
    """Return the record that ends a run as it was asked."""
    return End(now_us, "cancelled", cancelled={"by": request.by, "at": request.at, "reason": request.reason})


def cancelled(run: str, request: CancelName) -> RunCancelled:
    """Return the error that tells of a request."""
    return RunCancelled(run, request.by, utc_text(request.at), request.reason)


def recorded_cancelled(run: str, recorded: Mapping[str, Any] | None) -> RunCancelled:
    """Return the same of what an `end` recorded; what is malformed there is told as somebody's, some time."""
    found = recorded or {}
    at = found.get("at")
    when = utc_text(at) if type(at) is int else "some time"
    return RunCancelled(run, str(found.get("by", "")), when, str(found.get("reason", "")))


def end_held(writer: RunWriter, state: RunState, request: CancelName, services: Services) -> None:
    """End a run that nobody executes, by who has just taken it up: it is sealed, and let go.

    Raises:
        StoreError: the disk refused; the request stands, and the next to come ends it.
    """
    if state.status is Status.FAILED:  # what ended stays ended, unless it is taken up again
        writer.commit(Resumed(services.clock_us(), dict(state.version), services.origin), sync=False)
    writer.commit(end_record(request, services.clock_us()))
    writer.seal()
