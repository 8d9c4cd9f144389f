"""One journal or segment, read and verified: its records in order, its objects, and what lies torn at its end.

Owns: what is a torn tail and what is damage; hashing and parsing everything in a journal. Pure: bytes in.
Knows nothing of other journals, so it cannot tell whether the first record's parent is the right one.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from kitaru.errors import Damaged
from kitaru.model import canonical
from kitaru.store import envelope, footer

if TYPE_CHECKING:
    from kitaru.model.records import Stored
    from kitaru.store.envelope import Frame, Journal

CACHE_BYTES = 32 * 1024 * 1024


OBJECT_BYTES = 8 * 1024 * 1024


class FrameCache:
    """The frames read last, decompressed, up to so many bytes, and objects of runs read whole; safe between threads.

    A resume asks for the objects of the run it has just read, one by one: these are kept as they were when their
    hashes were taken, so that none is looked up, cut out and hashed again.
    """

    def __init__(self, limit: int = CACHE_BYTES, objects_limit: int = OBJECT_BYTES) -> None:
        self._limit, self._size = limit, 0
        self._frames: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._objects_limit, self._objects_size = objects_limit, 0
        self._objects: dict[str, bytes] = {}
        self._guard = Lock()
        self.object = self._objects.get
        """Return the verified bytes kept under an object's id, or None."""

    def keep(self, objects: dict[str, bytes], size: int) -> None:
        """Keep verified objects, `size` bytes in all; what is too much for the limit pushes out all kept before."""
        with self._guard:
            if self._objects_size + size > self._objects_limit:
                self._objects.clear()
                self._objects_size = 0
            if size <= self._objects_limit:
                self._objects.update(objects)
                self._objects_size += size

    def get(self, key: tuple[str, int, int]) -> bytes | None:
        """Return the frame kept at `key` (path, offset, raw length)."""
        with self._guard:
            raw = self._frames.get(key)
            if raw is not None:
                self._frames.move_to_end(key)
            return raw

    def put(self, key: tuple[str, int, int], raw: bytes) -> None:
        """Keep a frame."""
        with self._guard:
            if key not in self._frames:
                self._frames[key] = raw
                self._size += len(raw)
            while self._size > self._limit and len(self._frames) > 1:
                self._size -= len(self._frames.popitem(last=False)[1])


@dataclass(slots=True)
class Strand:
    """The verified content of a journal or segment.

    Attributes:
        where: its path, for messages.
        journal: its header.
        records: its records; each but the first names the one before it.
        objects: id to frame, start and end.
        frames: its frames, and per frame the number of records in it.
        end: where its envelopes end.
    """

    where: str
    journal: Journal
    records: list[Stored] = field(default_factory=list)
    objects: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    end: int = 0

    def absorb(self, data: bytes | memoryview, cache: FrameCache | None = None) -> None:
        """Read what the journal holds beyond what this strand knows of it; the last frame known is read anew.

        Raises:
            Damaged: bytes that were durable once are not what was written.
        """
        start = self._rewind()
        walked = envelope.walk(data, start, self.journal.seed, self.frames)
        self.end = walked.end
        for number in range(len(self.counts), len(self.frames)):
            frame = self.frames[number]
            raw = envelope.inflate(data, frame, self.where)
            objects = self._take(raw, number, frame.offset)
            if cache is not None:
                cache.put((self.where, frame.offset, frame.raw_length), raw)
                cache.keep(objects, len(raw))

    def _rewind(self) -> int:
        if not self.frames:
            return self.journal.start
        last = self.frames.pop()
        count = self.counts.pop()
        if count:
            del self.records[-count:]
        return last.offset

    def _take(self, raw: bytes, number: int, offset: int) -> dict[str, bytes]:
        sha256, decode, is_object = hashlib.sha256, canonical.decode, envelope.OBJECT
        objects, taken = self.objects, self.records
        place = f"{self.where}: the frame at offset {offset}"
        before = len(taken)
        head = taken[-1].id if taken else None
        found: dict[str, bytes] = {}
        for kind, start, end in envelope.entries(raw, self.where, offset):
            data = raw[start:end]
            if kind == is_object:
                object_id = sha256(data).hexdigest()
                found[object_id] = data
                if object_id not in objects:
                    objects[object_id] = (number, start, end)
                continue
            stored = decode(data, place)
            if head is not None and stored.parent != head:
                raise Damaged(self.where, f"a record in the frame at offset {offset} does not follow the one before it")
            head = stored.id
            taken.append(stored)
        self.counts.append(len(taken) - before)
        return found

    def footer(self) -> bytes:
        """Return the footer that seals these envelopes: the same, byte for byte, whoever builds it."""
        frames = [(f.offset, f.raw_length, n) for f, n in zip(self.frames, self.counts, strict=True)]
        return footer.build(self.end, frames, [(i, n, s, e - s) for i, (n, s, e) in self.objects.items()])


