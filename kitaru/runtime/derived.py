"""What is worked out from a source, kept so that not every process has to do it again.

Owns: the entries in `cache/code/`, and how much room they take. Any of them may be deleted, spoilt or cut short at any
time: then all is worked out anew. Knows nothing of stores and versions, nor of what the entries mean.

An entry is found by the SHA-256 of the very source that it was made of, and of what has made it: so it is never out of
date, and who has looked at a source has looked at what its entry says. It begins with a digest of itself under its
name, and what differs from that is never handed out. This tells damage, not malice: so nothing is handed out either
that another user has written, or might have.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from kitaru.blobs.files import private_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY = "code"
SIZE_LIMIT = 64 << 20
"""Bytes; where there are more, the oldest entries go."""

_FORM = b"kitaru code 1\n"
_HEAD = len(_FORM) + hashlib.sha256().digest_size
_MAX_DATA = 16 << 20
_BLOCK = 4096  # bytes that even the smallest file takes
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Derived:
    """The entries of one store.

    Args:
        cache: the store's directory for what can be made again; None where it has no disk, and nothing is kept.
        limit: bytes that all entries together may take.
    """

    def __init__(self, cache: Path | None, *, limit: int = SIZE_LIMIT) -> None:
        self.cache = cache
        self._directory = None if cache is None else cache / DIRECTORY
        self._limit = limit
        self._unchecked = limit  # bytes written since it was last looked how many there are: others write, too

    def find(self, key: str) -> bytes | None:
        """Return what was kept under a key; None where there is no such entry, or none that is whole."""
        if self._directory is None:
            return None
        entry = _read(self._directory / key)
        data = entry[_HEAD:]
        return data if entry[:_HEAD] == _FORM + _digest(key, data) else None

    def keep(self, key: str, data: bytes) -> None:
        """Keep what was worked out; no failure matters."""
        if self._directory is None or len(data) > _MAX_DATA:
            return
        with contextlib.suppress(OSError):
            _write(private_directory(self._directory) / key, _FORM + _digest(key, data) + data)
            self._unchecked += _room(len(data))
            if self._unchecked >= self._limit // 8:
                self._unchecked = 0
                _make_room(self._directory, self._limit)

    def clear(self) -> None:
        """Remove all entries."""
        if self._directory is not None:
            import shutil

            shutil.rmtree(self._directory, ignore_errors=True)


def key_of(source: bytes, maker: str) -> str:
    """Return the name of what `maker`, which tells all that decides the result, has made of these bytes."""
    return hashlib.sha256(maker.encode() + b"\0" + hashlib.sha256(source).digest()).hexdigest()


def _digest(key: str, data: bytes) -> bytes:
    return hashlib.sha256(key.encode() + data).digest()


def _read(path: Path) -> bytes:
    """Return a file's bytes; none where that cannot be, or it is no entry."""
    try:
        with os.fdopen(os.open(path, _READ), "rb") as file:
            found = os.fstat(file.fileno())
            return file.read() if _is_mine(found) and found.st_size <= _HEAD + _MAX_DATA else b""
    except OSError:
        return b""


def _is_mine(found: os.stat_result) -> bool:
    """Tell whether this is a file that nobody but this user can have written."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o022


def _write(path: Path, entry: bytes) -> None:
    """Put a file there whole; with the power it may come to be cut short, which its digest tells."""
    import tempfile

    fd, made = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(entry)
        Path(made).replace(path)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise


def _make_room(directory: Path, limit: int) -> None:
    """Remove the oldest files, and a quarter more than need be, if all together are over the limit."""
    found = sorted(_files(directory))
    size = sum(entry[2] for entry in found)
    if size <= limit:
        return
    for _, path, freed in found:
        if size <= limit * 3 // 4:
            return
        Path(path).unlink(missing_ok=True)
        size -= freed


def _files(directory: Path) -> Iterator[tuple[int, str, int]]:
    """Yield of each file when it was written, its path, and the room that it takes."""
    with os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # another process makes room, too
                found = entry.stat(follow_symlinks=False)
                yield found.st_mtime_ns, entry.path, _room(found.st_size)


def _room(size: int) -> int:
    return max(size, _BLOCK)
