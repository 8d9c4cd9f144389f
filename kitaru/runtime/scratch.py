"""The directories in which recorded code is laid out: one for each load, for as long as its process lives.

Owns: where they are made, and that they go again: at the process's end, or, where it was killed, when the next one is
made. They are not in the store: what lies below a project is taken for its code, and what lies in `.kitaru/` for none
of it. Knows nothing of what is laid out there.

Each directory is held by an `flock` on itself, which a forked child shares: it is left alone, by its maker's end too,
until the last process that may import from it has ended. All of a user's are in one directory, which nobody else may
enter.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

from kitaru.blobs.files import DIRECTORY_MODE
from kitaru.errors import CodeUnloadable

_NAME = "kitaru-code-"
_ATTEMPTS = 8
_held: dict[str, int] = {}


def make_scratch() -> Path:
    """Return a new directory, which lives as long as this process.

    Raises:
        CodeUnloadable: no directory can be made for temporary files.
    """
    try:
        directory = _make()
    except OSError as error:
        raise CodeUnloadable(
            f"recorded code cannot be laid out: {error.strerror or error}",
            hint="TMPDIR says where temporary files go",
        ) from error
    atexit.register(_remove, directory, os.getpid())
    return Path(directory)


def _make() -> str:
    with contextlib.suppress(FileNotFoundError):  # who tidies up temporary files has removed it just now
        parent = _parent()
        if parent is not None:
            _sweep(parent)
            for _ in range(_ATTEMPTS):
                made = tempfile.mkdtemp(dir=parent)
                if _hold(made):
                    return made
    return tempfile.mkdtemp(prefix=_NAME)


def _parent() -> Path | None:
    """Return the directory of all of this user's; None where somebody else has taken its name."""
    parent = Path(tempfile.gettempdir(), f"{_NAME}{os.geteuid()}")
    with contextlib.suppress(FileExistsError):
        parent.mkdir(DIRECTORY_MODE)
    found = parent.lstat()
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077
    return parent if mine else None


def _hold(directory: str) -> bool:
    """Keep a new directory from being swept; False if that has happened before it was held."""
    fd = -1
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        is_held = _lock(fd) and os.path.samestat(os.fstat(fd), Path(directory).stat())
    except FileNotFoundError:
        is_held = False
    except OSError:  # a file system without locks, where nobody sweeps
        is_held = True
    if is_held:
        _held[directory] = fd
    elif fd >= 0:
        os.close(fd)
    return is_held


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sweep(parent: Path) -> None:
    """Remove the directories that no process holds."""
    for entry in list(os.scandir(parent)):
        with contextlib.suppress(OSError):  # another one is sweeping, too
            _remove_unheld(entry.path)


def _remove_unheld(directory: str) -> None:
    """Remove a directory unless a process holds it; raises OSError, also where the file system has no locks."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if _lock(fd):
            shutil.rmtree(directory)
    finally:
        os.close(fd)


def _remove(directory: str, maker: int) -> None:
    if os.getpid() != maker:  # forked from it, which still needs it, as others may
        return
    fd = _held.pop(directory, -1)
    if fd >= 0:
        os.close(fd)
    try:
        _remove_unheld(directory)  # what was forked from here may hold it
    except OSError:
        shutil.rmtree(directory, ignore_errors=True)