def read_journal(data: bytes, where: str, cache: FrameCache | None = None) -> tuple[Strand | None, bytes]:
    """Read an open journal: the envelopes that are whole, and what a crash tore off behind them.

    Returns:
        The strand, or None where not even the header is whole; and the torn bytes.

    Raises:
        Damaged: what is broken was durable once, for a later envelope says so.
    """
    try:
        strand = Strand(where, envelope.parse_header(data, where))
    except Damaged:
        return None, headless_tail(data, where)
    strand.absorb(data, cache)
    return strand, torn_tail(data, strand.end, strand.journal.seed, where)


def torn_tail(data: bytes, end: int, seed: int, where: str) -> bytes:
    """Return what a crash left after the last whole envelope; zeros are room written ahead, and nothing.

    Raises:
        Damaged: a later envelope knew these bytes to be durable.
    """
    rest = data[end:].rstrip(b"\0")
    if not rest or (rest.startswith(footer.FOOTER_MAGIC)):
        return b""
    if envelope.promised_beyond(data, end, seed) > end:
        raise Damaged(where, f"the envelope at offset {end} is damaged, and calls recorded after it exist")
    return rest


def headless_tail(data: bytes, where: str) -> bytes:
    """Return what there is of a journal whose header is no header: what a crash before the first sync left.

    Raises:
        Damaged: an envelope in it knew the header to be durable.
    """
    at = data.find(envelope.MAGIC)
    while at >= 0:
        if at + envelope.HEADER.size <= len(data) and 0 < envelope.HEADER.unpack_from(data, at)[4] <= at:
            raise Damaged(where, "the header at offset 0 is damaged, and calls recorded after it exist")
        at = data.find(envelope.MAGIC, at + 1)
    return data.rstrip(b"\0")


def read_segment(data: bytes | memoryview, segment_id: str, where: str, cache: FrameCache | None = None) -> Strand:
    """Read a sealed journal whole, every byte of it checked.

    Raises:
        Damaged: any byte is not what was written.
    """
    index = footer.parse(data, where)
    strand = Strand(where, envelope.parse_header(data, where))
    strand.absorb(data[: index.offset], cache)
    if strand.end != index.offset:
        raise Damaged(where, f"the envelope at offset {strand.end} is damaged")
    if hashlib.sha256(data).hexdigest() != segment_id:
        raise Damaged(where, "its content does not have the hash that names it")
    return strand


class Sealed:
    """A sealed journal of which single objects are wanted: only the frame that holds one is read.

    Args:
        data: its bytes, mapped.
        where: its path, for messages.
        cache: keeps frames.
    """

    def __init__(self, data: bytes | memoryview, where: str, cache: FrameCache) -> None:
        self._data, self._where, self._cache = data, where, cache
        self._index = footer.parse(data, where)
        self._seed = envelope.parse_header(data, where).seed

    def find(self, object_id: str) -> bytes | None:
        """Return an object's bytes, verified; None if it is not here.

        Raises:
            Damaged: it is here, but not what was written.
        """
        for number, start, length in self._index.find(object_id):
            data = self._object(number, start, length)
            found = hashlib.sha256(data).hexdigest()
            if found == object_id:
                return data
            if found[:16] != object_id[:16]:
                raise Damaged(self._where, f"object {object_id[:16]} does not have the hash that names it")
        return None

    def ids(self, prefix: str) -> list[str]:
        """Return the ids of the objects here that begin with `prefix`."""
        low, high = prefix[:16].ljust(16, "0"), prefix[:16].ljust(16, "f")
        places = [place for _, place in self._index.between(low, high)]
        ids = [hashlib.sha256(self._object(*place)).hexdigest() for place in places]
        return [i for i in ids if i.startswith(prefix)]

    def _object(self, number: int, start: int, length: int) -> bytes:
        if number >= len(self._index.frames):
            raise Damaged(self._where, f"the index at offset {self._index.offset} is damaged")
        offset, raw_length, _ = self._index.frames[number]
        key = (self._where, offset, raw_length)
        raw = self._cache.get(key)
        if raw is None:
            raw = self._frame(number)
            self._cache.put(key, raw)
        if start + length > len(raw):
            raise Damaged(self._where, f"the index at offset {self._index.offset} is damaged")
        return raw[start : start + length]

    def _frame(self, number: int) -> bytes:
        frames = self._index.frames
        offset, raw_length, _ = frames[number]
        end = frames[number + 1][0] if number + 1 < len(frames) else self._index.offset
        walked = envelope.walk(self._data[:end], offset, self._seed)
        if walked.end != end or len(walked.frames) != 1 or walked.frames[0].raw_length != raw_length:
            raise Damaged(self._where, f"the envelope at offset {walked.end} is damaged")
        return envelope.inflate(self._data, walked.frames[0], self._where)
