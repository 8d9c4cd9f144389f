"""A worker that was told of no remote: what is queued on one is left to those who were.

Owns: which invocations such a worker does not begin, and that it says so. Whoever begins one that others know of must
claim it on the remote and push what came of it, or it would be begun twice; that is `working_remote`'s.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kitaru.errors import KitaruError
from kitaru.project.working import NotNowError, Told
from kitaru.store import layout
from kitaru.store.invocations import read_invocation
from kitaru.store.sync.tracking import Tracking

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.project.claiming import Handed
    from kitaru.project.due import Due
    from kitaru.project.project import Project

REST_S = 60.0
"""What was left to others is looked at again so much later."""
KNOWN_S = 5.0
"""What is known of the remotes is read again so often, for it grows with each push and pull."""


def lives_on(project: Project, tracking: Tracking, run: str) -> bool:
    """Tell whether a run is on a remote, or is to be: it was queued there, or by a schedule that is there."""
    there = tracking.there
    if tracking.has_run(run) or layout.queue_key(run) in there:
        return True
    try:
        schedule = read_invocation(project.repo.blobs, run).schedule
    except (KeyError, KitaruError):
        return False
    return bool(schedule) and layout.schedule_key(schedule, 1) in there


class LocalWork:
    """What a worker does that knows of no remote; `start` is for `working.Work`.

    Args:
        project: whose runs.
        carry: begins to carry a run on; as of `RemoteWork`.
        clock: seconds.
    """

    def __init__(
        self,
        project: Project,
        carry: Callable[[Due, Handed | None], Callable[[], tuple[int, str]]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._project, self._carry, self._clock = project, carry, clock
        self._remotes = project.remotes()
        self._known: list[Tracking] = []
        self._known_until = clock()
        self._said: set[str] = set()

    def start(self, due: Due) -> Callable[[], tuple[int, str]]:
        """Begin a run, or begin to carry it on; for `Work`.

        Raises:
            NotNowError: it is to be begun, and others know of it.
        """
        for tracking in self._tracked() if due.is_new else ():
            if lives_on(self._project, tracking, due.run):
                raise NotNowError(REST_S, self._once(tracking.name))
        return self._carry(due, None)

    def _tracked(self) -> list[Tracking]:
        if self._remotes and self._clock() >= self._known_until:
            blobs = self._project.repo.blobs
            self._known = [Tracking.open(blobs, remote.name, remote.place) for remote in self._remotes]
            self._known_until = self._clock() + KNOWN_S
        return self._known

    def _once(self, name: str) -> Told | None:
        """Return what there is to say of a remote, if that was not said before."""
        if name in self._said:
            return None
        self._said.add(name)
        text = f"what is queued on remote {name} is left to its workers: this one does not claim it there"
        return Told("left", text, hint=f"kitaru work --remote {name}")
