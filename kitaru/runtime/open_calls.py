"""Which submitted calls of a run are not over, and what is left of those that are.

Owns: that the run waits for all of them, the failures that nobody asked for, the places that stay empty, and the
threads. Knows nothing of how a call is decided or executed.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from kitaru.model.records import Note
from kitaru.runtime.pool import Pool
from kitaru.runtime.stopping import RunStopped

if TYPE_CHECKING:
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.futures import CallFuture
    from kitaru.runtime.plan import Place


class OpenCalls:
    """The submitted calls of one execution of a run, and the threads that carry them. From any thread."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.pool = Pool(engine.options.max_workers, f"kitaru-{engine.run}")
        self._open: set[CallFuture[Any]] = set()
        self._changed = threading.Condition()
        self._lost: list[CallFuture[Any]] = []
        self._unmade: list[tuple[str, str, int]] = []

    def opened(self, future: CallFuture[Any]) -> None:
        """A call is submitted, and is not over."""
        with self._changed:
            self._open.add(future)

    def closed(self, future: CallFuture[Any]) -> None:
        """A submitted call is over."""
        with self._changed:
            self._open.discard(future)
            if future.failure() is not None:
                self._lost.append(future)
            self._changed.notify_all()

    @property
    def is_busy(self) -> bool:
        """Whether a submitted call is not over."""
        return bool(self._open)

    def drain(self) -> None:
        """Return once every submitted call is over."""
        with self._changed:
            while self._open:
                self._changed.wait()
        self.note_unmade()

    def unmade(self, name: str, scope: str, place: Place) -> None:
        """A call had a place, and is not to be made in it: its input failed, or it was called off before."""
        with self._changed:
            self._unmade.append((name, scope, place.occurrence))

    def note_unmade(self) -> None:
        """Record the places that stay empty: a resume takes none of them for a call that a crash cut short."""
        with self._changed:
            unmade, self._unmade = self._unmade, []
        found: dict[tuple[str, str], list[int]] = {}
        for name, scope, occurrence in unmade:
            found.setdefault((name, scope), []).append(occurrence)
        calls = [{"name": name, "scope": scope, "occurrences": sorted(n)} for (name, scope), n in found.items()]
        if calls:
            with contextlib.suppress(RunStopped):  # latched: the body meets it at its next call
                self.engine.commit(Note(self.engine.now(), "unmade", {"calls": calls}), sync=False)

    def lost(self) -> BaseException | None:
        """Return the first failure that nobody asked for, if there is one."""
        for future in self._lost:
            error = future.failure()
            if not future.taken and not isinstance(error, RunStopped):
                return error
        return None

    def close(self) -> None:
        """The execution is over."""
        self.pool.close()
