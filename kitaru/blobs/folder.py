"""Blobs in a folder that several machines or people share: a mounted share, a disk of a server.

Owns: what a shared folder is more than a local store: the clock of its server, listings with times, and rights that
follow those of the folder itself. Knows nothing of runs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from kitaru.blobs import trying
from kitaru.blobs.contract import Listed, check_key
from kitaru.blobs.files import Files, OsFiles, store_error
from kitaru.blobs.local import LocalBlobs
from kitaru.errors import Damaged, NotExclusive, RemoteError, RemoteRefused, RemoteUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kitaru.blobs.contract import Unfinished

PIECE_BYTES = 1 << 20
_RIGHTS = 0o777 | stat.S_ISGID


class SharedFiles(OsFiles):
    """System calls that give what they make the rights of the folder it is in, as git's `core.sharedRepository` does.

    Args:
        root: the folder; one that only its owner may enter stays private.
    """

    def __init__(self, root: str) -> None:
        self._root = root

    def mkdir(self, path: str, mode: int) -> None:  # type: ignore[override]  # paths are strings here
        """As `os.mkdir`, with the rights of the folder."""
        Path(path).mkdir(mode)
        if path != self._root:
            Path(path).chmod(mode | self._rights())

    def fchmod(self, fd: int, mode: int) -> None:
        """As `os.fchmod`; who may read the folder may read a file in it."""
        os.fchmod(fd, mode | self._rights() & 0o444)

    def _rights(self) -> int:
        return Path(self._root).stat().st_mode & _RIGHTS


_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP}
_RIGHT = {errno.EACCES, errno.EROFS}
_ROOM = {errno.ENOSPC, errno.EDQUOT}


def folder_error(error: OSError, doing: str, path: str) -> RemoteError:
    """Return a system call's failure as one of a remote."""
    message = store_error(error, doing, path).message
    if error.errno in _NO_LINKS:
        hint = "two writers are told apart by hard links, which this file system does not make: use another one"
        return NotExclusive(message, hint=hint)
    if error.errno in _RIGHT:
        return RemoteRefused(message, hint=f"ask whoever owns the folder for the right to {doing} there")
    if error.errno in _ROOM:
        return RemoteError(message, hint="free some space there, and do it again")
    return RemoteUnreachable(message, hint="see whether the share is mounted, with `df`; then do it again")


class FolderBlobs(LocalBlobs):
    """A `RemoteBlobs` in a folder. Exclusive by link, as a local store is; nothing executes there.

    Args:
        root: the folder, made when something is first written; the folder around it must be there.
        files: the system calls that write.
        random_bytes: names scratch files.

    Raises:
        RemoteUnreachable: there is no such place, for instance because a share is not mounted.
    """

    _refusal = staticmethod(folder_error)
    max_key_bytes: int | None = None

    def __init__(
        self, root: Path | str, files: Files | None = None, random_bytes: Callable[[int], bytes] = os.urandom
    ) -> None:
        path = Path(root).expanduser().absolute()
        _check_place(path)
        super().__init__(path, files=files or SharedFiles(str(path)), random_bytes=random_bytes)
        self._checked: set[str] = set()

    @property
    def url(self) -> str:
        """The path of the folder."""
        return self._root

    def listing(self, prefix: str) -> Iterator[Listed]:
        """Yield all below `prefix`, sorted by key, as the folder tells it: a key may be none that this store makes."""
        yield from sorted(self._listed(prefix.rstrip("/")))

    def _listed(self, prefix: str) -> Iterator[Listed]:
        waiting = [prefix]
        while waiting:
            directory = waiting.pop()
            with self._scan_path(self._path(directory) if directory else self._root) as entries:
                for entry in entries:
                    key = f"{directory}/{entry.name}" if directory else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(key)
                    else:
                        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                            found = entry.stat(follow_symlinks=False)
                            yield Listed(key, found.st_size, found.st_mtime_ns // 1000)

    def unfinished(self) -> list[Unfinished]:
        """Return nothing: what is written here lies in `tmp/` until it is finished."""
        return []

    def chunks(self, key: str, *, limit: int | None = None) -> Iterator[bytes]:
        """Yield the bytes at `key` piece by piece; KeyError if there is nothing, Damaged if more than `limit`."""
        with self._open(key) as fd:
            size = os.fstat(fd).st_size
            if limit is not None and size > limit:
                raise Damaged(self._path(key), f"{size} bytes, where at most {limit} belong")
            done = 0
            while piece := os.pread(fd, PIECE_BYTES, done):
                done += len(piece)
                yield piece
            if done != size:
                raise Damaged(self._path(key), f"{done} bytes were read of {size}")

    def now_us(self) -> int:
        """Return the time by the clock of whoever serves the folder: that of a file just made there."""
        key = f"tmp/{self._random_bytes(12).hex()}-now"
        self.create(key, b"now")
        try:
            return self.stamp(key) // 1000
        finally:
            self.delete(key)

    def is_exclusive(self) -> bool:
        """Try out whether `create` lets exactly one of several writers win, with scratch keys below `tmp/`."""
        return trying.is_exclusive(self, self._random_bytes)

    def _path(self, key: str) -> str:
        """Return the path of a key, none of whose directories is a link that somebody laid out of the folder."""
        directory = check_key(key).rpartition("/")[0]
        if directory and directory not in self._checked:
            path = super()._path(directory)
            if Path(path).is_symlink():
                raise Damaged(path, "a link, where a directory belongs")
            self._path(directory)
            if os.path.lexists(path):
                self._checked.add(directory)
        return super()._path(key)


def _check_place(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise RemoteUnreachable(f"{path} is not a folder", hint="kitaru remote add NAME FOLDER")
    if not path.parent.is_dir():
        raise RemoteUnreachable(f"there is no folder {path.parent}", hint="mount the share, or make the folder")
