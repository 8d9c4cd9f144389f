"""What differs between two runs, step by step, told by ids and by what the records say themselves.

Owns: what counts as a difference. No value is read here: what has equal ids is equal. Which step stands for which is
`model.alignment`. Times are told and never count: no two executions take equally long.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kitaru.errors import UnknownCall, UsageError
from kitaru.model.alignment import Pair, View, align, steps
from kitaru.model.history import CallView
from kitaru.project import finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kitaru.model.history import RunState, WaitView
    from kitaru.model.ids import CallName
    from kitaru.model.records import Call


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A value that differs: both ids, one of them None where only one side has it.

    Attributes:
        what: `input`, `argument`, `key`, `output`, `saved`, `metadata`, `error`, `shown` or `answer`.
        name: which of them, or empty where there is but one.
    """

    what: str
    name: str
    was: str | None
    now: str | None

    @property
    def title(self) -> str:
        """How it is called in a line."""
        return f"{self.what} {self.name}" if self.name else self.what


@dataclass(frozen=True, slots=True)
class FactChange:
    """Something differs that is told by the record itself: a status, an error's text, the code's fingerprint."""

    what: str
    was: str
    now: str


@dataclass(frozen=True, slots=True)
class StepDiff:
    """A call or wait of one run against the one that stands for it in the other.

    Attributes:
        old, new: both; None where a run has none.
        values, facts: what differs.
    """

    old: View | None
    new: View | None
    values: list[ValueChange] = field(default_factory=list)
    facts: list[FactChange] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """`same`, `changed`, `added` or `removed`."""
        if self.old is None or self.new is None:
            return "removed" if self.new is None else "added"
        return "changed" if self.values or self.facts else "same"


@dataclass(frozen=True, slots=True)
class RunDiff:
    """What differs between two runs.

    Attributes:
        values: of the flow's inputs, and its result.
        facts: flow, version, status, error.
        steps: every call and wait of both, in call order.
    """

    old: RunState
    new: RunState
    values: list[ValueChange]
    facts: list[FactChange]
    steps: list[StepDiff]

    @property
    def runs(self) -> list[str]:
        """Where values are looked for first: both runs, and those that they branched from."""
        sources = ((state.start.source or {}).get("run") for state in (self.old, self.new))
        return list(dict.fromkeys([self.old.run, self.new.run, *(s for s in sources if isinstance(s, str))]))

    @property
    def took_us(self) -> tuple[int, int]:
        """How long the calls told here took, all together, in microseconds."""
        return sum(took_us(s.old) or 0 for s in self.steps), sum(took_us(s.new) or 0 for s in self.steps)

    @property
    def differs(self) -> bool:
        """Whether there is any difference."""
        return bool(self.values or self.facts) or any(step.kind != "same" for step in self.steps)


def compare_runs(old: RunState, new: RunState, *, call: CallName | None = None) -> RunDiff:
    """Compare two runs.

    Args:
        call: only the steps of this name; all there is to compare by default.

    Raises:
        UnknownCall: neither run has such a step.
    """
    pairs = align(steps(old), steps(new))
    if call is not None:
        pairs = [pair for pair in pairs if _is(pair.old, call) or _is(pair.new, call)]
        if not pairs:
            raise UnknownCall(new.run, str(call), finding.some([view.label for view in steps(new)]))
        return RunDiff(old, new, [], [], [compare_steps(pair) for pair in pairs])
    values = _changed_ids("input", old.start.inputs, new.start.inputs)
    values += _one("output", old.end.output if old.end else None, new.end.output if new.end else None)
    return RunDiff(old, new, values, _run_facts(old, new), [compare_steps(pair) for pair in pairs])


def _is(view: View | None, wanted: CallName) -> bool:
    if view is None:
        return False
    name, occurrence = (view.name, view.occurrence) if isinstance(view, CallView) else _of_wait(view)
    return name == wanted.name and wanted.nth in (None, 0, occurrence)


def _of_wait(view: WaitView) -> tuple[str, int]:
    return view.record.name, view.record.occurrence


def _run_facts(old: RunState, new: RunState) -> list[FactChange]:
    def version(state: RunState) -> str:
        return f"v{state.version.get('n', '?')}"

    same_code = old.version.get("id") == new.version.get("id")
    return _facts(
        [
            ("flow", old.start.flow, new.start.flow),
            ("version", "" if same_code else version(old), "" if same_code else version(new)),
            ("status", str(old.status), str(new.status)),
            ("error", _error(old.end.error if old.end else None), _error(new.end.error if new.end else None)),
        ]
    )


