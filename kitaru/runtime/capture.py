"""What user code prints and logs, attributed to the call it happened in, and still shown live.

Owns: the stand-ins for `sys.stdout` and `sys.stderr` and a factory of log records, installed while any run executes in
this process. Attribution is by context variable, so two runs in two threads do not mix. Knows nothing of records.
"""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from kitaru.runtime.context import active_call, current_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_lock = threading.Lock()
_users = 0


class _Stream:
    """Stands in for `sys.stdout` or `sys.stderr`: everything but writing goes to the real one."""

    def __init__(self, real: IO[str], name: str) -> None:
        self._real = real
        self._name = name

    def write(self, text: str) -> int:
        engine = current_engine.get() if text else None
        if engine is None or not engine.output.heard(active_call.get(), self._name, text):
            return self._real.write(text)
        return len(text)

    def flush(self) -> None:
        engine, call = current_engine.get(), active_call.get()
        if engine is not None and call is not None:
            engine.output.flush(call)
        self._real.flush()

    def writelines(self, lines: Any) -> None:  # noqa: ANN401 - as IO.writelines
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the real stream
        return getattr(self._real, name)


class _Recording:
    """Makes log records, and keeps each with the call it was made in; showing them is left to the user's handlers.

    A factory of records and not a handler: with any handler on the root logger, `logging.basicConfig()` does nothing
    and warnings are no longer shown by default.
    """

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self.make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: ANN401 - as LogRecord's constructor
        record = self.make(*args, **kwargs)
        engine, call = current_engine.get(), active_call.get()
        if engine is not None and call is not None:
            text = f"{record.levelname} {record.name}: {_message(record)}\n"
            call.keep_output(engine.services.clock_us(), "log", text)
        return record


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # a wrong format is reported by the user's handlers, and is no failure of the call
        return str(record.msg)


@contextmanager
def capturing() -> Iterator[None]:
    """Capture output while a run executes; nests, and leaves alone a stream that somebody else replaced meanwhile."""
    global _users  # noqa: PLW0603 - sys.stdout is one per process, and so is this count
    with _lock:
        _users += 1
        if _users == 1:
            sys.stdout, sys.stderr = _Stream(sys.stdout, "stdout"), _Stream(sys.stderr, "stderr")
            logging.setLogRecordFactory(_Recording(logging.getLogRecordFactory()))
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
                made = logging.getLogRecordFactory()
                if isinstance(made, _Recording):
                    logging.setLogRecordFactory(made.make)
