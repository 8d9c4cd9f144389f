"""What a replay changes, and the plan by which a branch reuses its source.

Owns: checking `--from`, `--set`, `--arg` and `--answer` against the source run and the loaded code, and turning them
into values. Executing is the engine's.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kitaru.errors import InvalidAnswer, NothingToReplay, UnknownCall, UnknownWait, UsageError
from kitaru.model.history import Status
from kitaru.model.ids import CallName, parse_call
from kitaru.model.spending import model_calls
from kitaru.runtime.decorators import checkpoint_named
from kitaru.runtime.plan import Overrides, Plan
from kitaru.runtime.schema import parse_input, parse_inputs, parse_output, validate_answer_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kitaru.model.history import RunState, WaitView
    from kitaru.runtime.decorators import Flow


@dataclass(slots=True)
class Changes:
    """What a replay is to change.

    Attributes:
        from_: a call or wait; all before it is kept, even where inputs changed. None branches at the first call that
            the changes reach, or at the failure.
        args: flow inputs to change.
        sets: call to the output it is to have.
        answers: wait to the answer it is to get.
        text: values are JSON or plain text, as typed.
        models: alias or model to what is asked instead.
    """

    from_: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    sets: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)
    text: bool = False
    models: Mapping[str, str] = field(default_factory=dict)

    def check(self, source: RunState) -> None:
        """Refuse what the source does not have, before its code is loaded.

        Raises:
            UnknownCall: `from_` is no call or wait of it.
            NothingToReplay: nothing is to change, and nothing failed.
        """
        if self.models and not (self.from_ or self.args or self.sets or self.answers):
            self.from_ = _first_asked(source, self.models)
        if self.from_:
            _order_of(source, parse_call(self.from_))
        elif not (self.args or self.sets or self.answers) and source.status is Status.COMPLETED:
            calls = ", ".join(c.label for c in source.ordered_calls)
            raise NothingToReplay(
                f"run {source.run} is completed, and nothing is to change", hint=f"add --from CALL; calls: {calls}"
            )

    def check_code(self, source: RunState, *, changed: bool) -> None:
        """Refuse a `--set` on a name that neither the source nor the loaded code has, or that does not say which.

        And answers to waits that nothing can lead to: where the run is completed, the code as it was, and they are all
        there is to change.

        Args:
            changed: the code is not what the source recorded with.

        Raises:
            UnknownCall, UsageError, UnknownWait
        """
        self._check_answers(source, changed)
        for text in self.sets:
            wanted = parse_call(text)
            calls = [c for c in source.ordered_calls if c.name == wanted.name]
            if not calls and checkpoint_named(wanted.name) is None:
                raise UnknownCall(source.run, text, [c.label for c in source.ordered_calls])
            if len(calls) > 1 and wanted.nth is None:
                labels = " or ".join(c.label if c.occurrence > 1 else f"{c.name}#1" for c in calls[:4])
                raise UsageError(
                    f"--set {text} does not say which: run {source.run} called it {len(calls)} times",
                    hint=f"write {labels}, or {text}#* for all",
                )

    def _check_answers(self, source: RunState, changed: bool) -> None:
        unknown = [text for text in self.answers if not _waits_named(source, text)]
        elsewhere = changed or self.from_ or self.args or self.sets or self.models or len(unknown) < len(self.answers)
        if unknown and not elsewhere and source.status is Status.COMPLETED:
            raise UnknownWait(source.run, unknown[0], [w.label for w in source.ordered_waits], asked=True)

    def source(self, source: RunState) -> dict[str, Any]:
        """Return what the branch's first record says of its source."""
        wanted = parse_call(self.from_) if self.from_ else None
        return {
            "run": source.run,
            "head": source.head,
            "cut": _order_of(source, wanted) if wanted else None,
            "from": wanted.name if wanted else "",
        }

    def inputs(self, flow: Flow[Any, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
        """Return the branch's inputs: the source's, less what the flow no longer takes, with `args` in their place."""
        kept = {n: value for n, value in recorded.items() if n in flow.binder.names and n not in self.args}
        changed = parse_inputs(flow.fn, {**kept, **self.args}, text=False)
        typed = {n: parse_input(flow.fn, n, v) for n, v in self.args.items() if self.text and isinstance(v, str)}
        return {**changed, **typed}

    def outputs(self) -> dict[str, Any]:
        """Return the outputs to pin; what was typed is read by the annotation of its function."""
        return {name: parse_output(_function(name), name, v, text=self.text) for name, v in self.sets.items()}

    def replies(self, source: RunState) -> dict[str, Any]:
        """Return the answers given ahead; what was typed is read by the schema of the source's wait where it fits."""
        return {name: self._reply(source, name, value) for name, value in self.answers.items()}

    def _reply(self, source: RunState, name: str, value: Any) -> Any:  # noqa: ANN401 - whatever the schema says
        for view in _waits_named(source, name):
            if self.text:
                with contextlib.suppress(InvalidAnswer):  # the code may have changed since, and its own type decides
                    return validate_answer_json(view.record.schema, value, text=True)
        return parse_output(None, name, value, text=self.text)


def recorded_plan(state: RunState, runs: list[str]) -> Plan:
    """Return the plan by which a recorded run is carried on: its own history, and what it shares with its source."""
    source, given = state.start.source or {}, state.start.overrides
    overrides = Overrides(
        {parse_call(name): value for name, value in given.get("set", {}).items()},
        {parse_call(name): value for name, value in given.get("answers", {}).items()},
    )
    dynamic = bool(source) and state.cut is None
    return Plan(state, runs, overrides, dynamic=dynamic, kept_until=str(source.get("from", "")))


def _function(name: str) -> Callable[..., Any] | None:
    found = checkpoint_named(parse_call(name).name)
    return found.fn if found is not None else None


def _first_asked(source: RunState, models: Mapping[str, str]) -> str:
    """Return the first call in which one of these models was asked.

    Raises:
        NothingToReplay: none was.
    """
    for call in source.ordered_calls:
        if any(asked.asked in models for asked in model_calls(call.record)):
            return call.label if call.occurrence > 1 else f"{call.name}#1"
    named = ", ".join(models)
    raise NothingToReplay(f"run {source.run} never asked {named}", hint="kitaru cost --by model, or add --from CALL")


def _waits_named(state: RunState, text: str) -> list[WaitView]:
    """Return the waits of a run that a name, as typed, means."""
    wanted = parse_call(text)
    named = [view for view in state.ordered_waits if view.record.name == wanted.name]
    return [view for view in named if wanted.nth in (None, 0, view.record.occurrence)]


def _order_of(state: RunState, wanted: CallName) -> int:
    """Return the call order of a call or wait."""
    found = [c for c in state.ordered_calls if c.name == wanted.name and wanted.nth in (None, 0, c.occurrence)]
    if found:
        return found[0].order
    waits = _waits_named(state, str(wanted))
    if waits:
        return waits[0].record.order
    raise UnknownCall(state.run, str(wanted), [c.label for c in state.ordered_calls])
