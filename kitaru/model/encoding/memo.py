"""What was encoded before: texts and small integers, by content.

Owns: bounded memory of encodings. Only provably immutable leaves of one exact type per table: keys that are equal
across types (1, 1.0, True) never meet, and nothing mutable is remembered. Knows nothing of objects or stores.
"""

from __future__ import annotations

from typing import Generic, TypeVar

Leaf = TypeVar("Leaf", str, bytes)

SMALL_ENTRIES = 4096
SMALL_LENGTH = 128


class LargeLeaves(Generic[Leaf]):
    """The reference and id of long texts seen before, so that they are neither encoded nor hashed again.

    Two generations of at most `budget` characters each: when the young one is full it becomes the old one. Threads may
    share it: each step is one dict operation, and a lost entry only costs time.

    Args:
        budget: characters (or bytes) that one generation keeps alive.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._used = 0
        self._young: dict[Leaf, tuple[bytes, str]] = {}
        self._old: dict[Leaf, tuple[bytes, str]] = {}

    def get(self, leaf: Leaf) -> tuple[bytes, str] | None:
        """Return the reference item and hex id of a leaf, if remembered."""
        found = self._young.get(leaf)
        if found is None:
            found = self._old.get(leaf)
            if found is not None:
                self.put(leaf, found)
        return found

    def put(self, leaf: Leaf, found: tuple[bytes, str]) -> None:
        """Remember a leaf, unless it alone would fill a good part of the memory."""
        if len(leaf) > self._budget // 8:
            return
        self._used += len(leaf) + 200
        if self._used > self._budget:
            self._old, self._young, self._used = self._young, {}, len(leaf) + 200
        self._young[leaf] = found


STRINGS: dict[str, bytes] = {}
INTS: dict[int, bytes] = {}
LARGE_STRINGS: LargeLeaves[str] = LargeLeaves(8 << 20)
LARGE_BYTES: LargeLeaves[bytes] = LargeLeaves(8 << 20)


def keep_string(text: str, item: bytes) -> None:
    """Remember a short text's encoding; the table starts afresh when full."""
    if len(STRINGS) >= SMALL_ENTRIES:
        STRINGS.clear()
    STRINGS[text] = item


def keep_int(number: int, item: bytes) -> None:
    """Remember a small integer's encoding; the table starts afresh when full."""
    if len(INTS) >= SMALL_ENTRIES:
        INTS.clear()
    INTS[number] = item
