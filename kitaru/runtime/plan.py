"""What an execution may reuse, in which place of call order new calls stand, and what a replay overrides.

Owns: the claims on recorded calls and waits, where a branch leaves its source, and the counting of orders and
occurrences. Decides nothing about drift and writes nothing; the engine asks it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kitaru.errors import UsageError
from kitaru.model.ids import CallName
from kitaru.model.matching import Claims, Identity

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
        """Return the output given for the nth call of this name, or None.

        Raises:
            UsageError: the name was given without saying which, and this is a second call of it.
        """
        return self._find(self.sets, "--set", name, nth)

    def answer(self, name: str, nth: int) -> str | None:
        """Return the answer given ahead for the nth wait of this name, or None; raises as `pinned`."""
        return self._find(self.answers, "--answer", name, nth)

    def _find(self, given: dict[CallName, str], option: str, name: str, nth: int) -> str | None:
        for wanted, value in given.items():
            if wanted.name != name or wanted.nth not in (None, 0, nth):
                continue
            if wanted.nth is None and nth > 1:
                raise UsageError(
                    f"{option} {name} does not say which: the run comes to {name} more than once",
                    hint=f"write {name}#1, {name}#{nth}, or {name}#* for all",
                )
            self.reached.add(f"{option} {wanted}")
            return value
        return None

    def unreached(self) -> list[str]:
        """Return the options that nothing came to."""
        given = [f"--set {name}" for name in self.sets] + [f"--answer {name}" for name in self.answers]
        return [option for option in given if option not in self.reached]


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
        self.claims = Claims(v for v in views if v.id not in doomed)
        self._redo = Claims(v for v in views if v.id in doomed)
        self._waits = {w.record.digest: w for w in state.waits.values()}
        self._asked: set[int] = set()
        self._made: Counter[str] = Counter()
        self._highest_claimed = 0
        self.recount(state)

    def recount(self, state: RunState) -> None:
        """Count orders and occurrences anew from the state; done again when a branch leaves its source."""
        self._next_order = max([0, *state.calls, *state.waits, (state.cut or 1) - 1]) + 1
        self._occurrences: dict[str, int] = {}
        for view in state.calls.values():
            self._saw(view.name, view.occurrence)
        for wait in state.waits.values():
            self._saw(wait.record.name, wait.record.occurrence)

    def _saw(self, name: str, occurrence: int) -> None:
        self._occurrences[name] = max(self._occurrences.get(name, 0), occurrence)

    # -- places ------------------------------------------------------------------------------------------------

    def made(self, name: str) -> int:
        """Count one more call of this name in this execution; return how many there are."""
        self._made[name] += 1
        return self._made[name]

    def made_so_far(self, name: str) -> int:
        """Return how many calls of this name this execution has made."""
        return self._made[name]

    def place(self, name: str, redo: Identity | None = None) -> tuple[int, int]:
        """Return call order and occurrence for a new call or wait.

        A call that runs again after it ended the run keeps the place it had; `redo` is its identity.
        """
        if redo is not None:
            again = self._redo.exact(redo) or self._redo.next_of(redo[0], redo[1])
            if again is not None:
                return again.order, again.occurrence
        order = self._next_order
        self._next_order += 1
        occurrence = self._occurrences[name] = self._occurrences.get(name, 0) + 1
        return order, occurrence

    # -- what is shared with the source --------------------------------------------------------------------------

    def claimed(self, view: CallView | WaitView, order: int) -> None:
        """Note that a recorded call or wait was taken."""
        self._highest_claimed = max(self._highest_claimed, order)
        if view.run == self._run:
            self.reached_branch(view.record.name if view.record is not None else "")

    def next_kept(self, name: str) -> CallView | None:
        """Take the next shared call of this name although its inputs changed, where `--from` consents to that."""
        if not self._kept_until:
            return None
        return self.next_shared(name)

    def next_shared(self, name: str) -> CallView | None:
        """Take the next shared call of this name, whatever its inputs were."""
        for view in self.claims.unclaimed("", name):
            if view.run != self._run:
                return self.claims.take(view)
        return None

    def reached_branch(self, name: str) -> None:
        """The execution came to the call that the branch begins at: what is left of the source is not shared."""
        if name == self._kept_until:
            self._drop_shared()
            self._kept_until = ""

    def branch(self, at: int | None) -> int:
        """Leave the source here, or before the call at order `at`; return the cut."""
        self.dynamic = False
        self._drop_shared()
        return at if at is not None else self._highest_claimed + 1

    def _drop_shared(self) -> None:
        self.claims.drop(lambda view: view.run != self._run)
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
