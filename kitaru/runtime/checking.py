"""What an execution of a run would do, found out without executing a checkpoint.

Owns: following the recorded history as far as it goes, and what is told of each call on the way. The engine is the
real one, so that matching cannot differ; it works on a copy of the store that is thrown away, `Checker` observes it,
and a call that would be executed stops before it begins. The flow's body itself is executed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn

from kitaru.errors import Drift, KitaruError, RunInterrupted, RunWaiting, StoreError
from kitaru.model.ids import parse_call
from kitaru.runtime.calls import Calls
from kitaru.runtime.capture import capturing
from kitaru.runtime.execution import Execution
from kitaru.runtime.live_call import Asked
from kitaru.runtime.results import Results
from kitaru.runtime.stopping import RunStopped, behind, in_event_loop

if TYPE_CHECKING:
    from kitaru.model.history import CallView, RunState
    from kitaru.runtime.ending import Outcome
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.events import Event
    from kitaru.runtime.prepared import Prepared
    from kitaru.runtime.scopes import Scope


class Verdict(StrEnum):
    """What would become of a call, or of a wait."""

    REUSE = "reuse"
    RUN = "run"
    STOP = "stop"
    ASK = "ask"


class Ending(StrEnum):
    """How far the recorded history goes: what the execution would come to behind it."""

    COMPLETES = "completes"
    RUNS = "runs"
    WAITS = "waits"
    DRIFTS = "drifts"
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class CheckedCall:
    """A call, and what would become of it.

    Attributes:
        call: its label.
        why: in a few words, where there is something to say.
        difference: for drift, all that differs, on several lines.
    """

    call: str
    order: int
    verdict: Verdict
    why: str = ""
    difference: str = ""


@dataclass(slots=True)
class Check:
    """What an execution would do.

    Attributes:
        run, flow: of the history.
        code: `working-tree` or `recorded`.
        changes: path and kind of change of each source file since the version that executed last.
        calls: in the order in which the code comes to them; last, those at which it would begin to execute.
        left: recorded calls that the code did not come to: no longer made, where it completes.
        error: why the execution would go no further, where it drifts, waits or fails.
    """

    run: str
    flow: str
    code: str = "working-tree"
    changes: list[tuple[str, str]] = field(default_factory=list)
    calls: list[CheckedCall] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    ending: Ending = Ending.COMPLETES
    error: KitaruError | None = None

    @property
    def problem(self) -> KitaruError | None:
        """The drift or failure that a real execution would end with, or None."""
        return self.error if self.ending in (Ending.DRIFTS, Ending.FAILS) else None


class Checker:
    """Watches an execution and keeps it from executing anything.

    Args:
        check: is filled in.
    """

    def __init__(self, check: Check) -> None:
        self.check = check
        self._would_run: list[CheckedCall] = []
        self._drifted: dict[str, dict[str, Any]] = {}
        """By a checkpoint's name, what was told last of a call of it that drifted and goes on."""
        self._thread = threading.get_ident()
        self._engine: Engine | None = None
        self._flying: dict[int, CallView] = {}

    def run(self, prepared: Prepared) -> Check:
        """Follow the history, and return what is found.

        Raises:
            StoreError, RunInterrupted: the check itself was cut short.
        """
        engine = self._engine = prepared.engine
        self._flying = _in_flight(engine.state)
        engine.results = _WatchedResults(engine, self)
        engine.calls = _WatchedCalls(engine, self)
        with capturing():
            outcome = engine.execute(lambda: self._follow(prepared))
        check = self.check
        check.calls += sorted(self._would_run, key=lambda call: call.order)
        check.left = check.left or [view.label for view in engine.plan.unclaimed()]
        self._end(outcome)
        return check

    def _follow(self, prepared: Prepared) -> Any:  # noqa: ANN401 - what the flow returns
        """Execute the body; where a line of work was halted, that is why the run stops, whatever became of it."""
        try:
            value = prepared.body()
            prepared.engine.drain()
        except BaseException as error:
            if behind(error, lambda e: isinstance(e, _Halt)):
                raise prepared.engine.stop(_WouldRun("a line of work was halted")) from None
            raise
        if self._would_run:
            raise prepared.engine.stop(_WouldRun("a line of work was halted"))
        return value

    def _end(self, outcome: Outcome) -> None:
        check, error = self.check, outcome.error
        if isinstance(error, StoreError) or (isinstance(error, RunInterrupted) and not isinstance(error, _WouldRun)):
            raise error
        if isinstance(error, Drift):
            check.ending, check.error = Ending.DRIFTS, error
        elif self._would_run:
            check.ending = Ending.RUNS
        elif isinstance(error, RunWaiting):
            check.ending, check.error = Ending.WAITS, error
        elif error is not None:
            check.ending, check.error = Ending.FAILS, error

    # -- in place of executing ---------------------------------------------------------------------------------------

    def would_run(self, execution: Execution) -> Execution:
        """Note that a call would be executed, and return what stops where it begins."""
        record = execution.record
        why, difference = self._drift(record.name, record.drift) if record.drift else (self._why(record.order), "")
        told = CheckedCall(execution.label, record.order, Verdict.RUN, why, difference)
        self._would_run.append(told)
        return _Halted(execution, self)

    def halt(self, execution: Execution) -> RunStopped | _Halt:
        """Return what stops the line of work that made a call.

        The whole run stops where the body made the call and waits for it; of lines of work at once, each goes on to
        its own first call.
        """
        reason = _WouldRun(f"{execution.label} would be executed")
        if threading.get_ident() == self._thread and not in_event_loop():
            return execution.engine.stop(reason)
        return _Halt(reason.message)

    def _why(self, order: int) -> str:
        assert self._engine is not None  # noqa: S101 - executing
        if order in self._flying:
            return "it was in flight when the run stopped"
        view = self._engine.state.calls.get(order)
        if view is not None and view.record is not None and view.record.error:
            error = view.record.error
            kind = str(error.get("type", "")).removeprefix("builtins:").replace(":", ".")
            return f"its failure ended the run: {kind}: {error.get('message', '')}"
        if self._engine.state.start.source:
            return "not shared with the source run"
        return "new: nothing of it is recorded"

    # -- watching ----------------------------------------------------------------------------------------------------

    def __call__(self, event: Event) -> None:
        """Take note of what the engine tells."""
        look = getattr(self, f"_on_{event.kind}", None)
        if look is not None:
            look(event.data)

    def _on_code(self, data: dict[str, Any]) -> None:
        self.check.code = data["executes"]
        self.check.changes = [(path, kind) for path, kind in data["changes"]]

    def reused(self, asked: Asked, view: CallView) -> None:
        """Note that this call would take a record."""
        told, difference = self._remarks(asked, view), ""
        if view.drift:
            why, difference = self._drift(view.name, view.drift)
            told.append(why)
        self.check.calls.append(CheckedCall(view.label, view.order, Verdict.REUSE, "; ".join(told), difference))

    def unreadable(self, view: CallView) -> None:
        """Note that the run stops at a record that it takes: its value cannot be read by today's code."""
        told = CheckedCall(view.label, view.order, Verdict.STOP, "its recorded value cannot be read")
        self.check.calls = [told if call.order == view.order else call for call in self.check.calls]

    def _remarks(self, asked: Asked, view: CallView) -> list[str]:
        record = view.record
        assert record is not None  # noqa: S101 - only finished calls are taken
        remarks = {
            "its output is given": record.how == "pinned",
            "an earlier result is taken from the cache": asked.unsynced and record.how == "reused",
            "it was taken from the cache": not asked.unsynced and record.how == "reused",
            "its code has changed, its result is kept": record.how == "ran" and record.code != asked.checkpoint.code,
            "it failed, and the flow went on": bool(record.error),
            f"kept although {', '.join(view.stale)} changed": bool(view.stale),
        }
        return [told for told, holds in remarks.items() if holds]

    def _drift(self, name: str, policy: str) -> tuple[str, str]:
        """Return what drifted and goes on by a policy, in short and in full."""
        data = self._drifted.pop(name, {})
        why = f"drift, and the policy is {policy}"
        return (f"{why}: {data['text']}", data["difference"]) if data else (why, "")

    def _on_drift(self, data: dict[str, Any]) -> None:
        if data["policy"] == "stop":
            told = CheckedCall(data["call"], 0, Verdict.STOP, f"drift: {data['text']}", data["difference"])
            self.check.calls.append(told)
        else:
            self._drifted[parse_call(data["call"]).name] = data

    def _on_wait(self, data: dict[str, Any]) -> None:
        self.check.calls.append(CheckedCall(data["wait"], 0, Verdict.ASK, "a question that is not recorded"))

    def _on_sleep(self, data: dict[str, Any]) -> None:
        """A sleep begins that is not recorded: it would take its time, and does not here."""
        assert self._engine is not None  # noqa: S101 - executing
        self._would_run.append(CheckedCall(data["wait"], 0, Verdict.RUN, f"it would sleep until {data['until']}"))
        self._engine.stop(_WouldRun("a sleep"))

    def _on_unclaimed(self, data: dict[str, Any]) -> None:
        self.check.left = list(data["calls"])


