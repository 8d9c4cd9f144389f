"""Calls that are submitted instead of made: one, or one for each item.

Owns: the scopes and the order in which such calls are made, and how far ahead those of a map are. What becomes of one
is `runtime.job`, which are not over `runtime.open_calls`. Nothing here blocks whoever submits.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from kitaru.runtime.futures import CallFuture, CallFutures, inputs_in
from kitaru.runtime.job import Job
from kitaru.runtime.open_calls import OpenCalls
from kitaru.runtime.scopes import scope_here
from kitaru.runtime.stopping import RunStopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kitaru.runtime.decorators import Checkpoint
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.job import Arguments

WINDOW = 4
"""Items of a map that are decided ahead, for each worker: what they would write is held in memory."""


class Submitter:
    """The submitted calls of one execution of a run."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.open = OpenCalls(engine)

    def submit(self, checkpoint: Checkpoint[..., Any], given: Arguments) -> CallFuture[Any]:
        """Make a call that somebody else carries; its place in the call order is the one it is submitted at.

        Args:
            given: positional and named arguments; futures among them stand for their results.

        Raises:
            RunStopped: the run stops here.
        """
        self.engine.check_latch()
        maker = scope_here(self.engine.scope)
        inputs = inputs_in([*given[0], *given[1].values()])
        scope = maker.child(f"submit:{checkpoint.name}") if inputs else maker
        job = Job(self.open, checkpoint, given, scope, maker, reserves=bool(inputs))
        job.begin(inputs)
        if job.future.done():
            error = job.future.failure()
            if isinstance(error, RunStopped):
                raise error
        return job.future

    def map(
        self, checkpoint: Checkpoint[..., Any], items: Iterable[Arguments], *, cancel_others: bool
    ) -> CallFutures[Any]:
        """Make a call for each item, in a scope of their own, where an item is known by its arguments.

        Args:
            items: arguments of each, as of `submit`; all are taken at once.
            cancel_others: whether the first failure calls off the others.

        Raises:
            RunStopped: the run stops here.
        """
        self.engine.check_latch()
        maker = scope_here(self.engine.scope)
        scope = maker.child(f"map:{checkpoint.name}")
        jobs = [Job(self.open, checkpoint, given, scope, maker, on_drift="new", reserves=True) for given in items]
        window = WINDOW * self.engine.options.max_workers
        feed = Feed(jobs, window, self.open.note_unmade, cancel_others=cancel_others)
        feed.go_on()
        self.engine.check_latch()
        return CallFutures(feed.futures)


class Feed:
    """The jobs of a map, begun in order, a bounded number ahead of those that are over."""

    def __init__(self, jobs: list[Job], window: int, note_unmade: Callable[[], None], *, cancel_others: bool) -> None:
        self.futures = [job.future for job in jobs]
        self._note_unmade = note_unmade
        self._jobs, self._room = list(reversed(jobs)), window
        self._lock = threading.Lock()
        self._feeding = False
        self._cancel_others = cancel_others

    def go_on(self) -> None:
        """Begin as many as there is room for, unless another thread is at it: that one goes on then."""
        while (job := self._next()) is not None:
            job.future.when_done(self._over)
            job.begin(inputs_in([*job.given[0], *job.given[1].values()]))
            with self._lock:
                self._feeding = False

    def _next(self) -> Job | None:
        with self._lock:
            if self._feeding or not self._jobs or self._room <= 0:
                return None
            self._feeding, self._room = True, self._room - 1
            return self._jobs.pop()

    def _over(self, future: CallFuture[Any]) -> None:
        with self._lock:
            self._room += 1
        if self._cancel_others and future.failure() is not None:
            self._call_off_all(future)
        self.go_on()

    def _call_off_all(self, culprit: CallFuture[Any]) -> None:
        with self._lock:
            self._cancel_others, self._jobs = False, []
        for other in self.futures:
            if other is not culprit:
                other.drop()
        self._note_unmade()
