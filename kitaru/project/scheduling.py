"""Schedules: what is invoked when, and how that is changed.

Owns: adding, pausing, resuming and removing schedules, each an entry of the schedule's log, and telling how they stand.
When one is due is `project.ticks`; making its invocations `project.schedules`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kitaru.config import is_name
from kitaru.errors import Diverged, UnknownSchedule, UsageError
from kitaru.model.moments import utc_text
from kitaru.project.queueing import Queueing
from kitaru.project.schedules import Schedules, last_tick
from kitaru.project.ticks import Cron, tick_id, zone_of_machine
from kitaru.store.schedules import (
    ACTIVE,
    CATCH_UP,
    PAUSED,
    REMOVED,
    ScheduleEntry,
    last_entry,
    put_entry,
    schedule_log,
    schedule_names,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.store.invocations import Invocation


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """How a schedule stands.

    Attributes:
        entry: what holds.
        next_us: when it is due next, microseconds since 1970 UTC; 0 where it never is.
        last_us: the latest tick that was invoked; 0 where none was.
        last_run: the run of that tick; empty where none was.
        wrong: why it never ticks, where this machine cannot read it.
    """

    entry: ScheduleEntry
    next_us: int = 0
    last_us: int = 0
    last_run: str = ""
    wrong: str = ""


class Scheduling(Queueing):
    """A project as its flows are scheduled."""

    def add_schedule(
        self,
        name: str,
        target: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        cron: str,
        tz: str = "",
        catch_up: str = "last",
        text: bool = False,
        documents: Mapping[str, Any] | None = None,
        note: str = "",
    ) -> ScheduleEntry:
        """Have a flow invoked again and again; a worker (`kitaru work`) sees to it.

        Args:
            name: what it is called: letters, digits, `-` and `_`.
            target, inputs, text, documents: as of `enqueue`.
            cron: when: minute, hour, day, month and weekday, as crontab(5) has them.
            tz: the time zone that these are of; this machine's by default.
            catch_up: of ticks that no worker was there for, invoke `none`, the `last` or `all` of them (at most 1000).
            note: why, for the log.

        Raises:
            UsageError: there is such a schedule, or its name, time, zone or target is none.
            BadInput: the inputs do not fit the version that the target leads to now.
            CodeUnloadable: the code of that version is not in the store.
            Diverged: somebody else was first.
        """
        if not is_name(name):
            raise UsageError(f"{name!r} cannot name a schedule", hint="letters, digits, - and _")
        if catch_up not in CATCH_UP:
            raise UsageError(f"{catch_up!r} is no way to catch up", hint=" or ".join(CATCH_UP))
        tz = tz or zone_of_machine()
        Cron(cron, tz).check()
        before = last_entry(self.repo.blobs, name)
        if before is not None and before.state != REMOVED:
            raise UsageError(f"there is a schedule {name} already", hint=f"kitaru schedule remove {name}")
        _, checked = self.check_inputs(target, inputs or {}, text=text, documents=documents)
        n = before.n if before is not None else 0
        kept = self._keep_inputs(checked)
        return self._enter(ScheduleEntry(name, n, ACTIVE, target, kept, cron, tz, catch_up, 0, "", ""), ACTIVE, note)

    def pause_schedule(self, name: str, *, note: str = "") -> ScheduleEntry:
        """Have a schedule tick no more until it is resumed; raises UnknownSchedule, UsageError, Diverged."""
        return self._change(name, PAUSED, note)

    def resume_schedule(self, name: str, *, note: str = "") -> ScheduleEntry:
        """Have a paused schedule tick again; what was due meanwhile is not caught up. Raises as `pause_schedule`."""
        return self._change(name, ACTIVE, note)

    def remove_schedule(self, name: str, *, note: str = "") -> ScheduleEntry:
        """End a schedule; its log stays, and another one may be added under its name. Raises as `pause_schedule`."""
        return self._change(name, REMOVED, note)

    def _change(self, name: str, state: str, note: str) -> ScheduleEntry:
        before = self.schedule(name).entry
        if before.state == state:
            raise UsageError(f"schedule {name} is {state} already", hint=f"kitaru schedule log {name}")
        return self._enter(before, state, note)

    def _enter(self, before: ScheduleEntry, state: str, note: str) -> ScheduleEntry:
        services = self.services
        at, nonce = services.clock_us(), services.random_bytes(12).hex()
        wanted = replace(before, n=before.n + 1, state=state, at=at, by=services.user, note=note, nonce=nonce)
        won, standing = put_entry(self.repo.blobs, wanted)
        if not won:
            told = f"schedule {wanted.schedule} was changed by {standing.by or 'somebody'} at {utc_text(standing.at)}"
            raise Diverged(f"{told}: it is {standing.state} now", hint=f"kitaru schedule log {wanted.schedule}")
        return standing

    def schedules(self, *, all: bool = False) -> list[ScheduleView]:
        """Return the schedules by name; with `all`, also those that were removed."""
        entries = [last_entry(self.repo.blobs, name) for name in schedule_names(self.repo.blobs)]
        return [self._view(entry) for entry in entries if entry is not None and (all or entry.state != REMOVED)]

    def schedule(self, name: str) -> ScheduleView:
        """Return one schedule; raises UnknownSchedule where there is none, or it was removed."""
        found = self.schedule_log(name)[-1]
        if found.state == REMOVED:
            raise UnknownSchedule(name, self._schedule_names())
        return self._view(found)

    def schedule_log(self, name: str) -> list[ScheduleEntry]:
        """Return all entries of a schedule, oldest first, of a removed one too; raises UnknownSchedule."""
        found = schedule_log(self.repo.blobs, name) if is_name(name) else []
        if not found:
            raise UnknownSchedule(name, self._schedule_names())
        return found

    def _schedule_names(self) -> list[str]:
        return [view.entry.schedule for view in self.schedules()]

    def _view(self, entry: ScheduleEntry) -> ScheduleView:
        now = self.services.clock_us()
        try:
            upcoming = Cron(entry.cron, entry.tz).first_after(now) if entry.state == ACTIVE else 0
            last = last_tick(self.repo, entry, now)
        except UsageError as error:
            return ScheduleView(entry, wrong=error.message)
        return ScheduleView(entry, upcoming, last, tick_id(entry.schedule, last) if last else "")

    def fire_schedules(self) -> list[Invocation]:
        """Queue what schedules say is due now, as a worker does before each look; return what was queued here."""
        return self._schedules.fire()

    @cached_property
    def _schedules(self) -> Schedules:
        return Schedules(self.repo, lambda: self.services)
