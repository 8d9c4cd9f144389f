"""Blobs as files below one directory of a local disk.

Owns: how a name comes to exist (written in `tmp/`, synced, linked, its directory synced) and how files are read.
Knows nothing of runs; a key is a path below the root.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from kitaru.blobs import locks
from kitaru.blobs.contract import check_key, pieces
from kitaru.blobs.files import DIRECTORY_MODE, GROWING_MODE, SEALED_MODE, Files, OsFiles, store_error, write_all
from kitaru.blobs.growing import GrowingFile
from kitaru.errors import Damaged, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from contextlib import AbstractContextManager

    from kitaru.blobs.contract import Content, Piece

T = TypeVar("T")

TMP = "tmp"
LOCKS = "locks"
CACHE = "cache"
_TRIES = 20
"""So often in a row nobody has the luck to find a directory empty between two system calls of another process."""
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # nobody waits for a pipe's other end
_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class LocalBlobs:
    """A `Workspace` on a local disk.

    Args:
        root: the directory; made when something is first written.
        durable: False leaves out every sync, at the same order of writes: safe against a process's death only.
        files: the system calls that write.
        random_bytes: names files in `tmp/`.
    """

    _refusal = staticmethod(store_error)
    """What a system call's failure is called."""

    def __init__(
        self,
        root: Path | str,
        durable: bool = True,
        files: Files | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.root = self.directory = Path(root)
        self.durable = durable
        self.scratch = self.root / CACHE
        self._root = os.fspath(root)
        self._files = files or OsFiles()
        self._random_bytes = random_bytes
        self._ready: set[str] = set()

    # -- names ---------------------------------------------------------------------------------------------------

    def create(self, key: str, data: Content) -> bool:
        """Put `data` at `key`, exclusively and durably; False if there is already something.

        Never `O_EXCL` on the name itself: a kill would leave it taken and empty for ever.
        """
        return self._make(key, data, self._publish)

    def stage(self, key: str, data: Content) -> bool:
        """As `create`, but with the name not durable before `settle`: many new files then share a sync or two."""
        return self._make(key, data, self._link_unsettled)

    def _make(self, key: str, data: Content, publish: Callable[[str, str], bool]) -> bool:
        path = self._path(key)
        if os.path.lexists(path):
            return False
        scratch = self._path(f"{TMP}/{self._random_bytes(12).hex()}")
        try:
            self._ensure(f"{TMP}/x")
            fd = self._files.open(scratch, _MAKE, GROWING_MODE)
            try:
                self._fill(fd, pieces(data))
                return publish(scratch, key)
            finally:
                os.close(fd)
                self._files.unlink(scratch)
        except OSError as error:
            raise self._refusal(error, "write", path) from error

    def _fill(self, fd: int, chunks: Iterable[Piece]) -> None:
        end = 0
        for chunk in chunks:
            if chunk:
                end = write_all(self._files, fd, chunk, end)
        self._files.fchmod(fd, SEALED_MODE)
        if self.durable:
            self._files.fsync(fd)

    def _publish(self, source: str, key: str) -> bool:
        if not self._link_unsettled(source, key):
            return False
        self._settle_name(key)
        return True

    def _link_unsettled(self, source: str, key: str) -> bool:
        try:
            self._name(key, lambda target: self._files.link(source, target))
        except FileExistsError:
            return False
        return True

    def _name(self, key: str, make: Callable[[str], T]) -> T:
        """Make a name, in a directory that another process may remove, being empty, until the name is there."""
        target, directory = self._path(key), key.rpartition("/")[0]
        for attempt in range(_TRIES):
            try:
                if directory not in self._ready:
                    self._make_directory(directory)
                return make(target)
            except FileNotFoundError:
                if attempt == _TRIES - 1:
                    raise
                self._ready.clear()
        raise AssertionError("the last try returns or raises")

    def _settle_name(self, key: str) -> None:
        self._ensure(key)
        self._sync_directory(os.path.dirname(self._path(key)))  # noqa: PTH120 - keys are strings, and this is a hot path

    def adopt(self, source: str, key: str) -> bool:
        """Let the finished file at `source` be the blob at `key` too, without a copy; False if `key` is taken."""
        try:
            return self._publish(self._path(source), key)
        except OSError as error:
            raise self._refusal(error, "write", self._path(key)) from error

    def move(self, key: str, to: str) -> None:
        """Put a blob out of the way, under a name nobody has."""
        try:
            if self._publish(self._path(key), to):
                self._files.unlink(self._path(key))
        except OSError as error:
            raise self._refusal(error, "move", self._path(key)) from error

    def replace(self, key: str, data: bytes, kept: str) -> None:
        """Put what is right in the place of a damaged blob, kept as `kept`: one of both is there at any time."""
        path, scratch = self._path(key), self._path(f"{TMP}/{self._random_bytes(12).hex()}")
        try:
            self._ensure(f"{TMP}/x")
            fd = self._files.open(scratch, _MAKE, GROWING_MODE)
            try:
                self._fill(fd, [data])
            finally:
                os.close(fd)
            self._publish(path, kept)
            self._files.replace(scratch, path)
            self._sync_directory(os.path.dirname(path))  # noqa: PTH120 - as above
        except OSError as error:
            raise self._refusal(error, "write", path) from error

    def settle(self, key: str, *, content: bool = False) -> None:
        """Make a name that was found durable, before it is relied on; with `content`, its bytes too."""
        if not self.durable:
            return
        path = self._path(key)
        try:
            if content:
                self._sync_path(path, 0)
            self._settle_name(key)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._refusal(error, "sync", path) from error

    def freshen(self, key: str) -> bool:
        """Set a file's time to now, as git does with an object it is given again; False if nothing is there."""
        path = self._path(key)
        try:
            self._files.utime(path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._refusal(error, "write", path) from error
        return True

    def delete(self, key: str) -> None:
        """Remove what is at `key`, if anything."""
        try:
            self._files.unlink(self._path(key))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._refusal(error, "remove", self._path(key)) from error

    def prune(self, prefix: str) -> None:
        """Remove the directory `prefix` if it is empty; never an error."""
        with contextlib.suppress(OSError):
            self._files.rmdir(self._path(prefix))
            self._ready.discard(prefix)

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, key: str, *, limit: int | None = None, start: int = 0) -> bytes:
        """Return the bytes at `key` from `start` on; KeyError if there is nothing, Damaged if more than `limit`."""
        with self._open(key) as fd:
            size = os.fstat(fd).st_size
            if limit is not None and size > limit:
                raise Damaged(self._path(key), f"{size} bytes, where at most {limit} belong")
            return _read(fd, start, size - start)

    def view(self, key: str) -> bytes | memoryview:
        """Return the bytes of a sealed blob, mapped into memory. Never of a file that may be cut: that is SIGBUS."""
        with self._open(key) as fd:
            size = os.fstat(fd).st_size
            if not size:
                return b""
            return memoryview(mmap.mmap(fd, size, prot=mmap.PROT_READ))

    def exists(self, key: str) -> bool:
        """Tell whether something is at `key`."""
        return os.path.lexists(self._path(key))

    def size(self, key: str) -> int:
        """Return how many bytes are at `key`; KeyError when nothing is."""
        with self._open(key) as fd:
            return os.fstat(fd).st_size

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield all keys below `prefix`, sorted."""
        found = []
        with self._scan(prefix) as entries:
            for entry in entries:
                found.append((entry.name, entry.is_dir(follow_symlinks=False)))
        for name, is_directory in sorted(found):
            key = f"{prefix.rstrip('/')}/{name}"
            if is_directory:
                yield from self.keys(key)
            else:
                yield key

    def children(self, prefix: str) -> list[str]:
        """Return the names one level below `prefix`, sorted."""
        with self._scan(prefix) as entries:
            return sorted(entry.name for entry in entries)

    def stamps(self, prefix: str, names: Collection[str] | None = None) -> dict[str, int]:
        """Return for each name below `prefix` its modification time: for a directory, when a name was added."""
        if names is not None:
            return dict(self._stamps_of(prefix, names))
        stamps = {}
        with self._scan(prefix) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    stamps[entry.name] = entry.stat(follow_symlinks=False).st_mtime_ns
        return stamps

    def _stamps_of(self, prefix: str, names: Collection[str]) -> Iterator[tuple[str, int]]:
        directory = self._path(prefix)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                yield name, os.lstat(f"{directory}/{name}").st_mtime_ns

    def stamp(self, key: str) -> int:
        """Return the modification time of a file, which is never written again: when it was made, or freshened."""
        with self._open(key) as fd:
            return os.fstat(fd).st_mtime_ns

    def where(self, key: str) -> str:
        """Return the path of the file at `key`, for messages."""
        return self._path(key)

    # -- what grows, and locks -----------------------------------------------------------------------------------

    def appender(self, key: str) -> GrowingFile:
        """Make a new file at `key`, its name durable."""
        path = self._path(key)
        try:
            fd = self._name(key, lambda target: self._files.open(target, _MAKE, GROWING_MODE))
            self._settle_name(key)
        except OSError as error:
            raise self._refusal(error, "write", path) from error
        return GrowingFile(self._files, path, fd, durable=self.durable)

    def lock(self, name: str, *, wait_s: float = 0.0) -> locks.FileLock | None:
        """Take a lock, trying for `wait_s`; None when another holds it."""
        key = f"{LOCKS}/{name}"
        try:
            self._ensure(key)
            return locks.acquire(self._path(key), wait_s)
        except OSError as error:
            raise self._refusal(error, "lock", self._path(key)) from error

    def is_locked(self, name: str) -> bool:
        """Tell whether a lock is held, leaving no trace."""
        path = self._path(f"{LOCKS}/{name}")
        try:
            return locks.probe(path)
        except OSError as error:
            raise self._refusal(error, "read", path) from error

    # -- paths ---------------------------------------------------------------------------------------------------

    def _path(self, key: str) -> str:
        return f"{self._root}/{check_key(key)}"

    def _ensure(self, key: str) -> None:
        """Make the directory of `key`, and be sure of its own name, once in this object's life."""
        directory = key.rpartition("/")[0]
        if directory in self._ready:
            return
        path = self._make_directory(directory)
        self._sync_directory(os.path.dirname(path) or ".")  # noqa: PTH120 - as above
        self._ready.add(directory)

    def _make_directory(self, directory: str) -> str:
        """Make a directory, whose name is not durable yet, in one whose name is; return its path."""
        path = f"{self._root}/{directory}" if directory else self._root
        if directory:
            self._ensure(directory)
        with contextlib.suppress(FileExistsError):
            self._files.mkdir(path, DIRECTORY_MODE)
        return path

    def _sync_directory(self, path: str) -> None:
        if self.durable:
            self._sync_path(path, os.O_DIRECTORY)

    def _sync_path(self, path: str, flags: int) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
        try:
            self._files.fsync(fd)
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _open(self, key: str) -> Iterator[int]:
        path = self._path(key)
        try:
            fd = os.open(path, _READ)
        except (FileNotFoundError, NotADirectoryError):
            raise KeyError(key) from None
        except OSError as error:
            raise self._unreadable(error, path) from error
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Damaged(path, "not a file")
            yield fd
        except OSError as error:
            raise self._unreadable(error, path) from error
        finally:
            os.close(fd)

    def _scan(self, prefix: str) -> AbstractContextManager[Iterable[os.DirEntry[str]]]:
        return self._scan_path(self._path(prefix.rstrip("/")))

    @contextlib.contextmanager
    def _scan_path(self, path: str) -> Iterator[Iterable[os.DirEntry[str]]]:
        try:
            with os.scandir(path) as entries:
                yield entries
        except (FileNotFoundError, NotADirectoryError):
            yield ()
        except OSError as error:
            raise self._refusal(error, "read", path) from error

    def _unreadable(self, error: OSError, path: str) -> StoreError:
        """Return why a file cannot be read: what is wrong with it alone is damage, so that others are looked at."""
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, or a socket
            return Damaged(path, "not a file")
        if error.errno == errno.EIO:
            return Damaged(path, "the disk reports an input/output error")
        return self._refusal(error, "read", path)


def _read(fd: int, start: int, size: int) -> bytes:
    """Read to the end, which may be further off by now than it was."""
    parts: list[bytes] = []
    while chunk := os.pread(fd, size if size > 0 and not parts else 1 << 20, start):
        parts.append(chunk)
        start += len(chunk)
        size -= len(chunk)
        if size == 0:
            break
    return parts[0] if len(parts) == 1 else b"".join(parts)
