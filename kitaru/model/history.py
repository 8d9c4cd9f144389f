"""What a run's records mean: the fold from records to state, and which record may follow which.

Owns: statuses, the table of legal transitions, and how a branch shares its source's prefix. Pure: it is handed records
and says what they add up to; it knows no disk, and whether a process is alive is told to it (`live_status`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged
from kitaru.model.ids import display_call
from kitaru.model.records import Answer, Begun, Call, End, Note, Record, Resumed, Start, Stored, Wait

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Status(StrEnum):
    """Where a run stands. `interrupted` is never recorded: it is a run that is not over and that nobody executes."""

    RUNNING = "running"
    WAITING = "waiting"
    INTERRUPTED = "interrupted"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


LEGAL: dict[Status | None, frozenset[type[Record]]] = {
    None: frozenset({Start}),
    Status.RUNNING: frozenset({Begun, Call, Wait, Answer, Note, Resumed, End}),
    Status.WAITING: frozenset({Begun, Call, Wait, Answer, Note, Resumed, End}),
    Status.FAILED: frozenset({Resumed, Note}),
    Status.COMPLETED: frozenset({Note}),
    Status.CANCELLED: frozenset({Note}),
}
"""Which kinds of record may follow in which recorded status."""


@dataclass(slots=True, eq=False)
class CallView:
    """One call of a run, with all its attempts.

    Attributes:
        record: the latest finished attempt, or None while the first is in flight.
        id: id of that record.
        attempts: every finished attempt, oldest first.
        begun: the note that it is in flight, or None.
        run: the run whose record it is: another one's where a branch shares it.
        stale: arguments that differed when a replay kept the call on purpose.
    """

    name: str
    order: int
    occurrence: int
    scope: str
    run: str
    record: Call | None = None
    id: str = ""
    attempts: list[Stored] = field(default_factory=list)
    begun: Begun | None = None
    stale: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The call as shown and typed: `fetch`, `fetch#2`."""
        return display_call(self.name, self.occurrence)


@dataclass(slots=True, eq=False)
class WaitView:
    """One wait of a run, and its answer where it has one. `closed` means that the code no longer asks it."""

    record: Wait
    id: str
    run: str
    answer: Answer | None = None
    closed: bool = False

    @property
    def label(self) -> str:
        """The wait as shown and typed: `approve`, `approve#2`."""
        return display_call(self.record.name, self.record.occurrence)

    @property
    def is_open(self) -> bool:
        """Whether an answer is still asked for."""
        return self.answer is None and not self.closed


@dataclass(slots=True, eq=False)
class RunState:
    """All that a run's records add up to.

    Attributes:
        calls, waits: keyed by call order, those shared with the source included.
        head: id of the last record.
        cut: for a branch, the call order at which it leaves its source, once that is decided.
        doomed: ids of failed calls' records that ended the run: a resume executes these again.
    """

    run: str
    start: Start
    status: Status = Status.RUNNING
    calls: dict[int, CallView] = field(default_factory=dict)
    waits: dict[int, WaitView] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    resumed: list[Resumed] = field(default_factory=list)
    end: End | None = None
    head: str | None = None
    cut: int | None = None
    doomed: set[str] = field(default_factory=set)

    @property
    def open_waits(self) -> list[WaitView]:
        """The questions that wait for an answer, in call order; none once the run is over."""
        return [] if self.end else [w for _, w in sorted(self.waits.items()) if w.is_open]

    @property
    def ordered_calls(self) -> list[CallView]:
        """The calls in call order."""
        return [c for _, c in sorted(self.calls.items())]

    @property
    def version(self) -> dict[str, Any]:
        """The flow version that executed last: `{"n", "id"}`."""
        return self.resumed[-1].version if self.resumed else self.start.version

    def add(self, stored: Stored) -> None:
        """Apply one more record.

        Raises:
            Damaged: the record may not follow in this status.
        """
        record = stored.record
        before = None if self.head is None else self.status
        if type(record) not in LEGAL[before]:
            raise Damaged(f"run {self.run}", f"record {stored.id[:12]}: {record.kind} cannot follow when {before}")
        _APPLY[type(record)](self, stored)
        self.head = stored.id
        if self.end is None:
            self.status = Status.WAITING if any(w.is_open for w in self.waits.values()) else Status.RUNNING


def _apply_start(state: RunState, stored: Stored) -> None:
    record = stored.record
    assert isinstance(record, Start)  # noqa: S101 - told apart by LEGAL
    state.start = record


def _apply_begun(state: RunState, stored: Stored) -> None:
    record = stored.record
    assert isinstance(record, Begun)  # noqa: S101 - told apart by _APPLY
    _call_view(state, record).begun = record


def _apply_call(state: RunState, stored: Stored) -> None:
    record = stored.record
    assert isinstance(record, Call)  # noqa: S101 - told apart by _APPLY
    view = _call_view(state, record)
    view.record, view.id, view.run, view.begun = record, stored.id, state.run, None
    view.attempts.append(stored)


def _call_view(state: RunState, record: Begun | Call) -> CallView:
    view = state.calls.get(record.order)
    if view is None or view.name != record.name:
        view = CallView(record.name, record.order, record.occurrence, record.scope, state.run)
        state.calls[record.order] = view
    return view


def _apply_wait(state: RunState, stored: Stored) -> None:
    record = stored.record
    assert isinstance(record, Wait)  # noqa: S101 - told apart by _APPLY
    state.waits[record.order] = WaitView(record, stored.id, state.run)


