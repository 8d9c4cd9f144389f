"""What one encoding in progress shares: the dispatch table, what is known, what was written.

Owns: turning bytes into items, and long ones into objects. Knows no Python type.

An *item* is how a part stands in its parent: its encoding when that is short, else a reference. Every encoder of a
type has the shape `(value, state, depth) -> item`, and has put the objects below the item into the state.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from kitaru.model.encoding import texts
from kitaru.model.encoding.wire import CONCAT, INLINE_MAX, REFERENCE, SPLIT_MIN, STR, Part, cuts, head, varint

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

EncodeFn = Callable[[Any, "State", int], bytes]
SinkFn = Callable[[str, Part], None]


class Chunk(NamedTuple):
    """One part of a long text."""

    head: bytes
    body: memoryview


class State:
    """One encoding in progress; used by one thread.

    Args:
        table: encoder of each exact type.
        known: ids of objects that need not be returned; with an object, all that it refers to is known.
        keep: whether bytes of objects are wanted at all.
        sink: takes the parts of huge texts instead of `objects`; from any thread.
    """

    __slots__ = ("active", "again", "keep", "known", "looks", "objects", "seen", "sink", "table")

    def __init__(
        self, table: Mapping[type, EncodeFn], known: Container[str], *, keep: bool, sink: SinkFn | None = None
    ) -> None:
        self.table = table
        self.known = known
        self.keep = keep
        self.sink = sink
        self.seen: set[str] = set()
        self.objects: list[tuple[str, bytes]] = []
        self.active: set[int] = set()
        self.again = 0
        """About how many bytes were met again, or were known before: no less than half of what reading will repeat."""
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
        if not self.keep:
            return
        if object_id in self.seen:
            self.again += len(data)
            return
        self.seen.add(object_id)
        if object_id not in self.known:
            self.objects.append((object_id, data))

    def drop_since(self, mark: int) -> None:
        """Forget the objects added after there were `mark` of them: the part they belonged to was given up."""
        self.seen.difference_update(object_id for object_id, _ in self.objects[mark:])
        del self.objects[mark:]

    def text(self, tag: bytes, data: texts.Text) -> bytes:
        """Return the item of a text with these bytes, cut into chunks when long.

        Args:
            tag: `s`, `b` or `B`.
            data: the bytes. Other than `bytes`, they may be changed by another thread meanwhile, and are copied part
                by part. A memoryview is huge.
        """
        size = len(data)
        ends = texts.cuts(data, letters=tag == STR)
        if not ends:
            return self.item(head(tag, size) + data)
        view = memoryview(data)
        chunks = [Chunk(head(tag, end - start), view[start:end]) for start, end in pairwise((0, *ends, size))]
        refer = self._refer_huge if size > texts.HUGE else self._refer_all
        entries = [(digest + varint(count), count) for digest, count in refer(chunks)]
        return self.item(self.concatenation(tag, entries))

    def _refer_all(self, chunks: list[Chunk]) -> Iterator[tuple[bytes, int]]:
        for chunk in chunks:
            yield self.refer(b"".join(chunk))[1:], len(chunk.body)

    def _refer_huge(self, chunks: list[Chunk]) -> Iterator[tuple[bytes, int]]:
        for digest, count, part in texts.together(self._placed, chunks):
            if part is not None:
                data = bytes(part) if count <= texts.WHOLE else cast("bytes", part)  # `Encoded` tells of it
                self.add(digest.hex(), data)
            yield digest, count

    def _placed(self, chunk: Chunk) -> tuple[bytes, int, Part | None]:
        """Return digest and length of a part, and the part unless the sink took it. In several threads at once."""
        body = chunk.body
        if self.keep and type(body.obj) is not bytes:  # what is hashed must be what is written
            body = memoryview(bytes(body))
        made = sha256(chunk.head)
        made.update(body)
        part = Part(chunk.head, body)
        if self.sink is None or len(body) <= texts.WHOLE or not self.keep:
            return made.digest(), len(body), part if self.keep else None
        object_id = made.hexdigest()
        if object_id not in self.seen:
            self.seen.add(object_id)
            if object_id not in self.known:
                self.sink(object_id, part)
        return made.digest(), len(body), None

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
