"""Blobs in a dictionary: the whole `Workspace` contract without a disk, for users' own tests.

Owns: the same promises as a disk keeps, for as long as the process lives. Knows nothing of runs.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from kitaru.blobs.contract import check_key, pieces
from kitaru.errors import Damaged, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from kitaru.blobs.contract import Content


class MemoryLock:
    """A held lock of `MemoryBlobs`."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Let go; again is harmless."""
        release, self._release = self._release, None
        if release is not None:
            release()


class MemoryFile:
    """A file that grows, in memory (see `contract.Appender`)."""

    def __init__(self, content: bytearray) -> None:
        self._content = content
        self._open = True

    @property
    def size(self) -> int:
        """How many bytes were appended."""
        return len(self._content)

    @property
    def synced(self) -> int:
        """How many of them are known to be durable: memory has nothing to sync."""
        return len(self._content)

    def append(self, data: bytes) -> int:
        """Write `data` at the end, and return where the end is then."""
        if not self._open:
            raise StoreError("this journal is no longer open for writing here", hint="kitaru resume")
        self._content += data
        return len(self._content)

    def sync(self, upto: int) -> None:
        """Nothing is more durable than it is."""

    def close(self) -> None:
        """Write it no more."""
        self._open = False

    finish = close


class MemoryBlobs:
    """A `Workspace` in memory, safe to use from several threads."""

    durable = True
    directory = None
    scratch = None

    def __init__(self) -> None:
        self._content: dict[str, bytes | bytearray] = {}
        self._stamps: dict[str, int] = {}
        self._held: set[str] = set()
        self._guard = threading.Condition()
        self._changes = 0

    def create(self, key: str, data: Content) -> bool:
        """Put `data` at `key`, exclusively; False if there is already something."""
        content = data if isinstance(data, bytes) else b"".join(pieces(data))
        with self._guard:
            return self._put(key, content)

    stage = create

    def _put(self, key: str, content: bytes | bytearray) -> bool:
        if check_key(key) in self._content:
            return False
        self._content[key] = content
        self._changes += 1
        parent = key
        while parent := parent.rpartition("/")[0]:
            self._stamps.setdefault(parent, self._changes)
        self._stamps[key] = self._stamps[key.rpartition("/")[0]] = self._changes
        return True

    def appender(self, key: str) -> MemoryFile:
        """Make a new file at `key`."""
        content = bytearray()
        with self._guard:
            if not self._put(key, content):
                raise StoreError(f"{key} is there already")
        return MemoryFile(content)

    def adopt(self, source: str, key: str) -> bool:
        """Let the finished file at `source` be the blob at `key` too; False if `key` is taken."""
        with self._guard:
            return self._put(key, bytes(self._content[source]))

    def move(self, key: str, to: str) -> None:
        """Put a blob out of the way, under a name nobody has."""
        with self._guard:
            if self._put(to, self._content[key]):
                del self._content[key]

    def replace(self, key: str, data: bytes, kept: str) -> None:
        """Put what is right in the place of a damaged blob, which is kept as `kept`."""
        with self._guard:
            self._put(kept, self._content.pop(check_key(key)))
            self._put(key, data)

    def settle(self, key: str, *, content: bool = False) -> None:
        """Nothing is more durable than it is."""

    def delete(self, key: str) -> None:
        """Remove what is at `key`, if anything."""
        with self._guard:
            self._content.pop(check_key(key), None)

    def prune(self, prefix: str) -> None:
        """There are no directories."""

    def get(self, key: str, *, limit: int | None = None, start: int = 0) -> bytes:
        """Return the bytes at `key` from `start` on; KeyError if there is nothing, Damaged if more than `limit`."""
        with self._guard:
            content = bytes(self._content[check_key(key)])
        if limit is not None and len(content) > limit:
            raise Damaged(key, f"{len(content)} bytes, where at most {limit} belong")
        return content[start:]

    def view(self, key: str) -> bytes | memoryview:
        """Return the bytes of a blob that will not change any more."""
        return self.get(key)

    def exists(self, key: str) -> bool:
        """Tell whether something is at `key`."""
        return check_key(key) in self._content

    def size(self, key: str) -> int:
        """Return how many bytes are at `key`; KeyError when nothing is."""
        return len(self._content[check_key(key)])

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield all keys below `prefix`, sorted as directories are walked."""
        start = prefix.rstrip("/") + "/"
        with self._guard:
            found = [key for key in self._content if key.startswith(start)]
        yield from sorted(found, key=lambda key: key.split("/"))

    def children(self, prefix: str) -> list[str]:
        """Return the names one level below `prefix`, sorted."""
        start = prefix.rstrip("/") + "/"
        return sorted({key[len(start) :].partition("/")[0] for key in self.keys(prefix)})

    def stamps(self, prefix: str, names: Collection[str] | None = None) -> dict[str, int]:
        """Return for each name below `prefix` a number that changes when something is added below it."""
        start = prefix.rstrip("/") + "/"
        there = self.children(prefix)
        return {name: self._stamps[start + name] for name in there if names is None or name in names}

    def stamp(self, key: str) -> int:
        """Return a number that `freshen` changes; KeyError if nothing is there."""
        if key not in self._content:
            raise KeyError(key)
        return self._stamps[key]

    def freshen(self, key: str) -> bool:
        """Give a blob a new stamp; False if there is none."""
        with self._guard:
            if key not in self._content:
                return False
            self._changes += 1
            self._stamps[key] = self._changes
            return True

    def lock(self, name: str, *, wait_s: float = 0.0) -> MemoryLock | None:
        """Take a lock, trying for `wait_s`; None when another thread holds it."""
        with self._guard:
            if not self._guard.wait_for(lambda: name not in self._held, timeout=wait_s):
                return None
            self._held.add(name)
        return MemoryLock(lambda: self._unlock(name))

    def _unlock(self, name: str) -> None:
        with self._guard:
            self._held.discard(name)
            self._guard.notify_all()

    def is_locked(self, name: str) -> bool:
        """Tell whether a lock is held."""
        return name in self._held

    def where(self, key: str) -> str:
        """Return the key: there is no file."""
        return key
