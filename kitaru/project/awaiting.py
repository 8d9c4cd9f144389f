"""Runs that this process does not execute: how they stand, and waiting until they are over.

Owns: the handle of such a run, and why it has no result. Whoever executes it is told nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError, RunCancelled, RunFailed, RunInterrupted, RunWaiting
from kitaru.model.history import RunState, Status
from kitaru.model.moments import utc_text
from kitaru.project.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.runtime.ending import Outcome
    from kitaru.runtime.handle import FlowHandle
    from kitaru.runtime.keys import StartedBefore

BEGUN_POLL_S = 0.2


class Awaiting(Reading):
    """A project as its runs are awaited that others execute."""

    def follow_up(self, run: str) -> FlowHandle[Any]:
        """Return a handle that tells how a run stands that another process executes, or has brought to its end."""
        return self._finished(run)

    def await_run(self, run: str, *, rest: Callable[[float], object] = time.sleep) -> None:
        """Block until a run that others execute, or are to begin, has come to its end or to a stop.

        Args:
            run: its whole id, which may be that of a queued invocation.
            rest: called with seconds between two looks.

        Raises:
            RunCancelled: it was cancelled before it began.
            PrunedRun: it was removed on purpose.
        """
        from kitaru.runtime.keys import is_recorded

        while not is_recorded(self.repo, run):
            request = self.repo.cancellation(run)
            if request is not None:
                raise RunCancelled(run, request.by, utc_text(request.at), request.reason)
            self.repo.check_unpruned(run)
            rest(BEGUN_POLL_S)
        for _ in self.follow(run).lines():
            pass

    def _finished(self, run: str, before: StartedBefore | None = None) -> FlowHandle[Any]:
        """Return a handle for a run that this process does not execute."""
        from kitaru.runtime.ending import Outcome
        from kitaru.runtime.handle import FlowHandle

        def tell() -> Outcome:
            state = self.state(run)
            value = self.value(state.end.output, run) if state.end and state.end.output else None
            others = before.other_inputs if before is not None else ()
            if state.wakes and not state.open_questions and self.repo.is_held(run):  # a process stays for the sleep
                return Outcome(run, Status.RUNNING, None, None, before is not None, others)
            return Outcome(run, state.status, value, _why_not(state), before is not None, others)

        handle: FlowHandle[Any] = FlowHandle(run, tell, lambda: self.state(run).status, lambda: None)
        return handle.finish()

    def _told(self, run: str) -> Outcome:
        outcome = self._finished(run).outcome
        if outcome is None:
            raise RuntimeError(f"run {run} cannot tell how it stands")
        return outcome


def _why_not(state: RunState) -> KitaruError | None:
    """Return why a run that this process does not execute is not completed; None where it is, or goes on elsewhere."""
    from kitaru.runtime.waits import answer_line

    if state.status in (Status.COMPLETED, Status.RUNNING):
        return None
    if state.open_questions:
        view = state.open_questions[0]
        return RunWaiting(answer_line(state.run, view), hint=view.record.question)
    if state.wakes:
        from kitaru.runtime.sleeping import sleeping

        return sleeping(state.run, state.wakes)
    if state.status is Status.CANCELLED:
        from kitaru.runtime.cancelling import recorded_cancelled

        return recorded_cancelled(state.run, state.end.cancelled if state.end else None)
    if state.status is Status.INTERRUPTED:
        return RunInterrupted(f"run {state.run} was interrupted", hint=f"kitaru resume {state.run}")
    said = ((state.end.error if state.end else None) or {}).get("message", "")
    return RunFailed(f"run {state.run} is {state.status}{f': {said}' if said else ''}", hint=f"kitaru log {state.run}")
