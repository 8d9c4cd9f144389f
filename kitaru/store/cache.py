"""The local cache: bytes under names, in `cache/`, that anybody may delete at any time.

Owns: using diskcache without its pickles (its own disks unpickle what they find in the database, keys as well as
values), and that a cache that cannot be read is no cache. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diskcache.core  # type: ignore[import-untyped]  # it has no types

from kitaru.blobs.files import GROWING_MODE, private_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

_RAW, _BINARY = 1, 2
_VALUE_FILE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")
"""The names that diskcache gives to files; a database may say anything."""
_SETTINGS = dict(diskcache.DEFAULT_SETTINGS)
"""All of them are given at each opening: what the database says of them is not asked."""


class BytesDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no types
    """Keys are text and values bytes; whatever else a row says is refused, not interpreted."""

    def put(self, key: object) -> tuple[object, bool]:
        """Return the database's form of a key."""
        if type(key) is not str:
            raise TypeError("keys of the cache are text")
        return key, True

    def get(self, key: object, raw: object) -> object:
        """Return a key from the database's form."""
        if not raw or type(key) is not str:
            raise ValueError("a key in the cache is not text")
        return key

    def filename(self, key: object = diskcache.UNKNOWN, value: object = diskcache.UNKNOWN) -> tuple[str, str]:
        """Return where a value's file is to be, below the cache and in full; its directory is for the user alone."""
        below, path = super().filename(key, value)
        private_directory(Path(path).parent)
        return below, path

    def store(self, value: object, read: bool, key: object = None) -> Any:  # noqa: ANN401 - as diskcache has it
        """Return the database's form of a value."""
        if type(value) is not bytes:
            raise TypeError("values of the cache are bytes")
        stored = super().store(value, read, key=key)
        if stored[2] is not None:
            Path(self._directory, stored[2]).chmod(GROWING_MODE)
        return stored

    def fetch(self, mode: object, filename: str | None, value: object, read: bool) -> Any:  # noqa: ANN401 - as above
        """Return a value from the database's form."""
        if mode == _RAW and filename is None and isinstance(value, (bytes, memoryview)):
            return bytes(value)
        if mode == _BINARY and filename and self._is_inside(filename):
            return Path(self._directory, filename).read_bytes()
        raise ValueError("a value in the cache is not bytes")

    def remove(self, file_path: object) -> None:
        """Remove a value's file; a row that names anything outside the cache removes nothing."""
        if isinstance(file_path, str) and self._is_inside(file_path):
            super().remove(file_path)

    def _is_inside(self, filename: str) -> bool:
        if not _VALUE_FILE.fullmatch(filename):
            return False
        path = Path(self._directory, filename)
        return not any(part.is_symlink() for part in (path, *path.parents[:2]))


TIMEOUT = diskcache.Timeout
OF_THE_DISK = (OSError, sqlite3.OperationalError)
FAILURES = (sqlite3.Error, OSError, ValueError, TypeError, AttributeError, AssertionError, diskcache.Timeout)
"""What a cache that somebody damaged, or a directory that cannot be written, comes up with."""


def open_cache(directory: Path, *, size_limit: int = 1 << 30, eviction: str = "none") -> Any:  # noqa: ANN401 - diskcache has no types
    """Open a cache of bytes under text; what it does may raise any of `FAILURES`.

    Args:
        directory: where; made when needed.
        size_limit: bytes at which `eviction` begins.
        eviction: a policy of diskcache; `none` keeps everything.
    """
    _check_settings(directory)
    private_directory(directory)
    (directory / "cache.db").touch(GROWING_MODE)  # what the database makes beside it gets its rights
    settings = {**_SETTINGS, "size_limit": size_limit, "eviction_policy": eviction}
    return diskcache.Cache(str(directory), disk=BytesDisk, timeout=1, **settings)


def _check_settings(directory: Path) -> None:
    """Refuse a database with settings of its own: diskcache sets an attribute of itself for each that it finds."""
    database = directory / "cache.db"
    if not database.exists():
        return
    with contextlib.closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as db:
        try:
            found = {key for (key,) in db.execute("SELECT key FROM Settings")}
        except sqlite3.OperationalError:  # made just now, by another process
            return
    if not found <= _SETTINGS.keys() | diskcache.core.METADATA.keys():
        raise ValueError("the cache has settings that it was not made with")


class BytesCache:
    """A few blobs kept in a directory.

    Args:
        directory: where; made when needed, removed when it cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, keys: list[str]) -> dict[str, bytes]:
        """Return what is kept under these keys; nothing at all if the cache is damaged."""
        if not self._directory.is_dir():
            return {}
        try:
            with open_cache(self._directory) as cache:
                return {key: value for key in keys if (value := cache.get(key)) is not None}
        except FAILURES:
            shutil.rmtree(self._directory, ignore_errors=True)
            return {}

    def write(self, blobs: Mapping[str, bytes]) -> None:
        """Keep these; a failure is no matter, for all can be made again."""
        with contextlib.suppress(*FAILURES), open_cache(self._directory) as cache:
            for key, value in blobs.items():
                cache.set(key, value)
