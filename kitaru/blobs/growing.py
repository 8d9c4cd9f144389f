"""A file that grows by appending, with shared syncs.

Owns: prefilling, so that a sync needs no change of metadata, and group commit. Knows nothing of what is appended.
A file is written only by the object that made it; after any failure, not even by that.
"""

from __future__ import annotations

import os
import threading

from kitaru.blobs.files import SEALED_MODE, Files, store_error, write_all
from kitaru.blobs.locks import forget_in_children
from kitaru.errors import StoreError

FIRST_FILL = 16 * 1024
NEXT_FILL = 256 * 1024
"""Zeros written ahead, so that the size and the blocks of the file are settled before the bytes come: an overwrite and
`fdatasync` takes two thirds of the time of an append and `fdatasync`. The first step is small, for most runs are."""


class GrowingFile:
    """An open file at its end (see `contract.Appender`).

    Args:
        files: the system calls.
        path: the file, which must not exist.
        fd: the descriptor, just created.
        durable: False makes every sync a matter of course.
    """

    def __init__(self, files: Files, path: str, fd: int, *, durable: bool) -> None:
        self._files, self._path, self._fd, self._durable = files, path, fd, durable
        self._size = self._synced = self._filled = 0
        self._sync_lock = threading.Lock()
        self._broken: StoreError | None = None
        forget_in_children(self)

    @property
    def size(self) -> int:
        """How many bytes were appended."""
        return self._size

    @property
    def synced(self) -> int:
        """How many of them are known to be durable."""
        return self._synced

    def append(self, data: bytes) -> int:
        """Write `data` at the end, and return where the end is then."""
        self._check()
        end = self._size + len(data)
        if end > self._filled and self._durable:
            self._filled = end + (NEXT_FILL if self._size else FIRST_FILL)
            data += bytes(self._filled - end)
        try:
            write_all(self._files, self._fd, data, self._size)
        except OSError as error:
            raise self._failed("write", error) from error
        self._size = end
        return end

    def sync(self, upto: int) -> None:
        """Return when the first `upto` bytes are durable.

        Whoever gets the lock syncs for all that was appended by then; the others find it done.
        """
        if not self._durable:
            self._check()
            return
        with self._sync_lock:
            if self._synced >= upto:
                return
            self._check()
            size = self._size
            try:
                self._files.fdatasync(self._fd)
            except OSError as error:
                raise self._failed("sync", error) from error
            self._synced = size

    def finish(self) -> None:
        """Make everything durable, give the file exactly its size, and write it no more."""
        with self._sync_lock:
            self._check()
            try:
                self._settle()
            except OSError as error:
                raise self._failed("finish", error) from error
            self._synced = self._size
        self.close()

    def close(self) -> None:
        """Write it no more, and leave it as it is."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    forget = close

    def _settle(self) -> None:
        self._files.ftruncate(self._fd, self._size)
        self._files.fchmod(self._fd, SEALED_MODE)
        if self._durable:
            self._files.fsync(self._fd)

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken
        if self._fd < 0:
            raise StoreError(f"{self._path} is no longer open for writing here", hint="kitaru resume")

    def _failed(self, doing: str, error: OSError) -> StoreError:
        """Return a system call's refusal, after which nothing is written any more."""
        self._broken = store_error(error, doing, self._path)
        return self._broken
