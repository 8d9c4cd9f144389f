"""Which recorded calls an exception came from: if it ends the run, a resume executes these again.

Owns: what is remembered of failures while a run executes. Knows nothing of how calls are decided or executed.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from kitaru.errors import CallCancelled
from kitaru.runtime.stopping import behind

if TYPE_CHECKING:
    from kitaru.model.history import CallView

MAX_REMEMBERED = 4096

CALLED_OFF = "kitaru.errors:CallCancelled"
"""How a record names the error of a call that the code around it called off."""


class Failures:
    """The failures of one execution of a run that its body, or who submitted the call, has met. From any thread."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[BaseException, str]] = {}
        self._called_off: dict[str, str] = {}
        self._lock = threading.Lock()

    def remember(self, error: BaseException, record: str, scope: str) -> None:
        """Keep of which record, and in which scope, an exception is."""
        with self._lock:
            if len(self._found) >= MAX_REMEMBERED:
                self._found.pop(next(iter(self._found)))
            self._found[id(error)] = (error, record)
            if isinstance(error, CallCancelled):
                self._called_off[record] = scope

    def went_past(self, scope: str) -> None:
        """A call is made in a scope: what was called off there or below did not end it."""
        if not self._called_off:  # nearly always
            return
        inner = f"{scope}/"
        with self._lock:
            self._called_off = {r: path for r, path in self._called_off.items() if not f"{path}/".startswith(inner)}

    def behind(self, error: BaseException) -> list[str]:
        """Return the ids of the records of the calls whose failures led to this exception.

        Calls that were called off on the way are among them: nothing tells whose cancellation an `asyncio.timeout` or
        a task group has swallowed, but that nothing was called afterwards where they were made.
        """
        found = [self._found[id(e)][1] for e in behind(error, self._is_remembered)]
        return [*found, *(record for record in self._called_off if record not in found)]

    def _is_remembered(self, error: BaseException) -> bool:
        found = self._found.get(id(error))
        return found is not None and found[0] is error


def is_called_off(view: CallView) -> bool:
    """Tell whether the code around a recorded call had called it off."""
    error = view.record.error if view.record is not None else None
    return error is not None and error["type"] == CALLED_OFF
