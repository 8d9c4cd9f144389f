"""What one encoding in progress shares: the dispatch table, what is known, what was written.

Owns: turning bytes into items, and long ones into objects. Knows no Python type.

An *item* is how a part stands in its parent: its encoding when that is short, else a reference. Every encoder of a
type has the shape `(value, state, depth) -> item`, and has put the objects below the item into the state.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from kitaru.model.encoding import texts
from kitaru.model.encoding.wire import CONCAT, INLINE_MAX, REFERENCE, SPLIT_MIN, STR, Part, cuts, head, varint

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

EncodeFn = Callable[[Any, "State", int], bytes]


class State:
    """One encoding in progress; used by one thread.

    Args:
        table: encoder of each exact type.
        known: ids of objects that need not be returned; with an object, all that it refers to is known.
        keep: whether bytes of objects are wanted at all.
    """

    __slots__ = ("active", "keep", "known", "looks", "objects", "seen", "table")

    def __init__(self, table: Mapping[type, EncodeFn], known: Container[str], *, keep: bool) -> None:
        self.table = table
        self.known = known
        self.keep = keep
        self.seen: set[str] = set()
        self.objects: list[tuple[str, bytes]] = []
        self.active: set[int] = set()
        self.looks = True
        """Whether nested parts are looked up among those seen before: not inside of one that just was."""

    def has(self, object_ids: tuple[str, ...]) -> bool:
        """Tell whether objects, and so all that they refer to, need not be returned again."""
        if self.keep:
            seen, known = self.seen, self.known
            for object_id in object_ids:  # `all` of a generator costs three times this
                if object_id not in known and object_id not in seen:
                    return False
        return True

    def item(self, data: bytes) -> bytes:
        """Return the item of an encoding: itself when short, else a reference to a new object."""
        return data if len(data) <= INLINE_MAX else self.refer(data)

    def refer(self, data: bytes) -> bytes:
        """Make an object of `data`, and return a reference to it."""
        digest = sha256(data).digest()
        self.add(digest.hex(), data)
        return REFERENCE + digest

    def add(self, object_id: str, data: bytes) -> None:
        """Add an object, unless it is known or was added before."""
        if self.keep and object_id not in self.seen:
            self.seen.add(object_id)
            if object_id not in self.known:
                self.objects.append((object_id, data))

    def drop_since(self, mark: int) -> None:
        """Forget the objects added after there were `mark` of them: the part they belonged to was given up."""
        self.seen.difference_update(object_id for object_id, _ in self.objects[mark:])
        del self.objects[mark:]

    def text(self, tag: bytes, data: bytes | bytearray) -> bytes:
        """Return the item of a text with these bytes, cut into chunks when long."""
        size = len(data)
        ends = texts.cuts(data, letters=tag == STR)
        if not ends:
            return self.item(head(tag, size) + data)
        view = memoryview(data)
        parts = [Part(head(tag, end - start), view[start:end]) for start, end in pairwise((0, *ends, size))]
        entries = []
        for part, digest in zip(parts, texts.digests(parts), strict=True):
            self._add_part(digest.hex(), part, whole=len(part) <= texts.WHOLE or type(data) is bytearray)
            entries.append((digest + varint(len(part.body)), len(part.body)))
        return self.item(self.concatenation(tag, entries))

    def _add_part(self, object_id: str, part: Part, *, whole: bool) -> None:
        """Add a part of a text: put together, unless it is large and cannot change meanwhile."""
        if self.keep and object_id not in self.seen:
            data = bytes(part) if whole else cast("bytes", part)  # `Encoded` tells of it; no other use of it succeeds
            self.add(object_id, data)

    def sequence(self, tag: bytes, items: list[bytes]) -> bytes:
        """Return the item of a list, tuple, set or dict with these elements, cut into chunks when long."""
        if sum(map(len, items)) <= SPLIT_MIN:
            return self.item(head(tag, len(items)) + b"".join(items))
        ranges = list(cuts(items))
        if len(ranges) == 1:
            return self.refer(head(tag, len(items)) + b"".join(items))
        entries = []
        for start, end in ranges:
            chunk = self.refer(head(tag, end - start) + b"".join(items[start:end]))
            entries.append((chunk[1:] + varint(end - start), end - start))
        return self.item(self.concatenation(tag, entries))

    def concatenation(self, tag: bytes, entries: list[tuple[bytes, int]]) -> bytes:
        """Return the encoding of a concatenation.

        Args:
            tag: of its parts.
            entries: of each part, its id and count as bytes, and the count.
        """
        ranges = list(cuts([entry for entry, _ in entries]))
        if len(ranges) > 1 and sum(len(entry) for entry, _ in entries) > SPLIT_MIN:
            entries = [self._group(tag, entries[start:end]) for start, end in ranges]
            return self.concatenation(tag, entries)
        total = sum(count for _, count in entries)
        return CONCAT + tag + varint(total) + varint(len(entries)) + b"".join(entry for entry, _ in entries)

    def _group(self, tag: bytes, entries: list[tuple[bytes, int]]) -> tuple[bytes, int]:
        if len(entries) == 1:
            return entries[0]
        count = sum(count for _, count in entries)
        return self.refer(self.concatenation(tag, entries))[1:] + varint(count), count
