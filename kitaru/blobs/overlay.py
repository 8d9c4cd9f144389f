"""Blobs that are read from one place and written to memory: for trying out what must not change a store.

Owns: the whole `Workspace` contract over a base that is only ever read. What is written, moved or deleted here is so
for whoever reads here, and for nobody else. Knows nothing of runs.
"""

from __future__ import annotations

import threading
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

from kitaru.blobs.contract import check_key
from kitaru.blobs.memory import MemoryBlobs
from kitaru.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from kitaru.blobs.contract import Appender, Content, Lock, Workspace


class OverlayBlobs:
    """A `Workspace` whose changes are kept in memory.

    Args:
        base: what is there to begin with; nothing is ever written to it.
    """

    durable = False
    directory = None
    scratch = None

    def __init__(self, base: Workspace) -> None:
        self._base, self._top = base, MemoryBlobs()
        self._gone: set[str] = set()
        self._freshened: Counter[str] = Counter()
        self._guard = threading.RLock()

    def _below(self, key: str) -> Workspace:
        """Return where a key is to be read."""
        if self._top.exists(key):
            return self._top
        if key in self._gone:
            raise KeyError(key)
        return self._base

    def create(self, key: str, data: Content) -> bool:
        """Put `data` at `key`, exclusively; False if there is already something."""
        with self._guard:
            return not self.exists(key) and self._top.create(key, data)

    stage = create

    def get(self, key: str, *, limit: int | None = None, start: int = 0) -> bytes:
        """Return the bytes at `key` from `start` on; KeyError if there is nothing, Damaged if more than `limit`."""
        return self._below(key).get(key, limit=limit, start=start)

    def view(self, key: str) -> bytes | memoryview:
        """Return the bytes of a blob that will not change any more."""
        return self._below(key).view(key)

    def exists(self, key: str) -> bool:
        """Tell whether something is at `key`."""
        return self._top.exists(key) or (key not in self._gone and self._base.exists(key))

    def size(self, key: str) -> int:
        """Return how many bytes are at `key`; KeyError when nothing is."""
        return self._below(key).size(key)

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield all keys below `prefix`, sorted as directories are walked."""
        below = (key for key in self._base.keys(prefix) if key not in self._gone)
        yield from sorted({*self._top.keys(prefix), *below}, key=lambda key: key.split("/"))

    def children(self, prefix: str) -> list[str]:
        """Return the names one level below `prefix`, sorted."""
        start = prefix.rstrip("/") + "/"
        names = set(self._base.children(prefix))
        for name in {key[len(start) :].partition("/")[0] for key in self._gone if key.startswith(start)}:
            whole = start + name
            if next(self.keys(whole), None) is None:
                names.discard(name)
        return sorted(names | set(self._top.children(prefix)))

    def delete(self, key: str) -> None:
        """Remove what is at `key`, if anything."""
        with self._guard:
            self._top.delete(check_key(key))
            self._gone.add(key)

    def appender(self, key: str) -> Appender:
        """Make a new file at `key`."""
        with self._guard:
            if self.exists(key):
                raise StoreError(f"{self.where(key)} is there already")
            return self._top.appender(key)

    def adopt(self, source: str, key: str) -> bool:
        """Let the finished file at `source` be the blob at `key` too; False if `key` is taken."""
        return self.create(key, self.get(source))

    def move(self, key: str, to: str) -> None:
        """Put a blob out of the way, under a name nobody has."""
        with self._guard:
            if self.create(to, self.get(key)):
                self.delete(key)

    def replace(self, key: str, data: bytes, kept: str) -> None:
        """Put what is right in the place of a damaged blob, which is kept as `kept`."""
        with self._guard:
            self.create(kept, self.get(key))
            self.delete(key)
            self._top.create(key, data)

    def settle(self, key: str, *, content: bool = False) -> None:
        """Nothing here outlives the process; what is read from the base is not acted on."""

    def stamps(self, prefix: str, names: Collection[str] | None = None) -> dict[str, int]:
        """Return for each name below `prefix` a number that changes when something is added below it."""
        found: Counter[str] = Counter()
        for name, stamp in chain(self._base.stamps(prefix, names).items(), self._top.stamps(prefix, names).items()):
            found[name] += stamp
        return {name: found[name] for name in self.children(prefix) if names is None or name in names}

    def stamp(self, key: str) -> int:
        """Return a number that `freshen` changes; KeyError if nothing is there."""
        return self._below(key).stamp(key) + self._freshened[key]

    def freshen(self, key: str) -> bool:
        """Give a blob a new stamp; False if there is none."""
        with self._guard:
            self._freshened[key] += 1
        return self.exists(key)

    def prune(self, prefix: str) -> None:
        """There are no directories."""

    def lock(self, name: str, *, wait_s: float = 0.0) -> Lock | None:
        """Take a lock, trying for `wait_s`; None when another holds it, here or in the base."""
        return None if self._base.is_locked(name) else self._top.lock(name, wait_s=wait_s)

    def is_locked(self, name: str) -> bool:
        """Tell whether a lock is held, here or in the base."""
        return self._top.is_locked(name) or self._base.is_locked(name)

    def where(self, key: str) -> str:
        """Return how a user would find `key` in the base."""
        return self._base.where(key)
