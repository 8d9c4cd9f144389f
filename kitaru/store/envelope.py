"""The bytes of a journal: its header, and the envelopes that each hold one commit.

Owns: the byte format below, packing and parsing it (docs/format.md is its description). Pure: bytes in, bytes out.
Knows nothing of files, of runs, or of what a record says.

    journal   = header, envelopes, and once sealed a footer (see `footer`)
    header    = magic 8s, JSON length u32, CRC-32 of the JSON u32, JSON
    envelope  = magic 4s, flags u32, payload length u32, raw length u32, synced_upto u64, payload CRC-32 u32,
                header CRC-32 u32, payload
    raw       = entries: kind (`o` object, `r` record), length varint, bytes

All numbers are little-endian. Payloads are consecutive parts of zstd streams; flag 1 starts a new one (a frame). The
CRC of an envelope's header starts from a number that depends on its place and journal, so that an envelope that got
where it does not belong is no envelope.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import zstandard

from kitaru.errors import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterator

JOURNAL_MAGIC = b"KITARUJ1"
MAGIC = b"\xabKE1"
FRAME_START = 1
HEADER = struct.Struct("<4sIIIQII")
_HEAD = struct.Struct("<4sIIIQI")
_START = struct.Struct("<8sII")

MAX_FRAME = 256 * 1024
"""A frame is restarted before it holds more raw bytes than this (one envelope alone may)."""
MAX_RAW = 16 * 1024 * 1024
"""No envelope claims more raw bytes; whoever claims more lies."""
MAX_STARTED_JSON = 4096
_JOURNAL_SHAPE = {"host": str, "pid": int, "nonce": str}

OBJECT, RECORD = 0x6F, 0x72
_VARINT_MAX = 5

_crc32 = zlib.crc32
_WINDOW = zstandard.ZstdCompressionParameters.from_level(3, window_log=18, hash_log=14, chain_log=14)
"""Tables of 64 KiB each stay in the processor's cache from call to call, and are soon cleared for the next frame. The
level's own are up to eight times that: they make a long history 2 % smaller, and trivial calls 2 % larger."""


class Journal(NamedTuple):
    """The header of a journal: who writes it, and where its envelopes begin."""

    host: str
    pid: int
    nonce: str
    seed: int
    start: int


Entry: TypeAlias = tuple[int, int, int]
"""One object or record in the raw bytes of a frame: its kind, where it begins, where it ends."""


@dataclass(slots=True)
class Frame:
    """One zstd stream: where it begins, its payloads, and how many raw bytes it holds."""

    offset: int
    payloads: list[tuple[int, int]]
    raw_length: int = 0


# -- writing ---------------------------------------------------------------------------------------------------------


def journal_header(host: str, pid: int, nonce: str) -> bytes:
    """Return the first bytes of a journal."""
    body = json.dumps({"host": host[:255], "nonce": nonce, "pid": pid}, sort_keys=True, separators=(",", ":")).encode()
    return _START.pack(JOURNAL_MAGIC, len(body), _crc32(body)) + body


def pack_entry(kind: int, data: bytes) -> bytes:
    """Return what goes before an entry's bytes."""
    n = len(data)
    if n < 0x80:
        return bytes((kind, n))
    head = bytearray((kind,))
    while n >= 0x80:
        head.append(n & 0x7F | 0x80)
        n >>= 7
    head.append(n)
    return bytes(head)


class Packer:
    """Makes the envelopes of one journal, in order.

    Args:
        header: the journal's own header, which seeds the checksums.
    """

    def __init__(self, header: bytes) -> None:
        self._seed = _crc32(header)
        self._compressor = zstandard.ZstdCompressor(compression_params=_WINDOW)
        self._frame_raw = MAX_FRAME
        self._stream = self._compressor.compressobj()

    def pack(self, raw: bytes, offset: int, synced: int) -> tuple[bytes, bool]:
        """Return the envelope of `raw` at `offset` of the journal, and whether it starts a frame."""
        starts = self._frame_raw + len(raw) > MAX_FRAME
        if starts:
            self._stream = self._compressor.compressobj()
            self._frame_raw = 0
        self._frame_raw += len(raw)
        stream = self._stream
        payload = stream.compress(raw) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        head = _HEAD.pack(MAGIC, int(starts), len(payload), len(raw), synced, _crc32(payload))
        return head + _crc32(head, (self._seed + offset) & 0xFFFFFFFF).to_bytes(4, "little") + payload, starts


# -- reading ---------------------------------------------------------------------------------------------------------


