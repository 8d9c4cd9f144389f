"""How an execution of a run comes out: completed, failed, cancelled, waiting, interrupted; and what is recorded of it.

Owns: the last records of an execution, sealing, and the outcome that is told. What happened before is the engine's.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.blobs.files import is_full
from kitaru.errors import (
    Drift,
    KitaruError,
    OverrideNotReached,
    RunCancelled,
    RunFailed,
    RunInterrupted,
    RunWaiting,
    StoreError,
    UsageError,
)
from kitaru.model.history import Status
from kitaru.model.records import End, Note
from kitaru.runtime.cancelling import end_record
from kitaru.runtime.stopping import RunStopped

if TYPE_CHECKING:
    from kitaru.runtime.engine import Engine
    from kitaru.store.names import CancelName


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution of a run came out.

    Attributes:
        value: what the flow returned, where it completed.
        error: why it did not complete: `RunWaiting`, `RunFailed` with the original as its cause, `Drift`, …
        existing: nothing was executed here: the run was started before, for the same key.
        other_inputs: names of inputs that this run was started with otherwise than was asked for now.
    """

    run: str
    status: Status
    value: Any = None
    error: KitaruError | None = None
    existing: bool = False
    other_inputs: tuple[str, ...] = ()


class Ending:
    """The ways in which one execution may come out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def completed(self, value: Any) -> Outcome:  # noqa: ANN401 - whatever the flow returns
        """The body returned.

        Raises:
            OverrideNotReached: a replay sets what the run never came to.
            Unencodable: the value cannot be stored.
        """
        unreached = self._engine.plan.overrides.unreached()
        if unreached:
            raise OverrideNotReached(
                f"run {self._engine.run} never came to {', '.join(unreached)}", hint=f"kitaru log {self._engine.run}"
            )
        encoded = self._engine.values.encode(
            value, self._engine.writer.known, "the flow's result", sink=self._engine.writer.stage
        )
        self._note_unclaimed()
        self._note_unasked()
        self._engine.commit(End(self._engine.now(), "completed", output=encoded.id), encoded.objects)
        self._seal()
        self._engine.emit("end", status="completed")
        return Outcome(self._engine.run, Status.COMPLETED, value)

    def failed(self, error: BaseException) -> Outcome:
        """The body raised, or the run was stopped for a reason that fails it."""
        described, encoded = self._engine.values.describe_error(error, self._engine.writer.known)
        doomed = self._engine.results.failures.behind(error)
        objects = encoded.objects if encoded is not None else []
        self._engine.commit(End(self._engine.now(), "failed", error=described, failed=doomed), objects)
        self._seal()
        self._engine.emit("end", status="failed")
        if isinstance(error, OverrideNotReached) or (isinstance(error, UsageError) and error is self._engine.reason):
            return Outcome(
                self._engine.run, Status.FAILED, error=error
            )  # the command is at fault, not what the flow did
        message = f"run {self._engine.run} failed: {type(error).__name__}: {described['message']}"
        hint = f"fix the cause, then kitaru resume {self._engine.run}"
        if isinstance(error, KitaruError) and error.hint:  # a limit says itself how the run goes on
            hint = error.hint if error is self._engine.reason else f"{error.hint}\n{hint}"
        failure = RunFailed(message, hint=hint)
        failure.__cause__ = error
        return Outcome(self._engine.run, Status.FAILED, error=failure)

    def stopped(self) -> Outcome:
        """The body was unwound by a stop."""
        reason = self._engine.reason
        if reason is None or isinstance(reason, (StoreError, RunInterrupted, Drift)):
            return self.interrupted(reason)
        if self._engine.lookout.request is not None and isinstance(reason, RunCancelled):
            return self._cancelled(self._engine.lookout.request, reason)
        if not isinstance(reason, RunWaiting):
            return self.failed(reason)
        self._note_unasked()
        self._note_stopped()
        self._seal()
        self._engine.emit("end", status="waiting")
        return Outcome(self._engine.run, Status.WAITING, error=reason)

    def _cancelled(self, request: CancelName, reason: RunCancelled) -> Outcome:
        self._engine.commit(end_record(request, self._engine.now(), self._engine.lookout.rejected_at))
        self._seal()
        self._engine.emit("end", status="cancelled")
        return Outcome(self._engine.run, Status.CANCELLED, error=reason)

    def _seal(self) -> None:
        """Seal the journal. All in it is durable already: a disk that fails only now takes nothing of the outcome."""
        with contextlib.suppress(StoreError):
            self._engine.writer.seal()

    def interrupted(self, reason: KitaruError | None) -> Outcome:
        """The run stopped without an end; its journal stays as it is, for whoever resumes."""
        self._note_stopped()
        self._engine.emit("end", status="interrupted")
        if reason is not None and is_full(reason):
            hint = f"free some space; `kitaru resume {self._engine.run}` carries the run on"
            full = StoreError(reason.message, hint=hint)
            full.__cause__ = reason.__cause__
            reason = full
        return Outcome(self._engine.run, Status.INTERRUPTED, error=reason)

    def _note_unclaimed(self) -> None:
        """Record which recorded calls the code, now that it has come to its end, did not make again."""
        labels = [view.label for view in self._engine.plan.unclaimed()]
        if labels:
            self._engine.commit(Note(self._engine.now(), "unclaimed", {"calls": labels}))
            self._engine.emit("unclaimed", calls=labels)

    def _note_stopped(self) -> None:
        """Record of an execution of which only its beginning is recorded that it was not cut short."""
        if self._engine.only_resumed:
            with contextlib.suppress(StoreError, RunStopped):  # then nothing can be recorded any more
                self._engine.commit(Note(self._engine.now(), "stopped"), sync=False)

    def _note_unasked(self) -> None:
        """Close the open waits that the code does not ask now."""
        unasked = self._engine.plan.unasked(self._engine.state)
        if unasked:
            self._engine.commit(Note(self._engine.now(), "unasked", {"orders": unasked}))
