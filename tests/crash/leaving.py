"""Programs whose main thread is gone while their run goes on."""

from __future__ import annotations

import ctypes
import sys
import threading
from pathlib import Path


def _start() -> threading.Thread:
    """Start the run from Python, as a script would, and return the thread that carries it."""
    sys.path.insert(0, str(Path.cwd()))
    import steps  # type: ignore[import-not-found] - the project's own file

    steps.twenty.run()
    return next(t for t in threading.enumerate() if t.name.startswith("kitaru-") and not t.daemon)


def falls_off_the_end() -> None:
    """Let the interpreter wait for the run, as at the end of every script."""
    _start()


def main_thread_exits() -> None:
    """End the main thread itself: to the system, the process is a zombie with threads."""
    _start()
    ctypes.CDLL(None).pthread_exit(0)