def parse_header(data: bytes | memoryview, where: str) -> Journal:
    """Return the header of a journal.

    Raises:
        Damaged: it is not one.
    """
    try:
        magic, length, crc = _START.unpack_from(data)
        body = bytes(data[_START.size : _START.size + min(length, MAX_STARTED_JSON)])
        if magic != JOURNAL_MAGIC or len(body) != length or _crc32(body) != crc:
            raise Damaged(where, "the header at offset 0 is not that of a journal")
        fields = json.loads(body)
        if not all(type(fields[name]) is kind for name, kind in _JOURNAL_SHAPE.items()):
            raise Damaged(where, "the header at offset 0 is not that of a journal: its fields are no names and numbers")
        start = _START.size + length
        return Journal(fields["host"], fields["pid"], fields["nonce"], _crc32(bytes(data[:start])), start)
    except (struct.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(where, f"the header at offset 0 is not that of a journal: {error}") from error


def envelope_at(data: bytes | memoryview, offset: int, seed: int) -> tuple[int, int, int, int, int] | None:
    """Return flags, payload length, raw length, synced_upto and payload CRC of the envelope there; None if none is."""
    if offset + HEADER.size > len(data):
        return None
    magic, flags, payload, raw, synced, crc, check = HEADER.unpack_from(data, offset)
    if magic != MAGIC or _crc32(data[offset : offset + 28], (seed + offset) & 0xFFFFFFFF) != check:
        return None
    return flags, payload, raw, synced, crc


@dataclass(slots=True)
class Walk:
    """The envelopes of a journal that are whole: its frames, where they end, and how far syncs are promised."""

    frames: list[Frame]
    end: int
    synced: int


def walk(data: bytes | memoryview, start: int, seed: int, frames: list[Frame] | None = None) -> Walk:
    """Walk over the envelopes from `start` to the first that is not whole.

    Args:
        data: the journal; what follows the envelopes does not matter.
        start: the offset of the first envelope to look at, which starts a frame or continues the last of `frames`.
        seed: from the journal's header.
        frames: those before `start`; extended in place.
    """
    frames = [] if frames is None else frames
    offset, synced, size = start, 0, len(data)
    unpack, head_size, magic_wanted, crc32 = HEADER.unpack_from, HEADER.size, MAGIC, _crc32
    frame = frames[-1] if frames else None
    payloads: list[tuple[int, int]] = frame.payloads if frame is not None else []
    held = frame.raw_length if frame is not None else 0
    while offset + head_size <= size:
        magic, flags, length, raw, promised, crc, check = unpack(data, offset)
        if magic != magic_wanted or crc32(data[offset : offset + 28], (seed + offset) & 0xFFFFFFFF) != check:
            break
        begin = offset + head_size
        end = begin + length
        if end > size or raw > MAX_RAW or flags > FRAME_START or crc32(data[begin:end]) != crc:
            break
        if flags & FRAME_START:
            payloads, held = [], 0
            frame = Frame(offset, payloads)
            frames.append(frame)
        elif frame is None or held + raw > MAX_FRAME:
            break
        payloads.append((begin, end))
        held = frame.raw_length = held + raw
        if promised > synced:  # noqa: PLR1730 - a call of `max` for each envelope is a tenth of the walk
            synced = promised
        offset = end
    return Walk(frames, offset, synced)


def promised_beyond(data: bytes | memoryview, offset: int, seed: int) -> int:
    """Return how much of the journal was known durable by any whole envelope header after `offset`; 0 if none is.

    Damage at an offset below that is corruption, not the torn tail of a crash.
    """
    best, content = 0, bytes(data[offset:])
    at = content.find(MAGIC, 1)
    while at >= 0:
        found = envelope_at(data, offset + at, seed)
        if found is not None:
            best = max(best, found[3])
        at = content.find(MAGIC, at + 1)
    return best


def inflate(data: bytes | memoryview, frame: Frame, where: str) -> bytes:
    """Return the raw bytes of a frame, never more than its envelopes declare.

    Raises:
        Damaged: they do not decompress to exactly that.
    """
    packed = b"".join([data[begin:end] for begin, end in frame.payloads])
    try:
        # A reader of its own for each frame: a decompressor is not to be shared between threads.
        with zstandard.ZstdDecompressor(max_window_size=1 << 23).stream_reader(packed) as reader:
            raw = reader.read(frame.raw_length)
            rest = reader.read(1)
    except zstandard.ZstdError as error:
        raise Damaged(where, f"the frame at offset {frame.offset} does not decompress: {error}") from error
    if len(raw) != frame.raw_length or rest:
        raise Damaged(where, f"the frame at offset {frame.offset} does not hold what it declares")
    return raw


def entries(raw: bytes, where: str, offset: int) -> Iterator[Entry]:
    """Yield the entries of a frame's raw bytes.

    Raises:
        Damaged: they are not entries.
    """
    at, size = 0, len(raw)
    while at < size:
        kind = raw[at]
        begin = at + 2
        length = raw[at + 1] if begin <= size else 0
        if length >= 0x80:
            following = raw[begin] if begin < size else 0x80
            if following < 0x80:  # two bytes, as nearly always: the call of `_varint` would cost as much as the hash
                length, begin = length & 0x7F | following << 7, begin + 1
            else:
                length, begin = _varint(raw, at + 1)
        at = begin + length
        if at > size or begin > size or begin < 0 or kind not in (OBJECT, RECORD):
            raise Damaged(where, f"the frame at offset {offset} holds something that is neither object nor record")
        yield kind, begin, at


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i, byte in enumerate(raw[at : at + _VARINT_MAX]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, at + i + 1
    return 0, -1
