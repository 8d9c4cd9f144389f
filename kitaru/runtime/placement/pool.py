"""Warm workers: kept between calls with the same limits, environment and code, so that imports are made once.

Owns: which workers are idle, and when one is ended instead of used again. Knows nothing of jobs.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING
from weakref import WeakSet

from kitaru.runtime.placement.guard import Guard
from kitaru.runtime.placement.process import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

MAX_IDLE = 8
"""Workers that are kept idle in all; more are ended as soon as they have nothing to do."""

IDLE_S = 60.0
"""How long an idle worker is kept."""


_pools: WeakSet[Pool] = WeakSet()


class Pool:
    """Workers of this process. Safe to use from several threads.

    Args:
        idle_s: how long an idle worker is kept.
        clock: seconds, as of `time.monotonic`.
    """

    def __init__(self, *, idle_s: float = IDLE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.guard = Guard()
        self._idle_s, self._clock = idle_s, clock
        self._changed = threading.Condition()
        self._idle: dict[WorkerProcess, tuple[Hashable, float]] = {}
        self._reaper: threading.Thread | None = None
        self._closed = False
        _pools.add(self)

    def take(self, kind: Hashable, env: Mapping[str, str], limits: Mapping[str, int]) -> WorkerProcess:
        """Return an idle worker of a kind, or a new one.

        Args:
            kind: all in which workers may differ.
            env: environment variables of a new one.
            limits: name of a limit of `resource` to its value, for a new one.
        """
        while (worker := self._take_idle(kind)) is not None:
            if worker.listens():
                return worker
            self.discard(worker)
        return WorkerProcess(self.guard, env=env, limits=limits, on_end=self._forget)

    def _take_idle(self, kind: Hashable) -> WorkerProcess | None:
        with self._changed:
            found = next((w for w, (its_kind, _) in reversed(self._idle.items()) if its_kind == kind), None)
            if found is not None:
                del self._idle[found]
            return found

    def give_back(self, worker: WorkerProcess, kind: Hashable) -> None:
        """Keep a worker for the next call of its kind."""
        with self._changed:
            if not worker.ended.is_set() and not self._closed:
                self._idle[worker] = (kind, self._clock() + self._idle_s)
                self._ensure_reaper()
                self._changed.notify_all()
                worker = next(iter(self._idle)) if len(self._idle) > MAX_IDLE else None  # type: ignore[assignment]
                self._idle.pop(worker, None)
        if worker is not None:
            self.discard(worker)

    def discard(self, worker: WorkerProcess) -> None:
        """End a worker, with all that it has started, and do not wait for it."""
        worker.kill()
        worker.close()

    def end_idle(self) -> None:
        """End the workers that have nothing to do; return when they are gone."""
        with self._changed:
            idle, self._idle = list(self._idle), {}
            self._changed.notify_all()
        for worker in idle:
            self.discard(worker)
        for worker in idle:
            worker.ended.wait()

    def close(self) -> None:
        """End all workers and the warden; return when they are gone."""
        with self._changed:
            self._closed = True
        self.guard.close()
        self.end_idle()

    def leave_to_parent(self) -> None:
        """In a forked child: the workers are the parent's, and this pool begins anew."""
        self._changed = threading.Condition()
        self._idle, self._reaper = {}, None

    def _forget(self, worker: WorkerProcess) -> None:
        """Take note that a worker is gone, for whatever reason."""
        with self._changed:
            idle = self._idle.pop(worker, None)
        if idle is not None:
            worker.close()

    def _ensure_reaper(self) -> None:
        if self._reaper is None:
            self._reaper = threading.Thread(target=self._reap, name="kitaru-idle-workers", daemon=True)
            self._reaper.start()

    def _reap(self) -> None:
        """End workers that were idle for too long; this thread ends when none is left."""
        while True:
            with self._changed:
                if not self._idle:
                    self._reaper = None
                    return
                now = self._clock()
                worker, (_, due) = next(iter(self._idle.items()))  # the one that became idle first
                if due > now:
                    self._changed.wait(due - now)
                    continue
                del self._idle[worker]
            self.discard(worker)


def _leave_in_child() -> None:
    for pool in list(_pools):
        pool.leave_to_parent()


os.register_at_fork(after_in_child=_leave_in_child)
