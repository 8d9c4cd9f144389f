"""What else a flow's body may ask for so that it comes out the same on resume and replay: time, ids, chance, sleep.

Owns: the public functions, their names in the record, and what they are outside of a run. In a run `now`, `uuid4` and
`random` are calls as any other, under names that no checkpoint can have; inside a checkpoint, and where no run
executes, they are the ordinary values.
"""

from __future__ import annotations

import math
import os
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from kitaru.errors import UsageError
from kitaru.model.ids import OWN, display_call
from kitaru.model.moments import from_datetime, to_datetime
from kitaru.runtime.context import active_call, current_engine, executing_runs, warn_if_beside
from kitaru.runtime.decorators import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    from kitaru.runtime.engine import Engine

    P = ParamSpec("P")
    R = TypeVar("R")


def _recorded(fn: Callable[P, R]) -> Checkpoint[P, R]:
    """Return a function as a checkpoint under a name of Kitaru's own."""
    made = Checkpoint(fn)
    made.name = OWN + fn.__name__.removeprefix("_")
    return made


def _now_us() -> int:
    engine = current_engine.get()
    return engine.now() if engine is not None else time.time_ns() // 1000


def _random_bytes(n: int) -> bytes:
    engine = current_engine.get()
    return engine.services.random_bytes(n) if engine is not None else os.urandom(n)


@_recorded
def _now() -> datetime:
    return to_datetime(_now_us())


@_recorded
def _uuid4() -> UUID:
    return UUID(bytes=_random_bytes(16), version=4)


@_recorded
def _random() -> float:
    return (int.from_bytes(_random_bytes(7), "big") >> 3) / (1 << 53)


def now() -> datetime:
    """Return the time, aware, in UTC: in a flow's body the one that was recorded when the body first came here."""
    return _now()


def uuid4() -> UUID:
    """Return a random UUID: in a flow's body the one that was recorded when the body first came here."""
    return _uuid4()


def random() -> float:
    """Return a random number from 0 up to but not 1: in a flow's body the recorded one, as `uuid4`."""
    return _random()


def sleep(seconds: float | timedelta | None = None, *, until: datetime | None = None) -> None:
    """Let time pass. When it is over is recorded when it begins, so that neither a crash nor a resume makes it longer.

    For a sleep of more than five seconds (or `--stay`) the run lets the process go: it waits, and `kitaru resume`
    carries it on once the time has come. Inside a checkpoint, and where no run executes, it blocks.

    Args:
        seconds: how long, in seconds or as a timedelta.
        until: instead, a moment with a time zone; take it from `kitaru.now()`, not from the clock, or it is another
            sleep at every resume.

    Raises:
        UsageError: neither or both are given, a negative length, a moment without a time zone, or an event loop
            executes here, which `sleep_async` does not block.
    """
    for_us, until_us = _wanted(seconds, until)
    _refuse_on_loop()
    engine = _engine_here()
    if engine is not None:
        engine.sleeps.sleep(for_us, until_us)
    else:
        time.sleep(_left_s(for_us, until_us))


async def sleep_async(seconds: float | timedelta | None = None, *, until: datetime | None = None) -> None:
    """Let time pass as `sleep` does, for one task of an event loop; arguments and errors are the same."""
    import asyncio

    for_us, until_us = _wanted(seconds, until)
    engine = _engine_here()
    if engine is not None:
        await engine.sleeps.sleep_async(for_us, until_us)
    else:
        await asyncio.sleep(_left_s(for_us, until_us))


def _engine_here() -> Engine | None:
    """Return the run in whose body this is called; None inside a checkpoint and where no run executes."""
    engine = current_engine.get()
    if engine is None and executing_runs:
        warn_if_beside("kitaru.sleep")
    return engine if active_call.get() is None else None


def _wanted(seconds: float | timedelta | None, until: datetime | None) -> tuple[int | None, int | None]:
    if (seconds is None) == (until is None):
        raise UsageError("kitaru.sleep() takes either a length or until=", hint="kitaru.sleep(60)")
    if until is not None:
        if until.tzinfo is None:
            hint = "give it one, or sleep until kitaru.now() + timedelta(...)"
            raise UsageError(f"kitaru.sleep(until={until}) has no time zone", hint=hint)
        return None, from_datetime(until)
    length = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    if length is None or not 0 <= length < _LONGEST_S:
        raise UsageError(f"kitaru.sleep({seconds!r}) is no length of time", hint="give seconds, 0 or more")
    return int(length * 1_000_000), None


_LONGEST_S = 1000 * 366 * 86400.0


def _left_s(for_us: int | None, until_us: int | None) -> float:
    left = for_us if for_us is not None else (until_us or 0) - _now_us()
    return max(left, 0) / 1_000_000


def _refuse_on_loop() -> None:
    import sys

    native = sys.modules.get("_asyncio")  # a program without it runs no loop, and need not pay for the import
    if native is not None and native._get_running_loop() is not None:
        raise UsageError("kitaru.sleep() would block the event loop", hint="await kitaru.sleep_async(...)")


def progress(
    message: str = "",
    *,
    percent: float | None = None,
    current: float | None = None,
    total: float | None = None,
) -> None:
    """Tell how far the work is, to who watches or follows the run; kept with the call's output.

    What does not change the text is told once: it may be called in a loop. Where no run executes it does nothing.

    Args:
        message: what is being done.
        percent: how much of it, from 0 to 100; by default what `current` is of `total`.
        current: how many of them.
        total: how many there are.
    """
    engine = current_engine.get()
    if engine is None:
        return
    if percent is None and current is not None and total:
        percent = 100 * current / total
    call = active_call.get()
    if percent is not None and not math.isfinite(percent):  # of a total of infinity, say: not known
        percent = None
    whole = None if percent is None else int(percent)
    told = (message, whole, None if whole is not None else current)
    if call is not None:
        if call.progressed == told:
            return
        call.progressed = told
        call.keep_output(engine.now(), "progress", _told(message, whole, current, total) + "\n")
    label = display_call(call.name, call.occurrence) if call is not None else ""
    engine.emit(
        "progress",
        call=label,
        order=call.order if call is not None else 0,
        message=message,
        percent=percent,
        current=current,
        total=total,
        text=_told(message, whole, current, total),
    )


def _told(message: str, percent: int | None, current: float | None, total: float | None) -> str:
    parts = [message] if message else []
    if current is not None:
        parts.append(f"{current:g}/{total:g}" if total is not None else f"{current:g}")
    if percent is not None:
        parts.append(f"{percent}%")
    return "  ".join(parts)
