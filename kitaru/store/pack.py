"""A pack: many sealed journals in one file, one after the other, and an index by which each is found.

Owns: the byte format. Pure: bytes in, bytes out. Knows nothing of files, and of the segments only their hashes: each is
verified by its own, wherever it lies.

    pack    = magic 8s, segments, index
    index   = magic 8s, hashes, places, trailer
    hashes  = for each segment, ascending: its hash, 32 bytes
    places  = for each segment, in the same order: offset u64, length u64
    trailer = offset of the index u64, segments u32, CRC-32 of magic to places u32, CRC-32 of the 16 bytes before u32,
              magic 8s
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from kitaru.errors import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAGIC = b"KITARUP1"
INDEX_MAGIC = b"KTPACKI1"
END_MAGIC = b"KITARUQ1"
_PLACE = struct.Struct("<QQ")
_TRAILER = struct.Struct("<QIII8s")
_HASH = 32
_CHUNK = 1024 * 1024


class Pack:
    """A pack whose index is whole.

    Args:
        data: its bytes, mapped.
        where: its path, for messages.

    Raises:
        Damaged: it is no pack, or its index is not what was written.
    """

    def __init__(self, data: bytes | memoryview, where: str) -> None:
        self.where, self._data = where, data
        at = len(data) - _TRAILER.size
        if at < 0 or data[: len(MAGIC)] != MAGIC:
            raise Damaged(where, "the header at offset 0 is not that of a pack")
        self._end: int
        self._count: int
        self._end, self._count, crc, check, magic = _TRAILER.unpack_from(data, at)
        if magic != END_MAGIC or zlib.crc32(data[at : at + 16]) != check:
            raise Damaged(where, f"the trailer at offset {at} is not that of a pack")
        self._hashes = self._end + len(INDEX_MAGIC)
        self._places = self._hashes + self._count * _HASH
        if self._places + self._count * _PLACE.size != at or zlib.crc32(data[self._end : at]) != crc:
            raise Damaged(where, f"the index at offset {self._end} is damaged")

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self._data)

    def __iter__(self) -> Iterator[str]:
        """Yield the ids of its segments as they lie; raises as `in_order`."""
        return (segment_id for segment_id, _, _ in self.in_order())

    def in_order(self) -> list[tuple[str, int, int]]:
        """Return id, offset and length of its segments as they lie.

        Raises:
            Damaged: they do not lie one after the other: an index could make a few bytes stand for a lot of segments.
        """
        places = sorted(((self._id(n), *self._place(n)) for n in range(self._count)), key=lambda found: found[1:])
        end = len(MAGIC)
        for _, offset, length in places:
            if offset != end:
                raise Damaged(self.where, f"the index at offset {self._end} has a gap or an overlap at {end}")
            end += length
        if end != self._end or len({found[0] for found in places}) != len(places):
            raise Damaged(self.where, f"the index at offset {self._end} does not fit what is before it")
        return places

    def find(self, segment_id: str) -> tuple[int, int] | None:
        """Return offset and length of a segment, or None; by bisection, for who wants one needs not look at all."""
        wanted, low, high = bytes.fromhex(segment_id), 0, self._count
        while low < high:
            middle = (low + high) // 2
            if self._hash(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return self._place(low) if low < self._count and self._hash(low) == wanted else None

    def segment(self, segment_id: str) -> bytes | memoryview | None:
        """Return the bytes of a segment, not verified; None if it is not here."""
        found = self.find(segment_id)
        return None if found is None else self._data[found[0] : found[0] + found[1]]

    def _hash(self, number: int) -> bytes:
        at = self._hashes + number * _HASH
        return bytes(self._data[at : at + _HASH])

    def _id(self, number: int) -> str:
        return self._hash(number).hex()

    def _place(self, number: int) -> tuple[int, int]:
        offset, length = _PLACE.unpack_from(self._data, self._places + number * _PLACE.size)
        if offset < len(MAGIC) or offset + length > self._end:
            raise Damaged(self.where, f"the index at offset {self._end} points outside the pack")
        return offset, length


def build(segments: Iterable[tuple[str, bytes | memoryview]]) -> Iterator[bytes]:
    """Yield the bytes of a pack, a piece at a time.

    Args:
        segments: id and bytes of each, each id once, in the order in which they are to lie.
    """
    piece, end = [MAGIC], len(MAGIC)
    size, places = end, []
    for segment_id, data in segments:
        places.append((bytes.fromhex(segment_id), end, len(data)))
        piece.append(bytes(data))
        end += len(data)
        size += len(data)
        if size >= _CHUNK:
            yield b"".join(piece)
            piece, size = [], 0
    yield b"".join([*piece, _index(end, sorted(places))])


def _index(offset: int, places: list[tuple[bytes, int, int]]) -> bytes:
    body = b"".join([INDEX_MAGIC, *(p[0] for p in places), *(_PLACE.pack(*p[1:]) for p in places)])
    head = struct.pack("<QII", offset, len(places), zlib.crc32(body))
    return body + head + struct.pack("<I8s", zlib.crc32(head), END_MAGIC)
