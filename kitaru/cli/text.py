"""Words of the command line: how times and spans are typed, ids and errors written; and those that the inbox shares.

Pure. Making a text harmless, measuring and shortening it is `kitaru.text`.
"""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.errors import UsageError
from kitaru.model.moments import to_datetime
from kitaru.text import age, cells, clean, clean_source, clip, duration, local_time, one_line, size

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "age",
    "cells",
    "clean",
    "clean_source",
    "clip",
    "counted",
    "duration",
    "error_name",
    "iso",
    "local_time",
    "one_line",
    "short",
    "since",
    "size",
    "sleeps",
    "span",
    "users_frames",
]

SHORT_ID = 12
"""Hex digits of an object id on a line; any unique prefix is understood, so these can be typed back."""

_PACKAGE = Path(__file__).parents[1]
_SPAN = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def short(object_id: str | None) -> str:
    """Return an object id as shown on a line."""
    return object_id[:SHORT_ID] if object_id else "-"


def error_name(recorded: Mapping[str, Any]) -> str:
    """Return a recorded error's class as Python writes it: `ValueError`, `agents.errors.RateLimitError`."""
    return str(recorded.get("type", "")).removeprefix("builtins:").replace(":", ".")


def users_frames(traceback: str) -> str:
    """Return a traceback's text without the frames of kitaru itself, which tell a user nothing."""
    kept, skipping = [], False
    for line in traceback.split("\n"):
        if line.startswith('  File "'):
            skipping = line.startswith(f'  File "{_PACKAGE}{os.sep}')
        elif not line.startswith("    "):
            skipping = False
        if not skipping:
            kept.append(line)
    return "\n".join(kept)


def counted(count: int, one: str, many: str = "") -> str:
    """Return how many there are of something: `1 run`, `2 runs`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def sleeps(until_us: int, now_us: int) -> str:
    """Return what is told of a run that sleeps: `sleeps until 2026-03-01 12:00:00+01:00 (2 h 05)`."""
    if until_us <= now_us:
        return f"has slept until {local_time(until_us)}, and is to be resumed"
    return f"sleeps until {local_time(until_us)} (for {duration(until_us - now_us)})"


def iso(microseconds: int) -> str | None:
    """Return a time as JSON holds it: ISO 8601, UTC, with microseconds; None for 0, which stands for never.

    A store may say anything: what no calendar has is told as the nearest that it has.
    """
    return to_datetime(microseconds).isoformat() if microseconds else None


def span(text: str) -> int:
    """Read `7d`, `12h`, `30m` or `0s` as microseconds.

    Raises:
        UsageError: it is none of these.
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a span of time", hint="write 7d, 12h, 30m or 0s")
    return int(match[1]) * _UNITS[match[2]] * 1_000_000


def since(text: str, now_us: int) -> int:
    """Read `7d`, `12h`, `30m`, or an ISO date or time (local where it names no zone), as microseconds since 1970.

    Raises:
        UsageError: it is none of these.
    """
    if _SPAN.fullmatch(text.strip()):
        return now_us - span(text)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a time", hint="write 7d, 12h, 30m, 2026-03-01 or 2026-03-01T12:00"
        ) from error
    return int(moment.timestamp() * 1_000_000)
