"""Calls in flight, and a note in the history for those that take long.

Owns: which calls execute right now, and the thread that looks at them. A call that is over before the first look costs
two dict operations and no write.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from kitaru.model.ids import display_call

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.runtime.context import ActiveCall

NOTED_AFTER_US = 50_000
LOOK_EVERY_S = 0.05


class InFlight:
    """The calls that execute right now; a context manager, inside of which a thread watches.

    Args:
        clock_us: microseconds since 1970 UTC.
        look: called each time it looks.
        record: called, once per call, for a call that has been in flight for 50 ms. It is called with the lock held,
            so that its note never follows the call's own record.
    """

    def __init__(
        self, clock_us: Callable[[], int], record: Callable[[ActiveCall], None], look: Callable[[], None]
    ) -> None:
        self._clock_us = clock_us
        self._record = record
        self._also = look
        self._lock = threading.Lock()
        self._calls: dict[int, ActiveCall] = {}
        self._empty = threading.Condition(self._lock)
        self._waited_for = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="kitaru-in-flight", daemon=True)

    def __enter__(self) -> InFlight:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def is_busy(self) -> bool:
        """Whether any call executes right now."""
        return bool(self._calls)

    def add(self, call: ActiveCall) -> None:
        """A call begins."""
        self._calls[call.order] = call

    def remove(self, call: ActiveCall) -> None:
        """A call is over; after this its note is no longer written."""
        with self._lock:
            self._calls.pop(call.order, None)
            if self._waited_for and not self._calls:
                self._empty.notify_all()

    @property
    def labels(self) -> list[str]:
        """The calls that execute right now, as shown."""
        return [display_call(call.name, call.occurrence) for call in list(self._calls.values())]

    def drain(self) -> None:
        """Return once no call executes."""
        with self._lock:
            self._waited_for = True
            while self._calls:
                self._empty.wait()

    def cancel(self) -> None:
        """Cancel what executes, where something can be cancelled."""
        for call in list(self._calls.values()):
            if call.cancel is not None:
                call.stopped = True
                call.cancel()

    def _watch(self) -> None:
        while not self._done.wait(LOOK_EVERY_S):
            with self._lock:
                self._look()
            self._also()

    def _look(self) -> None:
        calls = list(self._calls.values())
        now = self._clock_us() if calls else 0
        for call in calls:
            if not call.begun_recorded and now - call.began_us >= NOTED_AFTER_US:
                call.begun_recorded = True
                self._record(call)