class _Halt(BaseException):
    """Unwinds one line of work of several, as `RunStopped` unwinds all."""


class _Halted(Execution):
    """A call that stops where it would begin, whatever carries it."""

    __slots__ = ("_checker",)

    def __init__(self, execution: Execution, checker: Checker) -> None:
        super().__init__(execution.engine, execution.asked, execution.record, execution.repeat)
        self._checker = checker

    def begin(self) -> NoReturn:
        """Stop here."""
        raise self._checker.halt(self)


class _WatchedCalls(Calls):
    """The calls of an execution, told to who checks it."""

    def __init__(self, engine: Engine, checker: Checker) -> None:
        super().__init__(engine)
        self._checker = checker

    def decide(self, asked: Asked) -> CallView | Execution:
        """Decide as ever, tell of a call that takes a record, and let no other one begin."""
        found = super().decide(asked)
        if isinstance(found, Execution):
            return self._checker.would_run(found)
        self._checker.reused(asked, found)
        return found

    def again(self, asked: Asked, view: CallView) -> Execution:
        """Let a call that was called off not begin again, either."""
        return self._checker.would_run(super().again(asked, view))


class _WatchedResults(Results):
    """The results of an execution, of which one that cannot be had is told to who checks it."""

    def __init__(self, engine: Engine, checker: Checker) -> None:
        super().__init__(engine)
        self._checker = checker

    def recorded(self, view: CallView, scope: Scope | None = None) -> Any:  # noqa: ANN401 - whatever was recorded
        """Return a recorded result, or tell that it cannot be had."""
        try:
            return super().recorded(view, scope)
        except RunStopped:
            self._checker.unreadable(view)
            raise


class _WouldRun(RunInterrupted):
    """The reason of a stop at a call that would be executed."""


def _in_flight(state: RunState) -> dict[int, CallView]:
    return {order: view for order, view in state.calls.items() if view.record is None}
