"""Advisory locks on files, and what a forked child must let go of.

Owns: `flock` with a patient try, a probe that leaves no trace, and closing inherited descriptors after a fork.
Lock files are never written nor removed: removing one would let two processes hold "the same" lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

RETRY_S = 0.01


class _Inherited(Protocol):
    def forget(self) -> None: ...


_inherited: weakref.WeakSet[_Inherited] = weakref.WeakSet()


def forget_in_children(holder: _Inherited) -> None:
    """Have `holder.forget()` called in every child this process forks: it closes descriptors and nothing else."""
    _inherited.add(holder)


def _after_fork() -> None:
    for holder in list(_inherited):
        holder.forget()


os.register_at_fork(after_in_child=_after_fork)


class FileLock:
    """A held `flock`. A child of the holder inherits the descriptor and would keep the lock, so it closes it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        forget_in_children(self)

    def release(self) -> None:
        """Let go; again is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    forget = release  # closing is no LOCK_UN: the parent's own descriptor keeps the lock


def acquire(path: str, wait_s: float, sleep: Callable[[float], None] = time.sleep) -> FileLock | None:
    """Take the lock at `path`, whose directory exists, trying for `wait_s`; None when it is held elsewhere."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        for attempt in range(int(wait_s / RETRY_S) + 1):
            if attempt:
                sleep(RETRY_S)
            if _try_lock(fd, fcntl.LOCK_EX):
                return FileLock(fd)
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def probe(path: str) -> bool:
    """Tell whether the lock at `path` is held; the file is neither made nor changed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def _try_lock(fd: int, kind: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
        return True
    return False
