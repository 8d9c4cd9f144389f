"""What calls came to, as far as an execution has come: values and failures, recorded or just made.

Owns: a recorded result as the body meets it again, what is told of each call that is over, and what `kitaru.load` and
a wait's `show=` find. Which record a call takes is `runtime.calls`; nothing is recorded here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged, KitaruError, UnknownObject
from kitaru.model.ids import display_call
from kitaru.runtime.failures import Failures

if TYPE_CHECKING:
    from kitaru.model.history import CallView
    from kitaru.model.records import Call
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.scopes import Scope


class Results:
    """The results of one execution of a run. From any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.decoder = engine.values.decoder(engine.plan.runs)
        self.failures = Failures()
        self.saved: dict[str, str] = {}
        """Artifact name to value id: what `kitaru.load` finds."""
        self.outputs: dict[str, str] = {}
        """Value id to label of the call that gave it first."""

    def recorded(self, view: CallView, scope: Scope | None = None) -> Any:  # noqa: ANN401 - whatever was recorded
        """Return a recorded result, or raise a recorded failure; `scope` is where it is wanted."""
        record = self.tell_recorded(view)
        value = self._rebuilt(view, record)
        if record.error is not None and isinstance(value, BaseException):
            self.failures.remember(value, view.id, view.scope)
            raise value
        if scope is not None:
            self.show(scope, record)
        return value

    def tell_recorded(self, view: CallView) -> Call:
        """A recorded call was taken: tell the observer, and return its record."""
        record = view.record
        assert record is not None  # noqa: S101 - only finished calls are claimed
        if self._engine.observer is not None:
            shared = "recorded" if view.run == self._engine.run else "shared"
            self._tell(view.label, record, record.how if record.how != "ran" else shared, view.stale, view.drift)
        if record.saved:
            self.saved.update(record.saved)
        if record.output is not None:
            self.outputs.setdefault(record.output, view.label)
        return record

    def _rebuilt(self, view: CallView, record: Call) -> object:
        """Return the recorded value or exception; where it cannot be rebuilt, the run stops, whatever the body catches.

        Raises:
            RunStopped: a class of it has changed or is gone, or its bytes are damaged.
        """
        engine = self._engine
        try:
            if record.error is not None:
                return engine.values.rebuild_error(record.error, engine.plan.runs)
            if record.output is not None:
                return self.decoder.decode(record.output)
        except UnknownObject as error:
            raise engine.stop(Damaged(f"run {view.run}", f"{view.label}: {error}")) from None
        except KitaruError as error:
            raise engine.stop(error) from None
        raise engine.stop(Damaged(f"run {view.run}", f"{view.label} has neither an output nor an error"))

    def finished(self, record: Call) -> None:
        """An attempt has been recorded."""
        self.saved.update(record.saved)
        if record.output is not None:
            self.outputs.setdefault(record.output, display_call(record.name, record.occurrence))
        for look in self._engine.after_call:
            look(record)
        if self._engine.observer is not None:
            self._tell(display_call(record.name, record.occurrence), record, "ran", [], record.drift)

    def show(self, scope: Scope, record: Call) -> None:
        """A call's result reached the line of work that made it: a wait there shows it."""
        if record.output is not None:
            scope.shown = record

    def _tell(self, label: str, record: Call, how: str, stale: list[str], drift: str) -> None:
        error = record.error and {"type": record.error["type"], "message": record.error["message"]}
        self._engine.emit(
            "call",
            call=label,
            name=record.name,
            order=record.order,
            how=how,
            duration_us=record.at - record.began,
            output=record.output,
            reused=record.reused,
            error=error,
            stale=stale,
            mutated=record.mutated,
            drift=drift,
            delay_us=record.delay,
            overran_us=record.overran,
            llm=record.llm,
        )
