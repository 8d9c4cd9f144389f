"""What was encoded before: texts, small integers and dicts of plain parts, by content.

Owns: bounded memory of encodings. A key is immutable and says the exact type of everything in it, so that what is equal
across types (1, 1.0, True) never meets; nothing is known by identity. Knows nothing of objects or stores.
"""

from __future__ import annotations

from marshal import dumps
from typing import Any, Generic, TypeVar

Leaf = TypeVar("Leaf", str, bytes)

SMALL_ENTRIES = 4096
SMALL_LENGTH = 128
FLAT_KEYS = 16
"""A dict of more keys is not remembered."""

BY_VALUE = 2
"""The version of marshal that writes by value: later ones also write which parts are the same object."""

_NESTED_MAX = 64 * 1024
_NESTED_LEVELS = 32
LEAVES = frozenset({str, int, bool, float, bytes, type(None)})
NESTING = frozenset({str, int, bool, float, type(None), list, tuple, dict})

Item = tuple[bytes, tuple[str, ...]]
"""An item, and the ids of all objects that it refers to by itself."""


class LargeLeaves(Generic[Leaf]):
    """The items of long texts seen before, so that they are neither encoded nor hashed again.

    Two generations of at most `budget` characters each: when the young one is full it becomes the old one. Threads may
    share it: each step is one dict operation, and a lost entry only costs time.

    Args:
        budget: characters (or bytes) that one generation keeps alive.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._used = 0
        self._young: dict[Leaf, Item] = {}
        self._old: dict[Leaf, Item] = {}

    def get(self, leaf: Leaf) -> Item | None:
        """Return the item of a leaf, if remembered."""
        if len(leaf) > self._budget // 2:  # never put; and to hash it for a look costs as much as to hash it for good
            return None
        found = self._young.get(leaf)
        if found is None:
            found = self._old.get(leaf)
            if found is not None:
                self.put(leaf, found)
        return found

    def put(self, leaf: Leaf, found: Item) -> None:
        """Remember a leaf, unless it alone would fill most of the memory."""
        if len(leaf) > self._budget // 2:
            return
        self._used += len(leaf) + 200
        if self._used > self._budget:
            self._old, self._young, self._used = self._young, {}, len(leaf) + 200
        self._young[leaf] = found


STRINGS: dict[str, bytes] = {}
INTS: dict[int, bytes] = {}
LARGE_STRINGS: LargeLeaves[str] = LargeLeaves(24 << 20)
LARGE_BYTES: LargeLeaves[bytes] = LargeLeaves(24 << 20)


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


class Dicts:
    """The items of dicts seen before. Two generations, each of at most `budget` bytes, roughly, as in `LargeLeaves`.

    Args:
        budget: bytes of keys and values that one generation keeps alive.

    Attributes:
        shapes: a number for each sequence of exact types of keys and values that are leaves, given once for all time.
        young: the younger generation: looked at directly where every call counts.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._used = 0
        self.young: dict[object, Item] = {}
        self._old: dict[object, Item] = {}
        self.shapes: dict[tuple[type, ...], int] = {}

    def get(self, key: object) -> Item | None:
        """Return what is remembered under a key: (shape, keys and values), or content from `nested_key`."""
        found = self.young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self.young[key] = found
        return found

    def put(self, key: object, size: int, item: Item) -> None:
        """Remember an item; `size` is about that of its key in memory."""
        if size > self._budget // 8:
            return
        self._used += size + 500
        if self._used > self._budget:
            self._old, self.young, self._used = self.young, {}, size + 500
        self.young[key] = item

    def shape(self, types: tuple[type, ...]) -> int | None:
        """Return the number of a sequence of types, new if need be; None if they are not all those of leaves."""
        if not LEAVES.issuperset(types) or len(self.shapes) >= SMALL_ENTRIES:
            return None
        return self.shapes.setdefault(types, len(self.shapes))


def flat_size(flat: tuple[Any, ...]) -> int | None:
    """Return about how much memory leaves take, or None if they must not be a key: zeros are equal, NaN to nothing."""
    size = 0
    for leaf in flat:
        kind = type(leaf)
        if kind is float and (leaf == 0 or leaf != leaf):  # noqa: PLR0124 - true for NaN only
            return None
        size += len(leaf) if kind is str or kind is bytes else 0
    return size


def nested_key(value: dict[Any, Any]) -> bytes | None:
    """Return the content of a dict of dicts and lists as bytes, or None if it is large or of other types.

    Two values of the types in `is_plain` have equal keys only if they are equal in exact types, content and order. A
    value of other types may have the key of a dict with bytes in it: those are never put.
    """
    try:
        key = dumps(value, BY_VALUE)
    except ValueError:
        return None
    return key if len(key) <= _NESTED_MAX else None


def is_plain(value: object, level: int = 0) -> bool:
    """Tell whether a value consists of str, int, bool, float, None, list, tuple and dict, in few levels."""
    kind = type(value)
    if kind not in NESTING or level > _NESTED_LEVELS:
        return False
    if kind is dict:
        pairs: dict[Any, Any] = value  # type: ignore[assignment]  # its type was just looked at
        return all(is_plain(key, level + 1) and is_plain(part, level + 1) for key, part in pairs.items())
    if kind is list or kind is tuple:
        parts: list[Any] = value  # type: ignore[assignment]  # as above
        return all(is_plain(part, level + 1) for part in parts)
    return True


DICTS = Dicts(16 << 20)
