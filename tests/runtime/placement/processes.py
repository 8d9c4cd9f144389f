"""Waiting for processes to end, without asking again and again."""

from __future__ import annotations

import contextlib
import os
import select


def is_gone(pid: int, within_s: float = 10.0) -> bool:
    """Wait until a process has ended; False if it has not in time."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], within_s)[0])
    finally:
        os.close(fd)


def kill_the_rest(pids: list[int]) -> None:
    """End what a failed test has left."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
