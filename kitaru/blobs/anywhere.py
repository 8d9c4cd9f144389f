"""Blobs at any URL that fsspec knows: a bucket of another provider, a server, memory.

Owns: how the promises of `RemoteBlobs` are made of what every file system of fsspec can do. Few of them can create a
file only if there is none; with the others nothing but good luck tells two writers apart, and `is_exclusive` says so.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import fsspec  # type: ignore[import-untyped]  # it has no types
from fsspec.asyn import AsyncFileSystem  # type: ignore[import-untyped]  # as above

from kitaru.blobs import trying
from kitaru.blobs.contract import Listed, check_key, pieces
from kitaru.errors import BadConfig, Damaged, KitaruError, RemoteRefused, RemoteUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kitaru.blobs.contract import Content, Unfinished

PIECE_BYTES = 1 << 20
_ATOMIC = {"gs", "gcs", "az", "abfs", "abfss", "adl"}
"""Whose `mode="create"` is a condition that the server checks; elsewhere it is a look before the write."""
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created", "timeCreated")


class AnywhereBlobs:
    """A `RemoteBlobs` over an fsspec file system.

    Args:
        url: where it is, without credentials.
        random_bytes: names scratch keys.
        clock_us: the time here, for servers that do not tell theirs.

    Raises:
        BadConfig: fsspec knows no such URL, or the library for it is not installed.
    """

    def __init__(
        self,
        url: str,
        random_bytes: Callable[[int], bytes] = os.urandom,
        clock_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.url = url.rstrip("/")
        self.max_key_bytes: int | None = None  # nobody tells; what is too long is refused when it is written
        self._random_bytes = random_bytes
        self._clock_us = clock_us
        self._exclusive = False
        self._systems: dict[int, tuple[Any, str, contextlib.AbstractContextManager[object]]] = {}
        self._system()

    def create(self, key: str, data: Content) -> bool:
        """Put `data` at `key`; False if there is already something."""
        content = b"".join(pieces(data))
        if not self._exclusive and self.exists(key):
            return False
        with self._using(check_key(key), "write") as (system, path):
            try:
                system.makedirs(path.rpartition("/")[0], exist_ok=True)
                system.pipe_file(path, content, mode="create" if self._exclusive else "overwrite")
            except FileExistsError:
                return False
        return True

    def get(self, key: str, *, limit: int | None = None, start: int = 0) -> bytes:
        """Return the bytes at `key` from `start` on; KeyError if there is nothing, Damaged if more than `limit`."""
        size = self._limited(key, limit)
        with self._using(check_key(key), "read") as (system, path):
            data = bytes(system.cat_file(path, start=start)) if start < size else b""
        return _whole(data, max(size - start, 0), self.where(key))

    def view(self, key: str) -> bytes:
        """Return the bytes at `key`."""
        return self.get(key)

    def chunks(self, key: str, *, limit: int | None = None) -> Iterator[bytes]:
        """Yield the bytes at `key` piece by piece; raises as `get` does."""
        size = self._limited(key, limit)
        for at in range(0, size, PIECE_BYTES):
            end = min(at + PIECE_BYTES, size)
            with self._using(check_key(key), "read") as (system, path):
                piece = bytes(system.cat_file(path, start=at, end=end))
            yield _whole(piece, end - at, self.where(key))

    def _limited(self, key: str, limit: int | None) -> int:
        size = self.size(key)
        if limit is not None and size > limit:
            raise Damaged(self.where(key), f"{size} bytes, where at most {limit} belong")
        return size

    def exists(self, key: str) -> bool:
        """Tell whether something is at `key`."""
        try:
            self.size(key)
        except KeyError:
            return False
        return True

    def size(self, key: str) -> int:
        """Return how many bytes are at `key`; KeyError when nothing is."""
        with self._using(check_key(key), "read") as (system, path):
            found = system.info(path)
        if found.get("type") != "file":
            raise KeyError(key)
        return int(found["size"])

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield all keys below `prefix`, sorted as directories are walked."""
        yield from sorted((listed.key for listed in self._listed(prefix)), key=lambda key: key.split("/"))

    def listing(self, prefix: str) -> Iterator[Listed]:
        """Yield all below `prefix`, sorted by key; what has no time was written now, as far as anybody knows."""
        yield from sorted(self._listed(prefix))

    def _listed(self, prefix: str) -> list[Listed]:
        below = prefix.rstrip("/")
        with self._using("", "list") as (system, root):
            start = f"{root}/{below}" if below else root
            found = system.find(start, detail=True) if system.isdir(start) else {}
        now_us = self._clock_us()
        return [
            Listed(name[len(root) :].lstrip("/"), int(entry["size"]), _changed_us(entry, now_us))
            for name, entry in found.items()
        ]

    def unfinished(self) -> list[Unfinished]:
        """Return nothing: fsspec tells of none."""
        return []

    def children(self, prefix: str) -> list[str]:
        """Return the names one level below `prefix`, sorted."""
        start = len(prefix.rstrip("/")) + 1
        return sorted({listed.key[start:].partition("/")[0] for listed in self._listed(prefix)})

    def delete(self, key: str) -> None:
        """Remove what is at `key`, if anything."""
        with contextlib.suppress(KeyError), self._using(check_key(key), "delete") as (system, path):
            system.rm_file(path)

    def settle(self, key: str, *, content: bool = False) -> None:
        """What the server has answered for is durable, as far as fsspec can tell."""

    def now_us(self) -> int:
        """Return the time of a file just made there; this machine's where files there have none."""
        key = f"tmp/{self._random_bytes(12).hex()}-now"
        self.create(key, b"now")
        try:
            return next(listed.changed_us for listed in self._listed("tmp") if listed.key == key)
        finally:
            self.delete(key)

    def is_exclusive(self) -> bool:
        """Tell whether `create` lets exactly one of several writers win: tried out where it can be at all."""
        self._exclusive = self.url.partition("://")[0].lower() in _ATOMIC
        self._exclusive = self._exclusive and trying.is_exclusive(self, self._random_bytes)
        return self._exclusive

    def where(self, key: str) -> str:
        """Return the URL of `key`, for messages."""
        return f"{self.url}/{key}"

    @contextlib.contextmanager
    def _using(self, key: str, doing: str) -> Iterator[tuple[Any, str]]:
        """Yield the file system and the path of a key (the root's for none); failures become errors for a user."""
        system, root, guard = self._system()
        try:
            with guard:
                yield system, f"{root}/{key}" if key else root
        except (KitaruError, KeyError):
            raise
        except FileNotFoundError:
            raise KeyError(key) from None
        except PermissionError as error:
            message = f"{self.url}: these credentials may not {doing} there"
            raise RemoteRefused(message, hint=f"ask for the right to {doing} there") from error
        except Exception as error:
            message = f"{self.url}: cannot {doing} there ({type(error).__name__})"
            raise RemoteUnreachable(message, hint="see the network and the URL with `kitaru remote list`") from error

    def _system(self) -> tuple[Any, str, contextlib.AbstractContextManager[object]]:
        """Return this process's file system, its root, and what keeps threads apart where the library does not."""
        pid = os.getpid()
        if pid not in self._systems:
            try:
                options = {"skip_instance_cache": True, "use_listings_cache": False}
                system, root = fsspec.core.url_to_fs(self.url, **options)
            except (ValueError, ImportError) as error:
                hint = "s3://BUCKET/PREFIX, a folder, or a URL whose fsspec library is installed"
                raise BadConfig(f"no remote can be opened at {self.url}", hint=hint) from error
            guard = contextlib.nullcontext() if isinstance(system, AsyncFileSystem) else threading.RLock()
            self._systems.setdefault(pid, (system, root.rstrip("/"), guard))
        return self._systems[pid]


def _whole(data: bytes, size: int, where: str) -> bytes:
    if len(data) != size:
        raise Damaged(where, f"{len(data)} bytes came of {size}")
    return data


def _changed_us(entry: dict[str, Any], now_us: int) -> int:
    for name in _TIMES:
        found = entry.get(name)
        if isinstance(found, str):
            with contextlib.suppress(ValueError):
                found = datetime.fromisoformat(found)
        if isinstance(found, datetime):
            return int(found.timestamp() * 1_000_000)
        if isinstance(found, int | float):
            return int(found * 1_000_000)
    return now_us
