"""Schedules: what is to be invoked when, each a numbered log of write-once names in `schedules/<name>/`.

Owns: what an entry says, and how the log is read and added to; the last entry is what holds. Knows nothing of clocks
and calendars: when a schedule is due is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged
from kitaru.model.moments import is_moment
from kitaru.store import layout
from kitaru.store.names import MAX_NAME, claim, escaped_names, numbers, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.blobs.contract import Blobs, Workspace

ACTIVE, PAUSED, REMOVED = "active", "paused", "removed"
STATES = (ACTIVE, PAUSED, REMOVED)
CATCH_UP = ("none", "last", "all")

SCHEDULE_SHAPE: dict[str, type] = {
    "state": str,
    "target": str,
    "inputs": str,
    "cron": str,
    "tz": str,
    "catch_up": str,
    "at": int,
    "by": str,
    "note": str,
    "nonce": str,
}


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """One entry of a schedule's log.

    Attributes:
        n: its number, from 1.
        state: `active`, `paused` or `removed`.
        target: what is invoked: `research_agent@stable`.
        inputs: id of a value: parameter name to value.
        cron: when, as five fields.
        tz: the time zone that these are of, such as `Europe/Berlin`.
        catch_up: what becomes of times that nobody was there for: `none`, `last` or `all` of them is invoked late.
        at: when the entry was written, microseconds since 1970 UTC: ticks count from then on.
    """

    schedule: str
    n: int
    state: str
    target: str
    inputs: str
    cron: str
    tz: str
    catch_up: str
    at: int
    by: str
    note: str
    nonce: str = ""

    def fields(self) -> dict[str, Any]:
        """Return what its name says."""
        return {name: getattr(self, name) for name in SCHEDULE_SHAPE}


def schedule_names(blobs: Workspace) -> list[str]:
    """Return the names of all schedules there ever were, sorted.

    Raises:
        Damaged: a directory that stands for no name.
    """
    return escaped_names(blobs, layout.SCHEDULES)


def schedule_log(blobs: Blobs, schedule: str) -> list[ScheduleEntry]:
    """Return the entries of a schedule's log, in order; empty if there is no such schedule.

    Raises:
        Damaged: an entry cannot be read.
    """
    return [_entry(blobs, schedule, n) for n in numbers(blobs, layout.schedule_key(schedule))]


def last_entry(blobs: Blobs, schedule: str) -> ScheduleEntry | None:
    """Return the entry that holds, or None; raises as `schedule_log`."""
    found = numbers(blobs, layout.schedule_key(schedule))
    return _entry(blobs, schedule, found[-1]) if found else None


def parse_entry(schedule: str, n: int, data: bytes, where: str) -> ScheduleEntry:
    """Return the entry that a name's bytes tell of.

    Raises:
        Damaged: they are no such name.
    """
    fields = unpack(data, SCHEDULE_SHAPE, where)
    check_entry(fields, where)
    return ScheduleEntry(schedule, n, **fields)


def check_entry(fields: Mapping[str, Any], where: str) -> None:
    """Raise Damaged if the fields of such a name say what they cannot: it may come from anywhere."""
    if fields["state"] not in STATES or fields["catch_up"] not in CATCH_UP:
        raise Damaged(where, "has a state, or a way to catch up, that this version does not know")
    if not layout.is_object_id(fields["inputs"]) or not is_moment(fields["at"]):
        raise Damaged(where, "names no inputs, or no time")


def put_entry(blobs: Workspace, entry: ScheduleEntry) -> tuple[bool, ScheduleEntry]:
    """Add an entry under its number: whether it won, and the one that stands there."""
    won, standing = claim(blobs, layout.schedule_key(entry.schedule, entry.n), entry.fields(), SCHEDULE_SHAPE)
    return won, ScheduleEntry(entry.schedule, entry.n, **standing)


def _entry(blobs: Blobs, schedule: str, n: int) -> ScheduleEntry:
    key = layout.schedule_key(schedule, n)
    return parse_entry(schedule, n, blobs.get(key, limit=MAX_NAME), blobs.where(key))