def compare_steps(pair: Pair) -> StepDiff:
    """Compare two steps; a record that both runs share is not looked into."""
    old, new = pair.old, pair.new
    if old is None or new is None or (old.id and old.id == new.id):
        return StepDiff(old, new)
    if isinstance(old, CallView) and isinstance(new, CallView):
        return _compare_calls(old, new)
    if isinstance(old, CallView) or isinstance(new, CallView):
        raise UsageError(f"{old.label} and {new.label} are a call and a wait", hint="compare two of a kind")
    return _compare_waits(old, new)


def _compare_calls(old: CallView, new: CallView) -> StepDiff:
    facts = _facts([("name", old.name, new.name), ("state", _how(old), _how(new))])
    was, now = old.record, new.record
    if was is None or now is None:
        return StepDiff(old, new, [], facts)
    facts += _facts(
        [
            ("error", _error(was.error), _error(now.error)),
            ("attempts", str(len(old.attempts)), str(len(new.attempts))),
            ("code", was.code, now.code),
        ]
    )
    return StepDiff(old, new, _call_values(was, now), facts)


def _call_values(was: Call, now: Call) -> list[ValueChange]:
    return [
        *_changed_ids("argument", was.args, now.args),
        *_one("key", was.key, now.key),
        *_one("output", was.output, now.output),
        *_changed_ids("saved", was.saved, now.saved),
        *_one("metadata", was.metadata, now.metadata),
    ]


def _compare_waits(old: WaitView, new: WaitView) -> StepDiff:
    was, now = old.record, new.record
    facts = _facts(
        [
            ("name", was.name, now.name),
            ("question", was.question, now.question),
            ("schema", "" if was.schema == now.schema else "one", "" if was.schema == now.schema else "another"),
            ("state", _standing(old), _standing(new)),
            ("answered by", *_answerers(old, new)),
        ]
    )
    answers = [view.answer.value if view.answer else None for view in (old, new)]
    return StepDiff(old, new, [*_changed_ids("shown", was.shown, now.shown), *_one("answer", *answers)], facts)


def _answerers(old: WaitView, new: WaitView) -> tuple[str, str]:
    if old.answer is None or new.answer is None:
        return "", ""
    return old.answer.by, new.answer.by


def _standing(view: WaitView) -> str:
    if view.answer is not None:
        return "answered"
    return "open" if view.is_open else f"open when the run {view.ended}" if view.ended else "no longer asked"


def _how(view: CallView) -> str:
    if view.record is None:
        return "in flight"
    return "failed" if view.record.error else "returned"


def _error(recorded: Mapping[str, Any] | None) -> str:
    if not recorded:
        return ""
    kind = str(recorded.get("type", "")).removeprefix("builtins:").replace(":", ".")
    return f"{kind}: {recorded.get('message', '')}"


def _facts(given: Iterable[tuple[str, str, str]]) -> list[FactChange]:
    return [FactChange(what, was, now) for what, was, now in given if was != now]


def _one(what: str, was: str | None, now: str | None) -> list[ValueChange]:
    return [ValueChange(what, "", was or None, now or None)] if (was or None) != (now or None) else []


def _changed_ids(what: str, was: Mapping[str, str], now: Mapping[str, str]) -> list[ValueChange]:
    names = {**was, **now}
    return [ValueChange(what, n, was.get(n), now.get(n)) for n in names if was.get(n) != now.get(n)]


def numbers(diff: RunDiff, read: Callable[[str, str], object]) -> dict[str, tuple[float, float]]:
    """Return what the calls in which two runs differ noted in numbers (tokens, cost): name to both sums.

    Args:
        diff: of two runs; what they share would add the same to both.
        read: returns the value of an object, found in a run.
    """
    sums: dict[str, list[float]] = {}
    for step in diff.steps:
        if step.kind == "same":
            continue
        for side, view in enumerate((step.old, step.new)):
            for name, value in _noted(view, read).items():
                sums.setdefault(name, [0, 0])[side] += value
    return {name: (was, now) for name, (was, now) in sums.items() if was != now}


def _noted(view: View | None, read: Callable[[str, str], object]) -> dict[str, float]:
    if not isinstance(view, CallView) or view.record is None or view.record.metadata is None:
        return {}
    noted = read(view.record.metadata, view.run)
    pairs = noted.items() if isinstance(noted, dict) else ()
    return {str(name): value for name, value in pairs if type(value) in (int, float)}


def took_us(view: View | None) -> int | None:
    """Return how long a call took, in microseconds; None for one in flight, and for a wait."""
    record = view.record if isinstance(view, CallView) else None
    return record.at - record.began if record is not None else None
