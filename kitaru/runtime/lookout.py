"""What stops a run from outside of its body: somebody's request, its timeout, a limit.

Owns: looking for these, and who asked. Stopping is the engine's, the end that follows `runtime.ending`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import RunTimeout, StoreError
from kitaru.runtime.cancelling import cancelled
from kitaru.store.names import CancelName

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.model.records import Answer
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.stopping import RunStopped


class Lookout:
    """Looks out for what stops one execution of a run.

    Args:
        find_request: returns the request to cancel the run, if there is one; asked some twenty times a second.

    Attributes:
        request: to cancel the run, once it was found.
        rejected_at: the wait at which somebody rejected the run, who stands in `request`; or empty.
    """

    def __init__(self, engine: Engine, find_request: Callable[[], CancelName | None]) -> None:
        self._engine, self._find_request = engine, find_request
        self.request: CancelName | None = None
        self.rejected_at = ""
        self._deadline_us = 0

    def begin(self) -> None:
        """The body begins, and so does its time."""
        timeout = self._engine.options.timeout
        if timeout is not None:
            self._deadline_us = self._engine.now() + int(timeout * 1_000_000)

    def look(self) -> None:
        """Stop the run where somebody asked for that, or where it has taken as long as it may."""
        if self._engine.has_stopped:
            return
        try:
            request = self._find_request()
        except StoreError as error:  # a request that cannot be read: nobody knows what was asked
            return self._engine.request_stop(error)
        if request is not None:
            self.request = request
            self._engine.request_stop(cancelled(self._engine.run, request))
        elif (reached := self._engine.limits.time_is_up(self._engine) or self._is_late()) is not None:
            self._engine.request_stop(reached)

    def reject(self, wait: str, answer: Answer) -> RunStopped:
        """Latch that the run is to end, because somebody rejected it at a wait; the caller raises what is returned."""
        self.request = CancelName(answer.by, answer.answered, answer.note, "")
        self.rejected_at = wait
        return self._engine.stop(cancelled(self._engine.run, self.request, wait))

    def _is_late(self) -> RunTimeout | None:
        timeout = self._engine.options.timeout
        if timeout is None or self._engine.now() < self._deadline_us:
            return None
        hint = f"give it longer by @flow(timeout=...), then kitaru resume {self._engine.run}"
        return RunTimeout(f"run {self._engine.run} took longer than its timeout of {timeout:g} s", hint=hint)
