"""Queued invocations that a worker can begin, and the schedules that make more of them.

Owns: what of the queue is due, in which order, and how several workers keep out of each other's way. Takes nothing up:
that an invocation becomes one run, its id and the run's lock see to.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from kitaru.project.due import QUEUED, SCHEDULED, Due
from kitaru.project.flow_limits import Limits, flow_limits
from kitaru.project.queued import QueueLook

if TYPE_CHECKING:
    from kitaru.project.project import Project
    from kitaru.store.invocations import Invocation

SPREAD = 32
"""Among so many of the first, a worker that met another one takes any."""


class DueInvocations:
    """The queue of a project, as a worker takes from it.

    Args:
        project: whose queue.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._look = QueueLook(project.repo)
        self._limits = Limits(project.repo, flow_limits(project.config))
        self._crowded = False
        self._random = random.Random(project.services.random_bytes(16))  # noqa: S311 - an order, no secret

    def all(self) -> list[Due]:
        """Return what is due: the highest priority first, then the oldest, or nearly so where workers meet."""
        now = self._project.services.clock_us()
        self._project.fire_schedules()
        pending = [i for i in self._look.pending() if i.not_before <= now]
        if self._crowded:
            pending = self._spread(pending)
        self._crowded = self._crowded and bool(pending)
        room = {flow: self._limits.room(flow, now) for flow in {i.flow for i in pending}}
        return [_due(invocation) for invocation in pending if room[invocation.flow]]

    def is_due(self, due: Due) -> bool:
        """Tell whether an invocation can still be begun."""
        invocation = self._look.find(due.run)
        if invocation is None or not self._look.is_pending(invocation):
            return False
        return self._limits.room(due.flow, self._project.services.clock_us())

    def is_as_before(self, due: Due, *, lost: bool) -> bool:
        """Tell whether an invocation that was taken up still has no run.

        Args:
            lost: whoever took it up found that another one had.
        """
        invocation = self._look.find(due.run)
        pending = invocation is not None and self._look.is_pending(invocation)
        self._crowded = self._crowded or (lost and not pending)
        return pending

    def _spread(self, pending: list[Invocation]) -> list[Invocation]:
        first = [i for i in pending[:SPREAD] if i.priority == pending[0].priority]
        self._random.shuffle(first)
        return [*first, *pending[len(first) :]]


def _due(invocation: Invocation) -> Due:
    why = SCHEDULED if invocation.schedule else QUEUED
    return Due(invocation.run, invocation.flow, why, (invocation.nonce,))
