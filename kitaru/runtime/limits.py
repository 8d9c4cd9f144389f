"""Limits of a run: how many calls it may execute, and for how long.

Owns: what counts, and when a limit is reached. A limit that is given with a run is recorded with it, and holds until a
resume gives another. Calls whose result was recorded already, or came from elsewhere, cost nothing and do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.errors import BadConfig, LimitReached
from kitaru.model.ids import OWN
from kitaru.model.records import Call, Resumed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kitaru.model.history import RunState
    from kitaru.model.records import Stored
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.options import FlowOptions

_UNITS = {"max_calls": 1, "max_seconds": 1_000_000}


def given(max_calls: int | None, max_seconds: float | None) -> dict[str, int]:
    """Return limits as they are recorded: `max_calls`, and `max_us` for seconds, where they were given.

    Raises:
        BadConfig: one of them is not more than nothing.
    """
    found: dict[str, int] = {}
    for option, name, value in (("max_calls", "max_calls", max_calls), ("max_seconds", "max_us", max_seconds)):
        if value is None:
            continue
        if isinstance(value, bool) or not 0 < value < float("inf"):
            raise BadConfig(f"{option} is {value!r}", hint=f"give a number above 0: {option}=100")
        found[name] = int(value * _UNITS[option])
    return found


@dataclass(slots=True)
class Limits:
    """What one execution of a run may still do.

    Attributes:
        max_calls: calls that the run may execute in all, or None.
        max_us: microseconds that it may execute in all, or None.
        made: calls that it has executed.
        until_us: when its time is up, microseconds since 1970 UTC, or None.
    """

    max_calls: int | None = None
    max_us: int | None = None
    made: int = 0
    until_us: int | None = None

    def count(self, engine: Engine, record: Call) -> None:
        """Count a call that is about to execute; raises `RunStopped` where it is one too many, or too late."""
        if self.max_calls is None and self.max_us is None:
            return
        reached = self.time_is_up(engine)
        if self.max_calls is not None and not record.name.startswith(OWN):
            if self.made >= self.max_calls:
                reached = _reached(engine, f"has executed {self.made} calls", f"--max-calls {self.max_calls * 2}")
            self.made += 1
        if reached is not None:
            raise engine.stop(reached)

    def time_is_up(self, engine: Engine) -> LimitReached | None:
        """Return the reason to stop, where the run has executed as long as it may."""
        if self.until_us is None or self.max_us is None or engine.now() < self.until_us:
            return None
        seconds = self.max_us / 1_000_000
        return _reached(engine, f"has executed for {seconds:g} s", f"--max-seconds {seconds * 2:g}")


def _reached(engine: Engine, done: str, more: str) -> LimitReached:
    return LimitReached(f"run {engine.run} {done}, which is its limit", hint=f"kitaru resume {engine.run} {more}")


def limits_of(
    state: RunState, records: Sequence[Stored], options: FlowOptions, now: Mapping[str, int], at_us: int
) -> Limits:
    """Return the limits of an execution: the flow's, unless the run was given others, then or now.

    Args:
        state: the run's state so far.
        records: the run's own records.
        options: the flow's options.
        now: limits given for this execution, as `given` returns them.
        at_us: when the execution begins.
    """
    told: dict[str, Any] = given(options.max_calls, options.max_seconds)
    for limits in (state.start.limits, *(r.limits for r in state.resumed), now):
        told |= {name: value for name, value in limits.items() if type(value) is int}
    max_calls, max_us = told.get("max_calls"), told.get("max_us")
    if max_calls is None and max_us is None:
        return Limits()
    made = {s.record.order for s in records if isinstance(s.record, Call) and _counts(s.record)}
    until = None if max_us is None else at_us + max_us - _executed_us(records)
    return Limits(max_calls, max_us, len(made), until)


def _counts(record: Call) -> bool:
    return record.how == "ran" and not record.name.startswith(OWN)


def _executed_us(records: Sequence[Stored]) -> int:
    """Return how long a run has executed: from its start, and from each time it was taken up, to the last record."""
    total = 0
    began = ended = records[0].record.at if records else 0
    for stored in records:
        if isinstance(stored.record, Resumed):
            total += ended - began
            began = stored.record.at
        ended = stored.record.at
    return total + ended - began
