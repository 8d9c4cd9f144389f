"""The bytes: tags, varints, lengths, and where long sequences are cut.

Owns: every constant of the value encoding of format 1 (docs/format-values.md). Knows no Python type but bytes and int.
Nothing here may change without a new format number: ids are hashes of these bytes.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INLINE_MAX = 256
"""A part whose encoding is longer than this is an object of its own, named in its parent by a reference."""

SPLIT_MIN = 2048
"""A sequence whose elements take more bytes than this is cut into chunks."""

CHUNK_MIN = 512
CHUNK_MAX = 16384
CHUNK_MASK = 15

MAX_DEPTH = 200
"""Levels of nesting; one costs at most two Python frames, so that the interpreter's own limit is not met first."""

MAX_CONCAT_DEPTH = 24
"""Levels of concatenation nodes above a chunk; each level has at least fifteen children, so 24 are never needed."""

REFERENCE = b"R"
CONCAT = b"C"
NONE, TRUE, FALSE, ELLIPSIS, NOT_IMPLEMENTED, UNSET = b"N", b"T", b"F", b".", b"!", b"U"
INT, FLOAT, COMPLEX, STR, BYTES, BYTEARRAY, RANGE = b"i", b"f", b"c", b"s", b"b", b"B", b"r"
LIST, TUPLE, DICT, SET, FROZENSET = b"l", b"t", b"d", b"e", b"z"
DATETIME, DATE, TIME, TIMEDELTA, TIMEZONE, ZONE = b"w", b"D", b"M", b"Y", b"O", b"Z"
DECIMAL, UUID, PATH = b"m", b"u", b"p"
ENUM, DATACLASS, NAMEDTUPLE, MODEL, EXCEPTION = b"n", b"k", b"K", b"y", b"X"
EXTENSION, REGISTERED = b"x", b"S"

CANONICAL_NAN = b"\x7f\xf8\x00\x00\x00\x00\x00\x00"


class Malformed(ValueError):
    """Bytes that no encoder writes; becomes `Damaged` where the object's id is known."""


class Part:
    """The bytes of an object that are not put together, for they are large and lie in memory already.

    Args:
        head: how they begin.
        body: how they go on; bytes.
    """

    __slots__ = ("body", "head")

    def __init__(self, head: bytes, body: memoryview) -> None:
        self.head = head
        self.body = body

    def __len__(self) -> int:
        return len(self.head) + len(self.body)

    def __bytes__(self) -> bytes:
        return b"".join((self.head, self.body))


class Buffer:
    """Bytes of something else, huge, and not to be copied: encoded as `bytes` are.

    Args:
        view: one dimension of bytes; more than 32 MiB.
    """

    __slots__ = ("view",)

    def __init__(self, view: memoryview) -> None:
        self.view = view


def varint(n: int) -> bytes:
    """Return `n` (not negative) as a little-endian base-128 integer, in its shortest form."""
    if n < 128:
        return n.to_bytes(1, "big")
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def read_varint(data: bytes, pos: int) -> tuple[int, int]:
    """Return the varint at `pos` and the position after it.

    Raises:
        Malformed: longer than nine bytes, or not the shortest form.
        IndexError: the data ends inside it.
    """
    byte = data[pos]
    if byte < 128:
        return byte, pos + 1
    n, shift = byte & 127, 7
    while True:
        pos += 1
        byte = data[pos]
        n |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift > 56:
            raise Malformed("a length is absurd")
    if byte == 0:
        raise Malformed("a length is not in its shortest form")
    return n, pos + 1


def read_length(data: bytes, pos: int) -> tuple[int, int]:
    """Return a length or count at `pos`, checked against the bytes that are left (an element takes at least one)."""
    n = data[pos]
    if n < 128:  # nearly always; a call of `read_varint` would double the time
        pos += 1
    else:
        n, pos = read_varint(data, pos)
    if n > len(data) - pos:
        raise Malformed(f"it claims {n} bytes or elements where {len(data) - pos} bytes are left")
    return n, pos


_SHORT_HEADS = {
    tag: tuple(tag + varint(n) for n in range(128)) for tag in (INT, STR, BYTES, BYTEARRAY, LIST, TUPLE, DICT)
}


def head(tag: bytes, n: int) -> bytes:
    """Return a tag followed by a length or count."""
    if n < 128 and tag in _SHORT_HEADS:
        return _SHORT_HEADS[tag][n]
    return tag + varint(n)


STR_HEADS, DICT_HEADS, LIST_HEADS = _SHORT_HEADS[STR], _SHORT_HEADS[DICT], _SHORT_HEADS[LIST]


def cuts(items: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Yield the ranges into which a long sequence is cut, given the encoded elements.

    A chunk ends after an element whose CRC-32 says so, once it has CHUNK_MIN bytes, or at CHUNK_MAX bytes. So a cut
    depends only on the elements since the last cut, and an insertion moves few: the rest is shared.

    Source: content-defined chunking, Muthitacharoen et al., LBFS, SOSP 2001, on elements instead of a rolling window.
    """
    ends = list(accumulate(map(len, items)))
    marked = [end for end, crc in enumerate(map(crc32, items), 1) if not crc & CHUNK_MASK]
    marked.append(len(items))
    start = size = 0
    while start < len(items):
        least = bisect_left(ends, size + CHUNK_MIN, start) + 1
        most = bisect_left(ends, size + CHUNK_MAX, start) + 1
        end = min(most, marked[min(bisect_left(marked, least), len(marked) - 1)])
        yield start, end
        start, size = end, ends[end - 1]
