"""The local cache: bytes under names, in `cache/`, that anybody may delete at any time.

Owns: using diskcache without its pickles (its own disks unpickle what they find in the database, keys as well as
values), and that a cache that cannot be read is no cache. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diskcache  # type: ignore[import-untyped]  # it has no types

if TYPE_CHECKING:
    from collections.abc import Mapping

_RAW, _BINARY = 1, 2


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

    def store(self, value: object, read: bool, key: object = None) -> Any:  # noqa: ANN401 - as diskcache has it
        """Return the database's form of a value."""
        if type(value) is not bytes:
            raise TypeError("values of the cache are bytes")
        return super().store(value, read, key=key)

    def fetch(self, mode: object, filename: str | None, value: object, read: bool) -> Any:  # noqa: ANN401 - as above
        """Return a value from the database's form."""
        if mode == _RAW and filename is None and isinstance(value, (bytes, memoryview)):
            return bytes(value)
        if mode == _BINARY and filename and self._is_inside(filename):
            return Path(self._directory, filename).read_bytes()
        raise ValueError("a value in the cache is not bytes")

    def _is_inside(self, filename: str) -> bool:
        path = Path(filename)
        return not path.is_absolute() and ".." not in path.parts and not Path(self._directory, path).is_symlink()


FAILURES = (sqlite3.Error, OSError, ValueError, TypeError, diskcache.Timeout)
"""What a cache that somebody damaged, or a directory that cannot be written, comes up with."""


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
            with self._opened() as cache:
                return {key: value for key in keys if (value := cache.get(key)) is not None}
        except FAILURES:
            shutil.rmtree(self._directory, ignore_errors=True)
            return {}

    def write(self, blobs: Mapping[str, bytes]) -> None:
        """Keep these; a failure is no matter, for all can be made again."""
        with contextlib.suppress(*FAILURES), self._opened() as cache:
            for key, value in blobs.items():
                cache.set(key, value)

    def _opened(self) -> Any:  # noqa: ANN401 - diskcache has no types
        return diskcache.Cache(str(self._directory), disk=BytesDisk, timeout=1, eviction_policy="none")
