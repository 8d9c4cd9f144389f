"""The system calls that write, in one thin object, and what their failures mean in plain words.

Owns: which calls there are (so that a test can fail any of them) and the wording of a disk's refusals.
Knows nothing of keys.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Protocol

from kitaru.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from kitaru.blobs.contract import Piece

DIRECTORY_MODE = 0o700
GROWING_MODE = 0o600
SEALED_MODE = 0o400
"""What a store holds is private to its user, and what is sealed is not to be written."""


class Files(Protocol):
    """Every system call by which a store changes."""

    def open(self, path: str, flags: int, mode: int) -> int:
        """As `os.open`."""

    def pwrite(self, fd: int, data: Piece, offset: int) -> int:
        """As `os.pwrite`."""

    def fsync(self, fd: int) -> None:
        """As `os.fsync`."""

    def fdatasync(self, fd: int) -> None:
        """As `os.fdatasync`."""

    def ftruncate(self, fd: int, size: int) -> None:
        """As `os.ftruncate`."""

    def fchmod(self, fd: int, mode: int) -> None:
        """As `os.fchmod`."""

    def link(self, source: str, target: str) -> None:
        """As `os.link`."""

    def replace(self, source: str, target: str) -> None:
        """As `os.replace`."""

    def unlink(self, path: str) -> None:
        """As `os.unlink`."""

    def mkdir(self, path: str, mode: int) -> None:
        """As `os.mkdir`."""

    def rmdir(self, path: str) -> None:
        """As `os.rmdir`."""

    def utime(self, path: str) -> None:
        """As `os.utime`: the time is now."""


class OsFiles:
    """The real ones."""

    open = staticmethod(os.open)
    pwrite = staticmethod(os.pwrite)
    fsync = staticmethod(os.fsync)
    fdatasync = staticmethod(getattr(os, "fdatasync", os.fsync))  # macOS has no fdatasync
    ftruncate = staticmethod(os.ftruncate)
    fchmod = staticmethod(os.fchmod)
    link = staticmethod(os.link)
    replace = staticmethod(os.replace)
    unlink = staticmethod(os.unlink)
    mkdir = staticmethod(os.mkdir)
    rmdir = staticmethod(os.rmdir)
    utime = staticmethod(os.utime)


def private_directory(path: Path) -> Path:
    """Make a directory, and what is missing above it, that only its owner may enter; return it."""
    if not path.is_dir():
        private_directory(path.parent)
        path.mkdir(DIRECTORY_MODE, exist_ok=True)
    return path


_REASONS = {
    errno.ENOSPC: ("no space left on the disk", "free some space, and do it again"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, and do it again"),
    errno.EROFS: ("the file system is read-only", "mount it writable, or copy the project to where you can write"),
    errno.EACCES: ("permission denied", "see who owns the .kitaru directory with `ls -ld .kitaru`"),
    errno.EPERM: ("not permitted", "the store needs a file system with hard links"),
    errno.EIO: ("the disk reports an input/output error", "see `dmesg`; then `kitaru fsck`"),
    errno.EMFILE: ("too many files are open in this process", "raise `ulimit -n`"),
    errno.ENFILE: ("too many files are open on this machine", "close some programs"),
    errno.ENOTSUP: ("the file system cannot do this", "the store needs a file system with hard links and flock"),
    errno.ENOLCK: ("the file system has no locks left", "the store needs a file system with flock"),
}


def is_full(error: BaseException) -> bool:
    """Tell whether an error is one of `store_error`, for want of room."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in {errno.ENOSPC, errno.EDQUOT}


def store_error(error: OSError, doing: str, path: str) -> StoreError:
    """Return a system call's refusal as an error for a user; `doing` is such as "write" or "read"."""
    reason, hint = _REASONS.get(error.errno or 0, (error.strerror or str(error), ""))
    failure = StoreError(f"cannot {doing} {path}: {reason}", hint=hint)
    failure.__cause__ = error
    return failure


def write_all(files: Files, fd: int, data: Piece, offset: int) -> int:
    """Write all of `data` at `offset`, however many calls it takes, and return where it ends."""
    written = files.pwrite(fd, data, offset)
    while written < len(data):
        if written <= 0:
            raise OSError(errno.EIO, "the disk took no bytes")
        data = data[written:]
        offset += written
        written = files.pwrite(fd, data, offset)
    return offset + written
