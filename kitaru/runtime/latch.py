"""The latch that makes a run's stop final.

Owns: whether a run has stopped, and why. Knows nothing of what stops it, nor of what goes on in it.

A stop (a wait, drift, a failing disk, Ctrl-C) is a `RunStopped` raised through the body. It is latched: code that
swallows it meets it again at its next call, and what the body then returns is discarded.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from kitaru.runtime.stopping import RunStopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.errors import KitaruError


class Latch:
    """A stop that stays. From any thread."""

    def __init__(self) -> None:
        self._latched: KitaruError | None = None
        self._latching = threading.RLock()  # a handler of Ctrl-C may stop the run on a thread that is just at it
        self._stopping = threading.Event()
        self.on_stop: list[Callable[[], None]] = []
        """Called, on whichever thread, when a stop is latched."""

    def stop(self, reason: KitaruError) -> RunStopped:
        """Latch a stop, the first reason wins; the caller raises what is returned. Calls in flight end as they do."""
        with self._latching:
            if self._latched is None:
                self._latched = reason
                self._stopping.set()
        for tell in list(self.on_stop):
            tell()
        return RunStopped(str(self._latched))

    @property
    def has_stopped(self) -> bool:
        """Whether a stop is latched."""
        return self._latched is not None

    @property
    def reason(self) -> KitaruError | None:
        """Why the run stopped, or None where it has not."""
        return self._latched

    def stopped(self) -> RunStopped:
        """Return what unwinds code that meets the latch."""
        return RunStopped(str(self._latched))

    def check_latch(self) -> None:
        """Raise `RunStopped` where the run has stopped already."""
        if self._latched is not None:
            raise RunStopped(str(self._latched))

    def rest(self, seconds: float) -> None:
        """Let that much time really pass, unless the run stops; raises `RunStopped` then."""
        self.check_latch()
        self._stopping.wait(seconds)
        self.check_latch()
