"""What is still whole in the bytes of a damaged journal, segment or pack.

Owns: how far damaged bytes can be believed. Pure: what is done with it is `repair`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.errors import Damaged
from kitaru.store import envelope
from kitaru.store.pack import Pack
from kitaru.store.strand import Strand

if TYPE_CHECKING:
    from collections.abc import Iterator


_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """A segment in damaged bytes.

    Attributes:
        segment: the id that it had, where that is known.
        strand: its envelopes before the damage, or all; None where not even the header is whole.
        whole: these with the index that follows from them: a segment.
    """

    segment: str | None
    strand: Strand | None
    whole: bytes

    @property
    def id(self) -> str:
        """The id of `whole`."""
        return hashlib.sha256(self.whole).hexdigest()


def whole_part(data: bytes | memoryview, where: str) -> Strand | None:
    """Return what is whole of a journal from its beginning; None where not even the header is."""
    try:
        strand = Strand(where, envelope.parse_header(data, where))
        strand.absorb(data)
    except Damaged:
        return None
    return strand


def part(data: bytes | memoryview, where: str, segment: str | None = None) -> Part:
    """Return what can be had of a segment that begins where these bytes do."""
    strand = whole_part(data, where)
    return Part(segment, strand, bytes(data[: strand.end]) + strand.footer() if strand else b"")


def parts(data: bytes | memoryview, where: str) -> Iterator[Part]:
    """Yield what can be had of each segment in a damaged pack: by its index, or where that is damaged by looking."""
    try:
        places = Pack(data, where).in_order()
    except Damaged:
        yield from _looked_for(memoryview(data), where)
        return
    for segment, offset, length in places:
        yield part(data[offset : offset + length], where, segment)


def _looked_for(data: memoryview, where: str) -> Iterator[Part]:
    end = 0
    for at in _places(data, envelope.JOURNAL_MAGIC):
        if at >= end:
            found = part(data[at:], where)
            yield found
            end = at + max(len(found.whole), 1)


def _places(data: memoryview, magic: bytes) -> Iterator[int]:
    """Yield where some bytes are found, without a copy of all that is looked through."""
    for start in range(0, len(data), _CHUNK):
        chunk = bytes(data[start : start + _CHUNK + len(magic) - 1])
        at = chunk.find(magic)
        while at >= 0:
            yield start + at
            at = chunk.find(magic, at + 1)
