"""Cancelling a run: asked once, and done by whoever can.

Owns: asking, ending a run that nobody holds, and waiting for the runner of one that is held. How a run is ended is the
runtime's.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.errors import AlreadyCancelled, RunClaimed, RunHeld, RunOver
from kitaru.model.history import OVER, Status
from kitaru.runtime.cancelling import cancelled, end_held, end_rejected, recorded_cancelled, rejection
from kitaru.store.states import run_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.model.history import RunState
    from kitaru.project.claiming import Hold
    from kitaru.runtime.events import Services
    from kitaru.store.repository import AnswerName, CancelName, Repository, RunWriter

CANCEL_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What came of a request to cancel.

    Attributes:
        by, at, reason: of the request; `at` in microseconds since 1970 UTC.
        ended: the run is over; otherwise whoever executes it has not come to a stop yet.
        holder: who that is.
    """

    run: str
    by: str
    at: int
    reason: str
    ended: bool
    holder: str = ""


def cancel(
    repo: Repository,
    state: RunState,
    services: Services,
    *,
    by: str,
    reason: str,
    wait_s: float,
    over: Callable[[str], None],
    hold: Hold | None = None,
) -> Cancellation:
    """Ask for a run to be ended, and see to it.

    Args:
        state: where it stands now.
        by: who asks.
        wait_s: how long to wait for the process that executes it.
        over: told of a run that was ended here.
        hold: claims it before that, where it lives on a remote; another machine that has claimed it is to end it.

    Raises:
        RunOver: it was over before it saw the request.
        AlreadyCancelled: somebody else asked first.
    """
    _check_is_going(state)
    won, request = repo.put_cancellation(state.run, by=by, at=services.clock_us(), reason=reason)
    holder = _end(
        repo, state.run, lambda writer: _end_now(repo, writer, request, services), wait_s=wait_s, over=over, hold=hold
    )
    if not won:
        raise _asked_before(cancelled(state.run, request).message, state.run, ended=not holder)
    return Cancellation(state.run, request.by, request.at, request.reason, not holder, holder)


def reject(
    repo: Repository,
    run: str,
    given: AnswerName,
    services: Services,
    *,
    wait_s: float,
    over: Callable[[str], None],
    hold: Hold | None = None,
) -> Cancellation:
    """See to the end of a run that was rejected at a question; arguments as of `cancel`."""
    holder = _end(repo, run, lambda writer: _end_rejected(repo, writer, services), wait_s=wait_s, over=over, hold=hold)
    return Cancellation(run, given.by, given.at, given.note, not holder, holder)


def _check_is_going(state: RunState) -> None:
    if state.status is Status.CANCELLED:
        recorded = state.end.cancelled if state.end else None
        raise _asked_before(recorded_cancelled(state.run, recorded).message, state.run, ended=True)
    if state.status in OVER:
        raise RunOver(state.run, f"{state.status} and cannot be cancelled any more", hint=f"kitaru show {state.run}")


def _asked_before(told: str, run: str, *, ended: bool) -> AlreadyCancelled:
    if not ended:
        told = f"{told}; it is still being executed, until the calls in flight are done"
    return AlreadyCancelled(told, hint=f"kitaru show {run}")


def _end(
    repo: Repository,
    run: str,
    end_now: Callable[[RunWriter], bool],
    *,
    wait_s: float,
    over: Callable[[str], None],
    hold: Hold | None,
) -> str:
    """End a run as soon as it can be held; return who still executes it after `wait_s`, or on another machine.

    Args:
        end_now: tells whether the run was ended by it.
        over: called where it was.
    """
    until = time.monotonic() + wait_s
    while True:
        try:
            with repo.reopen(run) as writer, hold.held(run) if hold is not None else nullcontext():
                ended = end_now(writer)
        except RunClaimed as error:
            return error.holder
        except RunHeld:
            if time.monotonic() >= until:
                return repo.holder(run)
            time.sleep(CANCEL_POLL_S)
        else:
            if ended:
                over(run)
            return ""


def _end_rejected(repo: Repository, writer: RunWriter, services: Services) -> bool:
    state, _ = run_state(repo, writer.run, writer.records)
    found = rejection(repo, state)
    if found is not None:
        end_rejected(writer, state, *found, services)
    return found is not None


def _end_now(repo: Repository, writer: RunWriter, request: CancelName, services: Services) -> bool:
    state, _ = run_state(repo, writer.run, writer.records)
    if state.status not in OVER:
        end_held(writer, state, request, services)
        return True
    if state.status is not Status.CANCELLED:
        _check_is_going(state)
    return False
