"""Comparing: two runs call by call, two calls, and the values in which they differ.

Owns: these verbs, and reading both sides of a value. What counts as a difference is `project.differences`, where two
values differ is `runtime.difference`. What has equal ids is never read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import UnknownCall, UsageError
from kitaru.model.alignment import Pair, View
from kitaru.model.ids import parse_call, parse_revision
from kitaru.project import finding
from kitaru.project.differences import RunDiff, ValueChange, compare_runs, compare_steps, numbers
from kitaru.project.reading import Reading

if TYPE_CHECKING:
    from kitaru.model.history import RunState
    from kitaru.model.ids import CallName
    from kitaru.runtime.difference import Parts

MAX_PARTS = 1_000
"""Parts of one value that are told."""


class Comparing(Reading):
    """A project as its runs are compared."""

    def diff(self, old: str, new: str | None = None, *, call: str = "") -> RunDiff:
        """Compare two runs, or a call or wait in one with one in the other.

        Args:
            old: any revision that names a run or, as `RUN:call`, a step of it; a replay alone is compared with its
                source.
            new: the same; one that names no call means the call of that name.
            call: only the steps of this name: `fetch`, `fetch#2`.

        Raises:
            UsageError: a run alone that branched from no other.
            UnknownRun, UnknownCall, BadRevision, AmbiguousRevision
        """
        if new is None:
            old, new = self._with_source(old)
        before, after = (self.state(self.find_run(text)) for text in (old, new))
        named = [parse_revision(text).call for text in (old, new)]
        if any(named):
            first, second = (_step(s, n) for s, n in zip((before, after), _both(named), strict=True))
            return RunDiff(before, after, [], [], [compare_steps(Pair(first, second))])
        return compare_runs(before, after, call=parse_call(call) if call else None)

    def _with_source(self, text: str) -> tuple[str, str]:
        state = self.state(self.find_run(text))
        source = (state.start.source or {}).get("run")
        if not isinstance(source, str):
            raise UsageError(
                f"run {state.run} branched from no other: compare it with what?", hint=f"kitaru diff OTHER {state.run}"
            )
        named = text.partition(":")[1:]
        return "".join((source, *named)), text

    def numbers(self, diff: RunDiff) -> dict[str, tuple[float, float]]:
        """Return what the calls in which two runs differ noted in numbers, such as tokens: name to both sums."""
        return numbers(diff, self.value)

    def differing_parts(self, change: ValueChange, diff: RunDiff, limit: int = MAX_PARTS) -> Parts:
        """Return the parts in which both sides of a value differ.

        Args:
            change: one of the comparison `diff`.

        Raises:
            UnknownObject, Damaged
        """
        from kitaru.runtime.difference import MISSING, parts_of

        decoder = self.values.decoder(diff.runs, opaque=True)
        found = decoder.decode_together([i for i in (change.was, change.now) if i])
        return parts_of(change.name or change.what, *_sides(change, found, MISSING), limit)


def _sides(change: ValueChange, found: list[object], missing: object) -> tuple[object, object]:
    if change.was and change.now:
        return found[0], found[1]
    return (found[0], missing) if change.was else (missing, found[0])


def _both(named: list[CallName | None]) -> list[CallName]:
    first, second = named
    given = first or second
    assert given is not None  # noqa: S101 - the caller has looked
    return [first or given, second or given]


def _step(state: RunState, wanted: CallName) -> View:
    try:
        return finding.find_call(state, wanted)
    except UnknownCall:
        found = finding.find_wait(state, wanted)
        if found is None:
            raise
        return found
