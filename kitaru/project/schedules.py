"""Firing what schedules say is due: each tick becomes a queued invocation, wherever it is noticed first.

Owns: which ticks are settled, as far as one process knows, and making the invocations of those that are due. A tick's
invocation has an id that follows from schedule and time, so that of many workers exactly one makes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, UsageError
from kitaru.project.targets import parse_flow_target
from kitaru.project.ticks import Cron, due_ticks, tick_id
from kitaru.store import layout
from kitaru.store.invocations import Invocation, put_invocation
from kitaru.store.schedules import ACTIVE, last_entry, schedule_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.runtime.events import Services
    from kitaru.store.repository import Repository
    from kitaru.store.schedules import ScheduleEntry


@dataclass(slots=True)
class _Seen:
    """What is known of an entry: ticks up to `settled` are; the next one is `next`; when it was looked at last."""

    n: int
    settled: int
    looked: int = 0
    next: int = 0


class Schedules:
    """The schedules of a store, as one process fires them time and again.

    Args:
        repo: the store.
        services: clock and randomness.

    Attributes:
        wrong: name to what is wrong with a schedule that therefore never ticks.
    """

    def __init__(self, repo: Repository, services: Callable[[], Services]) -> None:
        self._repo, self._services = repo, services
        self._seen: dict[str, _Seen] = {}
        self.wrong: dict[str, str] = {}

    def fire(self) -> list[Invocation]:
        """Queue what is due, and return what was queued here."""
        self.wrong = {}
        if not self._repo.blobs.children(layout.SCHEDULES):
            return []
        now = self._services().clock_us()
        fired: list[Invocation] = []
        for name in schedule_names(self._repo.blobs):
            try:
                entry = last_entry(self._repo.blobs, name)
                if entry is not None and entry.state == ACTIVE:
                    fired += self._fire(entry, now)
            except (Damaged, UsageError) as error:
                self.wrong[name] = error.message
        return fired

    def _fire(self, entry: ScheduleEntry, now_us: int) -> list[Invocation]:
        cron, seen = Cron(entry.cron, entry.tz), self._seen.get(entry.schedule)
        if seen is None or seen.n != entry.n:
            settled = max(entry.at, last_tick(self._repo, entry, now_us))
            seen = self._seen[entry.schedule] = _Seen(entry.n, settled, next=cron.first_after(settled))
        fired = []
        if 0 < seen.next <= now_us:
            for tick in due_ticks(cron, entry.catch_up, seen.settled, now_us, seen.looked):
                if self._repo.tombstone(tick_id(entry.schedule, tick)) is not None:
                    continue  # its run was pruned, and the invocation has gone with it
                won, invocation = put_invocation(self._repo.blobs, self._invocation(entry, tick, now_us))
                fired += [invocation] if won else []
            seen.settled, seen.next = now_us, cron.first_after(now_us)
        seen.looked = now_us
        return fired

    def _invocation(self, entry: ScheduleEntry, tick: int, now_us: int) -> Invocation:
        return Invocation(
            tick_id(entry.schedule, tick),
            entry.target,
            parse_flow_target(entry.target).flow,
            entry.inputs,
            schedule=entry.schedule,
            tick=tick,
            at=now_us,
            by=entry.by,
            nonce=self._services().random_bytes(12).hex(),
        )


def last_tick(repo: Repository, entry: ScheduleEntry, now_us: int) -> int:
    """Return the latest tick of a schedule that was invoked; 0 where none was, of the last thousand."""
    ticks = Cron(entry.cron, entry.tz).latest(0, now_us)
    keys = ((tick, tick_id(entry.schedule, tick)) for tick in reversed(ticks))
    exists = repo.blobs.exists
    return next((t for t, run in keys if exists(layout.queue_key(run)) or exists(layout.pruned_key(run))), 0)
