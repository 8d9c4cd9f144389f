"""Threads that submitted calls execute on, and the limits on how many of one kind do so at once.

Owns: threads and queues. Knows nothing of calls: work is a function without arguments, which must not raise.
"""

from __future__ import annotations

import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[], object]


class Pool:
    """Up to `limit` threads, each begun when there is work and none is idle.

    They are daemons: a run waits for its calls itself, and a second Ctrl-C must not be held up by a thread.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit, self._name = limit, name
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._threads = 0

    def put(self, work: Work) -> None:
        """Have something done, after what was put before."""
        self._queue.put(work)
        if self._idle.acquire(blocking=False):
            return
        with self._lock:
            if self._threads < self._limit:
                self._threads += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()

    def close(self) -> None:
        """Let the threads end, once they have done what was put."""
        for _ in range(self._threads):
            self._queue.put(None)

    def _work(self) -> None:
        while True:
            work = self._queue.get()
            if work is None:
                return
            work()
            del work  # what it holds may be large, and the next one may be long in coming
            self._idle.release()


class Slots:
    """At most `limit` of something at once; whoever comes later waits in line."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: deque[Work] = deque()
        self._lock = threading.Lock()

    def take(self, ready: Work) -> None:
        """Call `ready` when there is a place: now, or by whoever gives one back."""
        with self._lock:
            if self._free == 0:
                self._waiting.append(ready)
                return
            self._free -= 1
        ready()

    def give(self) -> None:
        """Give a place back."""
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            ready = self._waiting.popleft()
        ready()
