"""What a run's records mean: the fold from records to state, and which record may follow which.

Owns: statuses, the table of legal transitions, and how a branch shares its source's prefix. Pure: it is handed records
and says what they add up to; it knows no disk, and whether a process is alive is told to it (`live_status`).
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged
from kitaru.model.ids import display_call
from kitaru.model.records import Answer, Begun, Call, End, Note, Record, Resumed, Start, Stored, Wait

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Status(StrEnum):
    """Where a run stands. `interrupted` is never recorded: it is a run that is not over and that nobody executes."""

    RUNNING = "running"
    WAITING = "waiting"
    INTERRUPTED = "interrupted"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


OVER = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
"""The statuses that an `end` may record."""

LEGAL: dict[Status | None, frozenset[type[Record]]] = {
    None: frozenset({Start}),
    Status.RUNNING: frozenset({Begun, Call, Wait, Answer, Note, Resumed, End}),
    Status.WAITING: frozenset({Begun, Call, Wait, Answer, Note, Resumed, End}),
    Status.FAILED: frozenset({Resumed, Note}),
    Status.COMPLETED: frozenset({Note}),
    Status.CANCELLED: frozenset({Note}),
}
"""Which kinds of record may follow in which recorded status."""

_EXECUTED = frozenset({Call, Wait, End})
"""The kinds of record that show that an execution came to something."""


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
        drift: policy by which it was executed (`new`) or its record taken (`reuse`) although it had drifted, or empty.
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
    drift: str = ""

    @property
    def label(self) -> str:
        """The call as shown and typed: `fetch`, `fetch#2`."""
        return display_call(self.name, self.occurrence)


@dataclass(slots=True, eq=False)
class WaitView:
    """One wait of a run, and its answer where it has one.

    Attributes:
        closed: the code no longer asks it.
        stale: a replay kept its answer on purpose although its question had changed.
    """

    record: Wait
    id: str
    run: str
    answer: Answer | None = None
    closed: bool = False
    stale: bool = False

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
        calls, waits: keyed by order, those shared with the source included.
        sequence: the orders of calls and waits, in call order. It differs from their numbers where changed code put a
            new call between recorded ones, and never depends on which of several calls at once finished first.
        after: by order, which one a call or wait was put behind by changed code.
        head: id of the last record.
        cut: for a branch, the order of the source's first call or wait that it does not share, once that is decided.
        executed: what began the last execution that recorded a call, a wait or an end, with the version and the kind of
            code it executed; one that stopped before it came to anything does not count.
        doomed: ids of failed calls' records that ended the run, or that another attempt is to follow: a resume executes
            these again.
        refused: digests of waits whose answer did not fit.
    """

    run: str
    start: Start
    status: Status = Status.RUNNING
    calls: dict[int, CallView] = field(default_factory=dict)
    waits: dict[int, WaitView] = field(default_factory=dict)
    sequence: list[int] = field(default_factory=list)
    after: dict[int, int] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    resumed: list[Resumed] = field(default_factory=list)
    end: End | None = None
    head: str | None = None
    cut: int | None = None
    doomed: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    executed: Start | Resumed = field(init=False)

    def __post_init__(self) -> None:
        self.executed = self.start

    @property
    def ordered_calls(self) -> list[CallView]:
        """The calls in call order."""
        return [self.calls[o] for o in self.sequence if o in self.calls]

    @property
    def ordered_waits(self) -> list[WaitView]:
        """The waits in call order."""
        return [self.waits[o] for o in self.sequence if o in self.waits]

    @property
    def open_waits(self) -> list[WaitView]:
        """The questions that wait for an answer, in call order; none once the run is over."""
        return [] if self.end else [w for w in self.ordered_waits if w.is_open]

    @property
    def version(self) -> dict[str, Any]:
        """The flow version that a call, a wait or an end was last recorded under: `{"n", "id"}`."""
        return self.executed.version

    def add(self, stored: Stored) -> None:
        """Apply one more record.

        Raises:
            Damaged: the record may not follow in this status.
        """
        record = stored.record
        kind = type(record)
        before = None if self.head is None else self.status
        if kind not in LEGAL[before]:
            raise Damaged(f"run {self.run}", f"record {stored.id[:12]}: {record.kind} cannot follow when {before}")
        try:
            _APPLY[kind](self, stored)
        except (KeyError, TypeError, ValueError) as error:  # what a note's or end's free-form fields may hold
            raise Damaged(f"run {self.run}", f"record {stored.id[:12]}: a malformed {record.kind}: {error}") from error
        self.head = stored.id
        if self.resumed and kind in _EXECUTED:
            self.executed = self.resumed[-1]
        if self.end is None:
            asks = bool(self.waits) and any(w.is_open for w in self.waits.values())
            self.status = Status.WAITING if asks else Status.RUNNING


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
    order, drift = record.order, record.drift
    view = state.calls.get(order)
    if view is None:  # nearly always; by position, for there are thousands
        _enter(state, order, record.after)
        state.calls[order] = CallView(
            record.name, order, record.occurrence, record.scope, state.run, record, stored.id, [stored], None, [], drift
        )
    else:
        view = _call_view(state, record)
        view.record, view.id, view.run, view.begun = record, stored.id, state.run, None
        view.drift = drift
        view.attempts.append(stored)
    if record.delay is not None:
        state.doomed.add(stored.id)


def _call_view(state: RunState, record: Begun | Call) -> CallView:
    """Return the view that a record is of; one shared with the source gives way to this run's own."""
    view = state.calls.get(record.order)
    if view is None or view.run != state.run or view.name != record.name:
        view = CallView(record.name, record.order, record.occurrence, record.scope, state.run)
        _enter(state, record.order, record.after)
        state.calls[record.order] = view
    return view


