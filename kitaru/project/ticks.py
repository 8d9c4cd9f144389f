"""When a schedule is due: the arithmetic of cron lines, time zones and times that nobody was there for.

Owns: which moments a schedule names, which of them are to be invoked now, and what the invocation of one is called.
Pure: the time is given.

A day on which the clock goes forward lacks an hour, and what is due in it is due when the hour is over; one on which
it goes back has an hour twice, of which the first counts (for jobs at a set hour; those that are due every few minutes
or hours go on through both). So it is in Debian's cron, which `cronsim` follows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from kitaru.errors import UsageError
from kitaru.model.ids import new_run_id
from kitaru.model.moments import from_datetime, to_datetime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from zoneinfo import ZoneInfo

GRACE_US = 60_000_000
"""A tick is late, and no longer simply due, so long after its time: a worker looks about once a second."""
MAX_CAUGHT_UP = 1000
"""Ticks that `all` catches up at most: the latest ones."""
_MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron line and the time zone it is of.

    Args:
        line: five fields, as crontab(5) has them.
        tz: a name of the IANA database, such as `Europe/Berlin`.
    """

    line: str
    tz: str

    def check(self) -> None:
        """Raise UsageError if the line, or the zone, is none, or names no moment that ever comes."""
        _zone(self.tz)
        if len(self.line.split()) != 5:
            raise UsageError(
                f"{self.line!r} is no cron line of five fields",
                hint='write minute hour day month weekday, as in "0 9 * * 1-5"',
            )
        if not self.first_after(0):
            raise UsageError(f"{self.line!r} never comes", hint="kitaru schedule add NAME FLOW --cron '0 9 * * 1-5'")

    def first_after(self, at_us: int) -> int:
        """Return the next moment after one, microseconds since 1970 UTC; 0 if none ever comes.

        Raises:
            UsageError: it is no cron line, or no time zone.
        """
        return next(self._walk(at_us, reverse=False), 0)

    def latest(self, after_us: int, until_us: int) -> list[int]:
        """Return the moments after one and up to another, in order; of more than a thousand, the latest."""
        moments = takewhile(lambda moment: moment > after_us, self._walk(until_us + _MINUTE_US, reverse=True))
        return list(islice((moment for moment in moments if moment <= until_us), MAX_CAUGHT_UP))[::-1]

    def _walk(self, from_us: int, *, reverse: bool) -> Iterator[int]:
        from cronsim import CronSim, CronSimError

        try:
            found = CronSim(self.line, local(from_us, self.tz), reverse)
        except CronSimError as error:
            raise UsageError(
                f"{self.line!r} is no cron line: {error}", hint='write it as in "0 9 * * 1-5", or "*/15 * * * *"'
            ) from error
        return (from_datetime(moment.astimezone(UTC)) for moment in found)


@lru_cache(64)
def _zone(name: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:  # KeyError is of a zone that is not there
        raise UsageError(f"there is no time zone {name!r}", hint="write it as Europe/Berlin, or UTC") from error


def due_ticks(cron: Cron, catch_up: str, since_us: int, now_us: int, looked_us: int = 0) -> list[int]:
    """Return the ticks that are to be invoked now, in order.

    Args:
        cron: when they are.
        catch_up: of those that are late, `none`, the `last`, or `all` (at most 1000) are invoked.
        since_us: only ticks after this moment; those up to it are settled.
        now_us: the time.
        looked_us: when it was asked before, by who has been there ever since: what came after that is not late.
    """
    ticks = cron.latest(since_us, now_us)
    late_us = now_us - GRACE_US
    late_us = min(looked_us, late_us) if looked_us else late_us
    in_time = [tick for tick in ticks if tick > late_us]
    if catch_up == "all":
        return ticks
    if catch_up == "last":
        return in_time or ticks[-1:]
    return in_time


def tick_id(schedule: str, tick_us: int) -> str:
    """Return what the invocation of a tick is called, and so its run: the same wherever the tick is noticed."""
    digest = hashlib.sha256(f"{tick_us} {schedule}".encode("utf-8", "surrogatepass")).digest()
    return new_run_id(lambda n: digest[:n])


def zone_of_machine() -> str:
    """Return the name of the time zone that this machine is set to; UTC where it has none that has a name."""
    import os
    from pathlib import Path

    named = os.environ.get("TZ", "").lstrip(":")
    if not named:
        place = str(Path("/etc/localtime").resolve())
        named = place.partition("zoneinfo/")[2]
    try:
        _zone(named or "UTC")
    except UsageError:
        return "UTC"
    return named or "UTC"


def local(at_us: int, tz: str) -> datetime:
    """Return a moment in a time zone."""
    return to_datetime(at_us).astimezone(_zone(tz))
