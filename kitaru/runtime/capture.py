"""What user code prints and logs, attributed to the call it happened in, and still shown live.

Owns: the stand-ins for `sys.stdout` and `sys.stderr` and a logging handler, installed while any run executes in this
process. Attribution is by context variable, so two runs in two threads do not mix. Knows nothing of records.
"""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from kitaru.runtime.context import active_call, current_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

_lock = threading.Lock()
_users = 0


class _Stream:
    """Stands in for `sys.stdout` or `sys.stderr`: everything but writing goes to the real one."""

    def __init__(self, real: IO[str], name: str) -> None:
        self._real = real
        self._name = name

    def write(self, text: str) -> int:
        engine = current_engine.get()
        if engine is None or not engine.heard(active_call.get(), self._name, text):
            return self._real.write(text)
        return len(text)

    def writelines(self, lines: Any) -> None:  # noqa: ANN401 - as IO.writelines
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the real stream
        return getattr(self._real, name)


class _LogHandler(logging.Handler):
    """Keeps log records with the call they were made in; showing them is left to the handlers the user set up."""

    def emit(self, record: logging.LogRecord) -> None:
        engine, call = current_engine.get(), active_call.get()
        if engine is not None and call is not None:
            text = f"{record.levelname} {record.name}: {record.getMessage()}\n"
            call.keep_output(engine.services.clock_us(), "log", text)


_handler = _LogHandler()


@contextmanager
def capturing() -> Iterator[None]:
    """Capture output while a run executes; nests, and leaves alone a stream that somebody else replaced meanwhile."""
    global _users  # noqa: PLW0603 - sys.stdout is one per process, and so is this count
    with _lock:
        _users += 1
        if _users == 1:
            sys.stdout, sys.stderr = _Stream(sys.stdout, "stdout"), _Stream(sys.stderr, "stderr")
            logging.getLogger().addHandler(_handler)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                for name in ("stdout", "stderr"):
                    stream = getattr(sys, name)
                    if isinstance(stream, _Stream):
                        setattr(sys, name, stream._real)
                logging.getLogger().removeHandler(_handler)
