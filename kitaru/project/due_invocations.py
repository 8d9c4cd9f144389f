"""Queued invocations that a worker can begin, and the schedules that make more of them.

Owns: what of the queue is due, in which order, and how several workers keep out of each other's way. Takes nothing up:
that an invocation becomes one run, its id and the run's lock see to.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from kitaru.config import load as load_config
from kitaru.errors import KitaruError
from kitaru.project.due import QUEUED, SCHEDULED, Due
from kitaru.project.flow_limits import Limits, flow_limits
from kitaru.project.places import STORE
from kitaru.project.queued import QueueLook
from kitaru.store import layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kitaru.project.project import Project
    from kitaru.store.invocations import Invocation

MAX_WORKERS = 64
"""So many on one machine know of each other; more work all the same."""


class DueInvocations:
    """The queue of a project, as a worker takes from it.

    Args:
        project: whose queue.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._look = QueueLook(project.repo)
        self._limits = Limits(project.repo, flow_limits(project.config))
        self._settings = project.root / STORE / "config.toml"
        self._settings_at = self._changed_at()
        self._full: set[str] = set()
        self._place: int | None = None

    @contextmanager
    def among_others(self) -> Iterator[None]:
        """Have other workers of this machine know of this one: a numbered lock that is held meanwhile."""
        blobs = self._project.repo.blobs
        lock = None
        for place in range(MAX_WORKERS):
            lock = blobs.lock(layout.worker_lock(place))
            if lock is not None:
                self._place = place
                break
        try:
            yield
        finally:
            self._place = None
            if lock is not None:
                lock.release()

    def all(self) -> list[Due]:
        """Return what is due: the highest priority first, then the oldest.

        Of several workers each has every so manyth of one priority before the others, so that they seldom meet.
        """
        now = self._project.services.clock_us()
        self._reread_limits()
        self._project.fire_schedules()
        pending = [i for i in self._look.pending() if i.not_before <= now]
        self._full = {flow for flow in {i.flow for i in pending} if not self._limits.room(flow, now)}
        return [_due(invocation) for invocation in self._shared_out(pending) if invocation.flow not in self._full]

    def _reread_limits(self) -> None:
        """Follow the settings, which may be edited while a worker works; what cannot be read changes nothing."""
        changed_at = self._changed_at()
        if changed_at != self._settings_at:
            self._settings_at = changed_at
            with suppress(KitaruError):
                self._limits.change(flow_limits(load_config(self._settings)))

    def _changed_at(self) -> int:
        try:
            return self._settings.stat().st_mtime_ns
        except OSError:  # all is as by default
            return 0

    def _shared_out(self, pending: list[Invocation]) -> list[Invocation]:
        if self._place is None:
            return pending
        blobs = self._project.repo.blobs
        places = [p for p in range(MAX_WORKERS) if p == self._place or blobs.is_locked(layout.worker_lock(p))]
        mine, count = places.index(self._place), len(places)
        order = sorted(range(len(pending)), key=lambda n: (-pending[n].priority, n % count != mine, n))
        return [pending[n] for n in order]

    def is_due(self, due: Due) -> bool:
        """Tell whether an invocation can still be begun; one of a flow that is full, not before the next look."""
        invocation = self._look.find(due.run)
        if due.flow in self._full or invocation is None or not self._look.is_pending(invocation):
            return False
        if not self._limits.room(due.flow, self._project.services.clock_us()):
            self._full.add(due.flow)
        return due.flow not in self._full

    def is_as_before(self, due: Due) -> bool:
        """Tell whether an invocation that was taken up still has no run."""
        invocation = self._look.find(due.run)
        return invocation is not None and self._look.is_pending(invocation)


def _due(invocation: Invocation) -> Due:
    why = SCHEDULED if invocation.schedule else QUEUED
    return Due(invocation.run, invocation.flow, why, (invocation.nonce,))