def _enter(state: RunState, order: int, after: int | None) -> None:
    """Put a call or wait where it belongs in the call order, unless it has its place."""
    if after is None and not state.after and (not state.sequence or order > state.sequence[-1]):  # nearly always
        state.sequence.append(order)
        return
    if order in state.calls or order in state.waits:
        return
    if after is not None:
        state.after[order] = after
    if not state.after:
        insort(state.sequence, order)
        return
    if order > max(state.sequence, default=0):
        _put(state.sequence, order, after)
        return
    made = sorted([*state.sequence, order])  # as the numbers were given, whatever finished first
    state.sequence = []
    for number in made:
        _put(state.sequence, number, state.after.get(number))


def _put(sequence: list[int], order: int, after: int | None) -> None:
    if after == 0:
        sequence.insert(0, order)
    elif after is not None and after in sequence:
        sequence.insert(sequence.index(after) + 1, order)
    else:
        sequence.append(order)


def _forget(state: RunState, calls: Iterable[int], waits: Iterable[int] = ()) -> None:
    """Take calls and waits, by their orders, out of the state."""
    for order in list(calls):
        del state.calls[order]
    for order in list(waits):
        del state.waits[order]
    state.sequence = [o for o in state.sequence if o in state.calls or o in state.waits]
    state.after = {o: a for o, a in state.after.items() if o in state.calls or o in state.waits}


def _unfinished(state: RunState) -> Iterator[int]:
    """Yield the orders of calls that only began; they are executed no more, and made again they get a number anew."""
    return (order for order, view in state.calls.items() if view.record is None)


def _apply_wait(state: RunState, stored: Stored) -> None:
    record = stored.record
    assert isinstance(record, Wait)  # noqa: S101 - told apart by _APPLY
    _enter(state, record.order, record.after)
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
        _cut(state, data["cut"])
    elif record.about == "drift":
        _mark_drift(state, data.get("order"), str(data.get("policy", "")))
    elif record.about == "stale":
        _mark_stale(state, data["order"], [str(name) for name in data["args"]])
    elif record.about == "unasked":
        for order in data["orders"]:
            if order in state.waits:
                state.waits[order].closed = True
    elif record.about == "refused":
        _refuse(state, data["digest"])


def _mark_drift(state: RunState, order: int | None, policy: str) -> None:
    if order is not None and order in state.calls:
        state.calls[order].drift = policy


def _mark_stale(state: RunState, order: int, args: list[str]) -> None:
    if order in state.calls:
        state.calls[order].stale = args
    elif order in state.waits:
        state.waits[order].stale = True


def _refuse(state: RunState, digest: str) -> None:
    """Close a wait whose answer did not fit: it is asked anew under another digest."""
    state.refused.add(digest)
    for wait in state.waits.values():
        if wait.record.digest == digest and wait.run == state.run:
            wait.closed = True


def _apply_resumed(state: RunState, stored: Stored) -> None:
    record = stored.record
    assert isinstance(record, Resumed)  # noqa: S101 - told apart by _APPLY
    state.resumed.append(record)
    state.end = None
    _forget(state, _unfinished(state))
    for view in state.calls.values():
        view.begun = None


def _apply_end(state: RunState, stored: Stored) -> None:
    record = stored.record
    assert isinstance(record, End)  # noqa: S101 - told apart by _APPLY
    status = Status(record.status)
    if status not in OVER:
        raise ValueError(f"a run does not end {status}")
    state.end, state.status = record, status
    state.doomed.update(record.failed)
    _forget(state, _unfinished(state))
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


def _cut(state: RunState, cut: object) -> None:
    """Forget what another run recorded from `cut` on, in call order: the branch does not share it."""
    if type(cut) is not int:
        raise Damaged(f"run {state.run}", f"branches at {cut!r}, which is no place in its source")
    state.cut = cut
    if cut in state.sequence:
        later = set(state.sequence[state.sequence.index(cut) :])
    else:
        later = {order for order in state.sequence if order >= cut}
    calls = [o for o, v in state.calls.items() if o in later and v.run != state.run]
    _forget(state, calls, [o for o, v in state.waits.items() if o in later and v.run != state.run])


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
        _share(state, base, (first.record.source or {}).get("cut"))
    state.add(first)
    for stored in iterator:
        state.add(stored)
    return state


def _share(state: RunState, base: RunState, cut: object) -> None:
    """Take over from the source what a branch shares: finished calls, answered waits, up to the cut if it is known."""
    state.calls = {o: _shared_call(c) for o, c in base.calls.items()}
    state.waits = {o: _shared_wait(w) for o, w in base.waits.items()}
    state.sequence, state.after = list(base.sequence), dict(base.after)
    state.doomed, state.refused = set(base.doomed), set(base.refused)
    if cut is not None:
        _cut(state, cut)
    _forget(state, _unfinished(state), [o for o, v in state.waits.items() if v.answer is None])


def _shared_call(view: CallView) -> CallView:
    drift = view.record.drift if view.record is not None else ""
    attempts = list(view.attempts)
    return CallView(
        view.name, view.order, view.occurrence, view.scope, view.run, view.record, view.id, attempts, drift=drift
    )


def _shared_wait(view: WaitView) -> WaitView:
    return WaitView(view.record, view.id, view.run, view.answer)


def live_status(recorded: Status, *, held: bool) -> Status:
    """Return the status to show: a run that is not over and that no process executes is interrupted."""
    return Status.INTERRUPTED if recorded is Status.RUNNING and not held else recorded