def _apply_answer(state: RunState, stored: Stored) -> None:
    record = stored.record
    assert isinstance(record, Answer)  # noqa: S101 - told apart by _APPLY
    for wait in state.waits.values():
        if wait.id == record.wait:
            wait.answer = record
            return
    raise Damaged(f"run {state.run}", f"record {stored.id[:12]} answers {record.wait[:12]}, which is not a wait here")


def _apply_note(state: RunState, stored: Stored) -> None:
    record = stored.record
    assert isinstance(record, Note)  # noqa: S101 - told apart by _APPLY
    state.notes.append(record)
    data = record.data
    if record.about == "branched":
        state.cut = data["cut"]
        _truncate(state, data["cut"])
    elif record.about == "stale" and data["order"] in state.calls:
        state.calls[data["order"]].stale = data["args"]
    elif record.about == "unasked":
        for order in data["orders"]:
            if order in state.waits:
                state.waits[order].closed = True


def _apply_resumed(state: RunState, stored: Stored) -> None:
    record = stored.record
    assert isinstance(record, Resumed)  # noqa: S101 - told apart by _APPLY
    state.resumed.append(record)
    state.end = None
    for view in state.calls.values():
        view.begun = None


def _apply_end(state: RunState, stored: Stored) -> None:
    record = stored.record
    assert isinstance(record, End)  # noqa: S101 - told apart by _APPLY
    state.end = record
    state.doomed.update(record.failed)
    state.status = Status(record.status)
    for view in state.calls.values():
        view.begun = None


_APPLY = {
    Start: _apply_start,
    Begun: _apply_begun,
    Call: _apply_call,
    Wait: _apply_wait,
    Answer: _apply_answer,
    Note: _apply_note,
    Resumed: _apply_resumed,
    End: _apply_end,
}


def _truncate(state: RunState, cut: int) -> None:
    """Forget what another run recorded at or after `cut`: the branch does not share it."""
    for views in (state.calls, state.waits):
        for order in [o for o, v in views.items() if o >= cut and v.run != state.run]:
            del views[order]


def fold(run: str, records: Iterable[Stored], base: RunState | None = None) -> RunState:
    """Return the state that a run's own records add up to.

    Args:
        run: its id.
        records: its own, in chain order.
        base: for a branch, the state of its source at the record it branched from; calls and waits before the cut
            are shared. The base is not changed.

    Raises:
        Damaged: no records, or one that may not follow.
    """
    iterator = iter(records)
    first = next(iterator, None)
    if first is None or not isinstance(first.record, Start):
        raise Damaged(f"run {run}", "its first record is not a start")
    state = RunState(run, first.record)
    if base is not None:
        state.calls = {o: _shared_call(c) for o, c in base.calls.items() if c.record is not None}
        state.waits = {o: _shared_wait(w) for o, w in base.waits.items() if w.answer is not None}
        state.doomed = set(base.doomed)
        source = first.record.source or {}
        state.cut = source.get("cut")
        if state.cut is not None:
            _truncate(state, state.cut)
    state.add(first)
    for stored in iterator:
        state.add(stored)
    return state


def _shared_call(view: CallView) -> CallView:
    return CallView(
        view.name, view.order, view.occurrence, view.scope, view.run, view.record, view.id, list(view.attempts)
    )


def _shared_wait(view: WaitView) -> WaitView:
    return WaitView(view.record, view.id, view.run, view.answer)


def live_status(recorded: Status, *, held: bool) -> Status:
    """Return the status to show: a run that is not over and that no process executes is interrupted."""
    return Status.INTERRUPTED if recorded is Status.RUNNING and not held else recorded


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One line of `kitaru log`, small enough to keep an index of all runs.

    Attributes:
        status: as recorded; see `live_status`.
        started, ended: microseconds since 1970 UTC; `ended` is 0 while the run is not over.
        calls: how many calls this run itself finished; those it shares with its source are not counted.
        waits: labels of the open waits.
        error: one line, where the run failed.
    """

    run: str
    flow: str
    version: int
    status: str
    started: int
    ended: int = 0
    source: str = ""
    tags: list[str] = field(default_factory=list)
    calls: int = 0
    waits: list[str] = field(default_factory=list)
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RunSummary:
        """Rebuild from `to_json`; raises TypeError for anything else."""
        return cls(**data)


def summarize(run: str, records: Sequence[Stored]) -> RunSummary:
    """Return the summary of a run from its own records alone.

    Raises:
        Damaged: as `fold`.
    """
    state = fold(run, _own_only(records))
    end = state.end
    return RunSummary(
        run=run,
        flow=state.start.flow,
        version=int(state.version.get("n", 0)),
        status=str(state.status),
        started=state.start.at,
        ended=end.at if end else 0,
        source=str((state.start.source or {}).get("run", "")),
        tags=state.start.tags,
        calls=sum(1 for c in state.calls.values() if c.record is not None),
        waits=[w.label for w in state.open_waits],
        error=str((end.error or {}).get("message", "")) if end else "",
    )


def _own_only(records: Iterable[Stored]) -> Iterable[Stored]:
    """Leave out answers to waits that a branch shares with its source: alone, its records do not hold them."""
    waits = set()
    for stored in records:
        if isinstance(stored.record, Wait):
            waits.add(stored.id)
        if isinstance(stored.record, Answer) and stored.record.wait not in waits:
            continue
        yield stored
