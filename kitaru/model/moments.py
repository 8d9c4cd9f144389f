"""Moments: microseconds since 1970 UTC, and how they are written in messages.

Owns: the conversions. Knows no clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000
_LAST_US = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def is_moment(at_us: int) -> bool:
    """Tell whether a number of microseconds is a moment that the calendar of every zone has: up to the year 9999."""
    return 0 <= at_us <= _LAST_US - _DAY_US


def to_datetime(at_us: int) -> datetime:
    """Return a moment as an aware datetime in UTC; one that no datetime can hold, as the nearest that can."""
    return _EPOCH + timedelta(microseconds=min(max(at_us, 0), _LAST_US))


def from_datetime(moment: datetime) -> int:
    """Return an aware datetime as microseconds since 1970 UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def utc_text(at_us: int) -> str:
    """Return a moment as messages tell it, to the second: `2026-03-01 12:00:00 UTC`."""
    return to_datetime(at_us).strftime("%Y-%m-%d %H:%M:%S UTC")
