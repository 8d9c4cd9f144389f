"""Executing a run to its end: once, and again where an answer came meanwhile or the flow's retries say so.

Owns: when a run that stopped goes on in the same process. Making it ready is the runner's, executing the engine's.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING

from kitaru.errors import RunCancelled, RunHeld, RunOver
from kitaru.model.history import Status
from kitaru.runtime.ending import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.errors import KitaruError
    from kitaru.project.claiming import Hold
    from kitaru.runtime.events import Services
    from kitaru.runtime.prepared import Prepared


class Carrying:
    """Carries one run.

    Args:
        prepared: the run, ready to execute.
        resume: makes it ready once more.
        came: tells whether a run that waits need not wait any more.
        services: chance and delays.
        over: told of a run that has come to its end, or to a stop.
        hold: the run's claim on a remote, to be renewed while it executes.
    """

    def __init__(
        self,
        prepared: Prepared,
        resume: Callable[[], Prepared],
        came: Callable[[], bool],
        services: Services,
        *,
        over: Callable[[str], None],
        hold: Hold | None = None,
    ) -> None:
        self._prepared, self._resume, self._came, self._services = prepared, resume, came, services
        self._over, self._hold = over, hold
        self._stopped = threading.Event()
        self._failures = 0

    def stop(self) -> None:
        """Have the run stop; safe from any thread."""
        self._stopped.set()
        self._prepared.engine.interrupt()

    def lose(self, reason: KitaruError) -> None:
        """Have the run stop because it is no longer ours; safe from any thread."""
        self._stopped.set()
        self._prepared.engine.request_stop(reason)

    def execute(self) -> Outcome:
        """Execute the run until it is over, or stops for good."""
        with self._hold.renewed(self.lose) if self._hold is not None else nullcontext():
            outcome = self._execute()
        self._over(outcome.run)
        return outcome

    def _execute(self) -> Outcome:
        outcome = self._prepared.execute()
        while self._goes_on(outcome):
            try:
                self._prepared = self._resume()
            except RunCancelled as error:
                return Outcome(outcome.run, Status.CANCELLED, error=error)
            except (RunHeld, RunOver):  # another process was faster
                break
            if self._stopped.is_set():
                self._prepared.engine.interrupt()
            outcome = self._prepared.execute()
        return outcome

    def _goes_on(self, outcome: Outcome) -> bool:
        if outcome.status is Status.WAITING:
            return self._came()
        return outcome.status is Status.FAILED and self._tries_again(outcome)

    def _tries_again(self, outcome: Outcome) -> bool:
        """Wait as long as the flow's retries say; tell whether there is another try, and nobody stopped the run."""
        retries = self._prepared.flow.options.retries
        if retries is None or outcome.error is None:
            return False
        self._failures += 1
        error = outcome.error.__cause__ or outcome.error
        delay_us = retries.delay_us(self._failures, error, self._services.random_bytes)
        return delay_us is not None and not self._stopped.wait(self._services.delay(delay_us / 1_000_000))
