"""The index at the end of a sealed journal, by which one object is found without reading the others.

Owns: the footer's byte format. Pure. It can always be made again from the envelopes, and is made of nothing else, so
that sealing the same envelopes twice gives the same bytes.

    footer  = magic 8s, frames, prefixes, places, trailer
    frames  = for each frame: offset u64, raw length u32, records in it u32
    prefixes= for each object, ascending: the first 8 bytes of its id, as a little-endian u64 of the big-endian number
    places  = for each object, in the same order: frame u32, where its bytes start in the frame's raw bytes u32,
              how many they are u32
    trailer = footer offset u64, frames u32, objects u32, CRC-32 of magic to places u32, CRC-32 of the 20 bytes
              before u32, magic 8s
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.errors import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOOTER_MAGIC = b"KTINDEX1"
END_MAGIC = b"KITARUS1"
_FRAME = struct.Struct("<QII")
_PLACE = struct.Struct("<III")
_TRAILER = struct.Struct("<QIIII8s")


@dataclass(frozen=True, slots=True)
class Footer:
    """A parsed footer: `frames` is (offset, raw length, records) of each; lookups go by the first 8 bytes of an id."""

    offset: int
    frames: list[tuple[int, int, int]]
    prefixes: Sequence[int]
    places: bytes | memoryview

    def find(self, object_id: str) -> list[tuple[int, int, int]]:
        """Return frame, start and length of each object whose id begins as this one does: nearly always one or none."""
        prefixes, wanted, found = self.prefixes, int(object_id[:16], 16), []
        at = bisect_left(prefixes, wanted)
        while at < len(prefixes) and prefixes[at] == wanted:
            found.append(_PLACE.unpack_from(self.places, at * _PLACE.size))
            at += 1
        return found

    def between(self, low: str, high: str) -> Iterator[tuple[int, tuple[int, int, int]]]:
        """Yield prefix and place of the objects whose first 16 hex digits lie in this range, ends included."""
        first, last = int(low, 16), int(high, 16)
        at = bisect_left(self.prefixes, first)
        while at < len(self.prefixes) and self.prefixes[at] <= last:
            yield self.prefixes[at], _PLACE.unpack_from(self.places, at * _PLACE.size)
            at += 1


def build(offset: int, frames: list[tuple[int, int, int]], objects: list[tuple[str, int, int, int]]) -> bytes:
    """Return the footer that goes at `offset`.

    Args:
        offset: the end of the envelopes.
        frames: offset, raw length and number of records of each.
        objects: id, frame, start and length of each.
    """
    ordered = sorted((int(o[0][:16], 16), o[1], o[2], o[3]) for o in objects)
    body = b"".join(
        [
            FOOTER_MAGIC,
            *(_FRAME.pack(*f) for f in frames),
            struct.pack(f"<{len(ordered)}Q", *(o[0] for o in ordered)),
            *(_PLACE.pack(*o[1:]) for o in ordered),
        ]
    )
    head = struct.pack("<QIII", offset, len(frames), len(ordered), zlib.crc32(body))
    return body + head + struct.pack("<I8s", zlib.crc32(head), END_MAGIC)


def parse(data: bytes | memoryview, where: str) -> Footer:
    """Return the footer of a sealed journal.

    Raises:
        Damaged: it has none, or not a whole one.
    """
    at = len(data) - _TRAILER.size
    if at < 0:
        raise Damaged(where, "too short to be a segment")
    offset, n_frames, n_objects, crc, check, magic = _TRAILER.unpack_from(data, at)
    if magic != END_MAGIC or zlib.crc32(data[at : at + 20]) != check:
        raise Damaged(where, f"the trailer at offset {at} is not that of a segment")
    frames_at = offset + len(FOOTER_MAGIC)
    prefixes_at = frames_at + n_frames * _FRAME.size
    places_at = prefixes_at + n_objects * 8
    if places_at + n_objects * _PLACE.size != at or zlib.crc32(data[offset:at]) != crc:
        raise Damaged(where, f"the index at offset {offset} is damaged")
    frames = [_FRAME.unpack_from(data, frames_at + i * _FRAME.size) for i in range(n_frames)]
    return Footer(offset, frames, _numbers(data[prefixes_at:places_at]), data[places_at:at])


def _numbers(data: bytes | memoryview) -> Sequence[int]:
    if sys.byteorder == "little":
        return memoryview(data).cast("Q")
    numbers = array("Q", bytes(data))
    numbers.byteswap()
    return numbers
