"""Replying to a run from outside: answering its question, rejecting it there, cancelling it.

Owns: these verbs, and that whoever answers stays until the answer is consumed. Who of two was first is
`project.answering`, how a run is ended `project.cancelling`.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kitaru.errors import RunClaimed, RunHeld, RunOver, UnbegunRun
from kitaru.project.answering import Answering
from kitaru.project.running import Running

if TYPE_CHECKING:
    from kitaru.model.history import RunState, WaitView
    from kitaru.project.cancelling import Cancellation
    from kitaru.runtime.events import Observer
    from kitaru.runtime.handle import FlowHandle
    from kitaru.runtime.prepared import Options

ANSWER_POLL_S = 0.05
CANCEL_WAIT_S = 5.0
"""How long `cancel` and `reject` wait for the process that executes a run to come to a stop."""


class Replying(Running):
    """A project as its runs are answered, rejected and cancelled."""

    def answer(
        self,
        run: str,
        wait: str | None,
        value: Any,  # noqa: ANN401 - whatever the schema says
        *,
        text: bool = False,
        by: str = "",
        note: str = "",
        resume: bool = True,
        offline: bool = False,
        observer: Observer | None = None,
        foreground: bool = False,
    ) -> FlowHandle[Any]:
        """Answer a wait, once and for all, and carry its run on.

        It may be called from any thread, such as a web handler's; with `resume=False` it only writes the answer, and
        `kitaru work`, or whoever resumes the run, carries it on.

        Args:
            run: any revision that names it.
            wait: the wait's name; None where it has only one open.
            value: the answer: JSON data or an instance of the type; or, with `text`, what was typed.
            by: who answers; the project's user by default.
            note: why, for the record.
            resume: carry the run on afterwards.
            offline, observer, foreground: as of `resume`.

        Raises:
            UnknownWait: no open wait of that name.
            InvalidAnswer: the answer does not fit the schema; nothing was recorded.
            AlreadyAnswered: somebody answered first, or the deadline has passed; says who, when and what.
            KitaruError: as of `resume`, where it carries the run on; the answer is recorded.
        """
        state = self.state(self.find_run(run))
        view = self._answering.open_wait(state, wait)
        self._answering.record(state.run, view, value, text=text, by=by or self.services.user, note=note)
        if not resume:
            return self._finished(state.run)
        return self._carry_on(state.run, view, self._options("", observer), offline=offline, foreground=foreground)

    def check_open(self, state: RunState, wait: str | None) -> WaitView:
        """Return the open wait that is meant, as `answer` takes it; None means the only one.

        Raises:
            UnknownWait, AlreadyAnswered
        """
        return self._answering.open_wait(state, wait)

    @cached_property
    def _answering(self) -> Answering:
        return Answering(self.repo, self.values, self.value, self.services.clock_us)

    def _carry_on(
        self, run: str, view: WaitView, options: Options, *, offline: bool, foreground: bool
    ) -> FlowHandle[Any]:
        """Resume a run, or stay until whoever holds it here has taken the answer."""
        while True:
            try:
                return self._taken_up(run, options, offline=offline, foreground=foreground)
            except RunClaimed:
                raise
            except RunHeld:
                if self._is_settled(run, view):
                    return self._finished(run)
                time.sleep(ANSWER_POLL_S)
            except RunOver:
                if not self._is_settled(run, view):
                    raise
                return self._finished(run)  # another process was faster, and has brought the run to its end

    def _is_settled(self, run: str, view: WaitView) -> bool:
        """Tell whether a wait needs no answer any more: it has one, the code no longer asks it, or the run is over."""
        state = self.state(run)
        return state.end is not None or not any(w.id == view.id and w.is_open for w in state.waits.values())

    def reject(
        self, run: str, wait: str | None = None, *, note: str = "", by: str = "", wait_s: float = CANCEL_WAIT_S
    ) -> Cancellation:
        """End a run at a question that it asks, instead of answering: it is cancelled, and the question has its reply.

        Args:
            run, wait, by: as of `answer`.
            note: why, for the record.
            wait_s: as of `cancel`.

        Raises:
            UnknownWait, AlreadyAnswered: as of `answer`.
        """
        from kitaru.project.cancelling import reject
        from kitaru.project.claiming import hold_of

        state = self.state(self.find_run(run))
        view = self._answering.open_wait(state, wait)
        given = self._answering.reject(state.run, view, by=by or self.services.user, note=note)
        hold, over = hold_of(self), self.hooks.ended
        return reject(self.repo, state.run, given, self.services, wait_s=wait_s, over=over, hold=hold)

    def cancel(self, run: str, *, reason: str = "", by: str = "", wait_s: float = CANCEL_WAIT_S) -> Cancellation:
        """End a run, wherever it executes: at once where nobody does, else as soon as its process has come to a stop.

        What is recorded stays, and can be replayed; the run itself is never carried on.

        Args:
            run: any revision that names it.
            reason: why, for the record.
            by: who asks; the project's user by default.
            wait_s: how many seconds to wait for a process that executes it. The request stands all the same.

        Raises:
            RunOver: it was over before it saw the request.
            AlreadyCancelled: somebody asked first; says who, when and why.
            UnbegunRun: it was queued, and nobody has begun it: `dequeue` calls it off.
        """
        from kitaru.project.cancelling import cancel
        from kitaru.project.claiming import hold_of

        try:
            state = self.state(self.find_run(run))
        except UnbegunRun as unbegun:
            raise UnbegunRun(unbegun.run, hint=f"kitaru queue cancel {unbegun.run}") from None
        by = by or self.services.user
        hold, over = hold_of(self), self.hooks.ended
        return cancel(self.repo, state, self.services, by=by, reason=reason, wait_s=wait_s, over=over, hold=hold)
