"""The fold from records to a run's state, and which record may follow which.

Owns: the table of legal transitions, and how a branch shares its source's prefix. Pure: it is handed records and says
what they add up to. What a state is made of is `model.history`.
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING

from kitaru.errors import Damaged
from kitaru.model.history import OVER, CallView, RunState, Status, WaitView
from kitaru.model.records import Answer, Begun, Call, End, Note, Record, Resumed, Start, Stored, Wait

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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


def add(state: RunState, stored: Stored) -> None:
    """Apply one more record to a state.

    Raises:
        Damaged: the record may not follow in this status.
    """
    record = stored.record
    kind = type(record)
    before = None if state.head is None else state.status
    if kind not in LEGAL[before]:
        raise Damaged(f"run {state.run}", f"record {stored.id[:12]}: {record.kind} cannot follow when {before}")
    try:
        _APPLY[kind](state, stored)
    except (KeyError, TypeError, ValueError) as error:  # what a note's or end's free-form fields may hold
        raise Damaged(f"run {state.run}", f"record {stored.id[:12]}: a malformed {record.kind}: {error}") from error
    state.head = stored.id
    if kind in _EXECUTED:
        state.barren = 0
        if state.resumed:
            state.executed = state.resumed[-1]
    if state.end is None:
        asks = bool(state.waits) and any(w.is_open for w in state.waits.values())
        state.status = Status.WAITING if asks else Status.RUNNING


def _apply_start(state: RunState, stored: Stored) -> None:
    record = stored.record
    assert isinstance(record, Start)  # noqa: S101 - told apart by LEGAL
    state.start, state.barren = record, 1


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
            wait.answer, state.barren = record, 0
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
    elif record.about == "stopped":
        state.barren = 0
    elif record.about == "refused":
        _refuse(state, data["digest"])
    elif record.about == "unmade":
        for call in data["calls"]:
            state.unmade.update({(str(call["name"]), int(n)): str(call["scope"]) for n in call["occurrences"]})


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
    state.barren += 1
    state.end = None
    for wait in state.waits.values():
        wait.ended = ""
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
    for wait in state.open_waits:
        wait.ended = record.status
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
    add(state, first)
    for stored in iterator:
        add(state, stored)
    return state


def _share(state: RunState, base: RunState, cut: object) -> None:
    """Take over from the source what a branch shares: finished calls, answered waits, up to the cut if it is known."""
    state.calls = {o: _shared_call(c) for o, c in base.calls.items()}
    state.waits = {o: _shared_wait(w) for o, w in base.waits.items()}
    state.sequence, state.after = list(base.sequence), dict(base.after)
    state.doomed, state.refused = set(base.doomed), set(base.refused)
    state.unmade = dict(base.unmade)
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
