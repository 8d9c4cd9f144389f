"""What an execution may reuse, in which place of call order new calls stand, and what a replay overrides.

Owns: the claims on recorded calls and waits, where a branch leaves its source, and the counting of orders and
occurrences. Decides nothing about drift and writes nothing; the engine asks it.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from kitaru.errors import UsageError
from kitaru.model.ids import CallName
from kitaru.model.matching import Claims, Identity, identity_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kitaru.model.history import CallView, RunState, WaitView


@dataclass(slots=True)
class Overrides:
    """What a replay sets: calls to outputs, waits to answers; value ids, keyed as the user named them."""

    sets: dict[CallName, str] = field(default_factory=dict)
    answers: dict[CallName, str] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)

    def pinned(self, name: str, nth: int) -> str | None:
        """Return the output given for the nth call of this name, or None; asked once for each call.

        Raises:
            UsageError: the name was given without saying which, and this is a second call of it.
        """
        return self._find(self.sets, "--set", name, nth)

    def answer(self, name: str, nth: int) -> str | None:
        """Return the answer given ahead for the nth wait of this name, or None; raises as `pinned`."""
        return self._find(self.answers, "--answer", name, nth)

    def _find(self, given: dict[CallName, str], option: str, name: str, nth: int) -> str | None:
        for wanted, value in given.items():
            used = f"{option} {wanted}" in self.reached
            if wanted.name != name or wanted.nth not in (None, 0, nth) or (wanted.nth and used):
                continue
            if wanted.nth is None and used:
                raise UsageError(
                    f"{option} {name} does not say which: the run comes to {name} more than once",
                    hint=f"write {name}#1, {name}#2, or {name}#* for all",
                )
            self.reached.add(f"{option} {wanted}")
            return value
        return None

    def unreached(self) -> list[str]:
        """Return the options that nothing came to."""
        given = [f"--set {name}" for name in self.sets] + [f"--answer {name}" for name in self.answers]
        return [option for option in given if option not in self.reached]


class Place(NamedTuple):
    """Where a new call or wait stands: what its record says of it."""

    order: int
    occurrence: int
    after: int | None = None


class Plan:
    """What one execution of a run may take from the record.

    Args:
        state: the run's state so far, its source's shared part included.
        runs: the run and the runs it branched from, where recorded values are looked for.
        overrides: what a replay sets.
        dynamic: the branch leaves its source at the first call that does not match, which is not known yet.
        kept_until: for `--from X`, the name X: before it, calls are kept although their inputs changed.
    """

    def __init__(
        self,
        state: RunState,
        runs: Sequence[str],
        overrides: Overrides,
        *,
        dynamic: bool = False,
        kept_until: str = "",
    ) -> None:
        doomed = state.doomed
        self.runs = list(runs)
        self.overrides = overrides
        self.dynamic = dynamic
        self._run = state.run
        self._kept_until = kept_until
        views = state.ordered_calls
        self.lock = threading.RLock()
        """Held by whoever decides a call or a wait: what is taken and counted here is for one at a time."""
        self._views = views
        self._missing: dict[str, list[int]] = {}
        self._unmade = state.unmade
        self._kept = [v for v in views if v.id not in doomed]
        self.claims = Claims(self._kept, numbered=state.start.source is None)
        self._redo = Claims(v for v in views if v.id in doomed)
        self._waits = {w.record.digest: w for w in state.ordered_waits}
        self._asked: set[int] = set()
        self._made: Counter[str] = Counter()
        self._repeats: dict[Identity, list[int]] = {}
        self._latest = 0
        self._furthest = -1
        self._not_asked_for: list[CallView] = []
        self.recount(state)

    def recount(self, state: RunState) -> None:
        """Count orders and occurrences anew from the state; done again when a branch leaves its source."""
        finished = [v for v in state.calls.values() if v.record is not None]
        known = {v.order for v in finished} | state.waits.keys()
        self._sequence = [order for order in state.sequence if order in known]
        self._positions = {order: i for i, order in enumerate(self._sequence)}
        self._next_order = max([0, *known, (state.cut or 1) - 1]) + 1
        self._occurrences: dict[str, int] = {}
        for view in finished:  # all their orders are known already
            if view.occurrence > self._occurrences.get(view.name, 0):
                self._occurrences[view.name] = view.occurrence
        for wait in state.waits.values():
            self._saw(wait.record.name, wait.record.order, wait.record.occurrence)

    def _saw(self, name: str, order: int, occurrence: int) -> None:
        if occurrence > self._occurrences.get(name, 0):
            self._occurrences[name] = occurrence
        if order >= self._next_order:
            self._next_order = order + 1

    def _passed(self, order: int) -> None:
        """Note that the execution came to the call or wait of this order."""
        self._latest = order
        position = self._positions.get(order, -1)
        if position > self._furthest:  # noqa: PLR1730 - no call of `max` for each of thousands
            self._furthest = position

    def repeat(self, wanted: Identity) -> int:
        """Count one more call that is to execute; return the lowest number that no call of its identity has had."""
        taken = self._repeats.get(wanted)
        if taken is None:
            taken = self._repeats[wanted] = self._recorded_repeats(wanted)
        if len(taken) > 1:
            return taken.pop()
        taken[0] += 1
        return taken[0] - 1

    def _recorded_repeats(self, wanted: Identity) -> list[int]:
        """Return the number after the last one recorded of an identity, then those below it that are free, falling."""
        if not self.claims.knows(wanted):
            return [0]
        same = [v.record for v in self._kept if v.record is not None and identity_of(v.record) == wanted]
        taken = {record.repeat for record in same}
        end = max(taken, default=-1) + 1
        return [end, *(n for n in reversed(range(end)) if n not in taken)]

    # -- places ------------------------------------------------------------------------------------------------

    def made(self, name: str) -> int:
        """Count one more call of this name in this execution; return how many there are."""
        count = self._made[name] = self._made[name] + 1
        return count

    @property
    def is_spent(self) -> bool:
        """Whether nothing recorded or given is left that could bear on a call: every one that is made now is new."""
        return not (self.claims.left or self._redo.left or self.dynamic or self._kept_until or self.overrides.sets)

    def place(self, name: str, redo: Identity | None = None) -> Place:
        """Return the place of a new call or wait.

        A call that runs again after it ended the run keeps the place it had; `redo` is its identity.
        """
        if redo is not None and self._redo.left:
            again = self._redo.exact(redo) or self._redo.next_of(redo[0], redo[1])
            if again is not None:
                return self.place_of(name, again.order, again.occurrence)
        order = self._next_order
        after = self._latest if self._sequence and self._latest != self._sequence[-1] else None
        if after is None:
            self._positions[order] = len(self._sequence)
            self._sequence.append(order)
        return self.place_of(name, order, self._occurrences.get(name, 0) + 1, after)

    def runs_again(self, wanted: Identity) -> bool:
        """Tell whether a call is recorded as failed, and is to execute once more in its own place."""
        return self._redo.holds(wanted)

    def cut_short(self, scope: str, name: str) -> Place | None:
        """Return the place of a call that had been made, at the same time as others, and was cut short by a crash.

        Numbers are given when calls are made: one that is missing below that of the next recorded call of the name is
        of a call that was in flight when that one ended.
        """
        if not self.claims.has(scope, name):
            return None
        left, missing = self.claims.unclaimed(scope, name), self._missing_of(name)
        occurrence = next((n for n in missing if self._unmade.get((name, n), scope) == scope), None)
        if occurrence is None or occurrence >= left[0].occurrence:
            return None
        missing.remove(occurrence)
        order = self._free_order(name, occurrence)
        if order is None:
            return None
        insort(self._sequence, order)
        self._positions = {order: i for i, order in enumerate(self._sequence)}
        return self.place_of(name, order, occurrence)

    def _missing_of(self, name: str) -> list[int]:
        """Return the occurrences of a name below the last one recorded that no record has, rising."""
        found = self._missing.get(name)
        if found is None:
            taken = {view.occurrence for view in self._views if view.name == name}
            found = self._missing[name] = [n for n in range(1, max(taken, default=0)) if n not in taken]
        return found

    def _free_order(self, name: str, occurrence: int) -> int | None:
        """Return the first order that nothing recorded has, between those of the occurrences before and after."""
        same = [(view.occurrence, view.order) for view in self._views if view.name == name]
        low = max((order for nth, order in same if nth < occurrence), default=0)
        high = min((order for nth, order in same if nth > occurrence), default=0)
        return next((order for order in range(low + 1, high) if order not in self._positions), None)

    def reserve(self, scope: str, name: str) -> Place | None:
        """Keep a place for a call that is decided later; None where a record or an override may settle its place."""
        settled = self.dynamic or self._kept_until or self.overrides.sets
        if settled or self.claims.has(scope, name) or self._redo.has(scope, name):
            return None
        return self.place(name)

    def place_of(self, name: str, order: int, occurrence: int, after: int | None = None) -> Place:
        """Take a place that is known: that of a call or wait which another one stands for."""
        self._saw(name, order, occurrence)
        self._passed(order)
        return Place(order, occurrence, after)

    def nearest(self, views: Sequence[CallView], nth: int) -> CallView:
        """Return which of these records of one name stands nearest to the place that the execution has come to.

        Args:
            views: in call order; one at least.
            nth: the how-manieth call of the name the live one is.
        """
        same = [view for view in views if view.occurrence == nth]
        here = self._positions.get(self._latest, -1)
        later = [view for view in views if self._positions.get(view.order, -1) > here]
        return [*same, *later, views[-1]][0]

    # -- what is shared with the source --------------------------------------------------------------------------

    def claimed(self, view: CallView | WaitView, order: int) -> None:
        """Note that a recorded call or wait was taken."""
        self._passed(order)
        if self._kept_until and view.run == self._run:
            self.reached_branch(view.record.name if view.record is not None else "")

    def next_kept(self, scope: str, name: str) -> CallView | None:
        """Take the next shared call of this name although its inputs changed, where `--from` consents to that."""
        return self.next_shared(scope, name) if self._kept_until else None

    def next_shared(self, scope: str, name: str) -> CallView | None:
        """Take the next shared call of this name, whatever its inputs were."""
        for view in self.claims.unclaimed(scope, name):
            if view.run != self._run:
                return self.claims.take(view)
        return None

    def pinned_before(self, scope: str, name: str, output: str) -> CallView | None:
        """Take this run's own record of a call that was given this output already."""
        for view in self.claims.unclaimed(scope, name):
            record = view.record
            if record is not None and view.run == self._run and (record.how, record.output) == ("pinned", output):
                return self.claims.take(view)
        return None

    def reached_branch(self, name: str) -> None:
        """The execution came to the call that the branch begins at: what is left of the source is not shared."""
        if name == self._kept_until:
            self._drop_shared(len(self._sequence))
            self._kept_until = ""

    def unclaimed(self) -> list[CallView]:
        """Return the recorded calls that this execution did not make, in call order."""
        views = [*self._not_asked_for, *self.claims.rest()]
        return sorted(views, key=lambda view: self._positions.get(view.order, len(self._positions)))

    def branch(self, at: int | None) -> int:
        """Leave the source here, or before the call or wait of order `at`; return the cut."""
        self.dynamic = False
        if at is None:
            here = self._furthest + 1
            at = self._sequence[here] if here < len(self._sequence) else self._next_order
        self._drop_shared(self._positions.get(at, len(self._sequence)))
        return at

    def _drop_shared(self, end: int) -> None:
        """Reuse no more of the source. What of it stands before position `end` and nobody took is worth telling."""
        foreign = [v for v in self.claims.rest() if v.run != self._run]
        self._not_asked_for += [v for v in foreign if self._positions[v.order] < end]
        for view in foreign:
            self.claims.take(view)
        self._redo.drop(lambda view: view.run != self._run)
        self._waits = {d: w for d, w in self._waits.items() if w.run == self._run}

    # -- waits ---------------------------------------------------------------------------------------------------

    def wait(self, digest: str) -> WaitView | None:
        """Take the recorded wait with this digest, open or answered."""
        view = self._waits.pop(digest, None)
        if view is not None:
            self._asked.add(view.record.order)
        return view

    def kept_wait(self, name: str) -> WaitView | None:
        """Take the next shared, answered wait of this name although what it showed changed, where `--from` consents."""
        if self._kept_until:
            for digest, view in self._waits.items():
                if view.record.name == name and view.run != self._run:
                    return self._waits.pop(digest)
        return None

    def unasked(self, state: RunState) -> list[int]:
        """Return the orders of open waits that this execution did not ask."""
        return [w.record.order for w in state.open_waits if w.record.order not in self._asked]

    def asks(self, order: int) -> None:
        """Note that the wait at this order was asked anew."""
        self._asked.add(order)
