"""Objects too large for a journal: one file each, named by hash.

Owns: the format of such a file, and that a damaged one is put aside and written again. Knows nothing of runs.

    object = magic 8s, method u8 (0 raw, 1 one zstd frame), zeros 3s, raw length u64,
             CRC-32 of the 20 bytes before u32, body

What is compressed and above 64 MiB must have shrunk by less than 1000 times, so that a small file cannot ask for much
memory.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import TYPE_CHECKING

import zstandard

from kitaru.errors import Damaged
from kitaru.model.encoding import Malformed, references
from kitaru.store import layout, reuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kitaru.blobs.contract import Workspace
    from kitaru.model.encoding import Part

LARGE = 512 * 1024
"""Objects above this many bytes are not put into journals."""

MAGIC = b"KITARUO1"
RAW, ZSTD = 0, 1
_HEAD = struct.Struct("<8sB3sQ")
HEAD_SIZE = _HEAD.size + 4
MAX_FILE = 1 << 36
"""More is fetched from nowhere."""
MAX_WINDOW = 1 << 27
_CHUNK = 1024 * 1024
_SAMPLE = 128 * 1024
_FREE = 64 * _CHUNK
_MAX_RATIO = 1000
_LEVEL = 1


def write(blobs: Workspace, object_id: str, data: bytes | Part, nonce: Callable[[], str]) -> None:
    """See to it that an object is there, whole and durable.

    Args:
        blobs: where.
        object_id: SHA-256 of the bytes.
        data: the bytes.
        nonce: makes the name under which a damaged one is put aside.
    """
    key = layout.object_key(object_id)
    while not blobs.create(key, _packed(data)):
        if _is_whole(blobs, object_id, nonce) and reuse.rely(blobs, key):
            return


def exists(blobs: Workspace, object_id: str) -> bool:
    """Tell whether there is a file of an object, whatever is in it."""
    return blobs.exists(layout.object_key(object_id))


def rely(blobs: Workspace, object_id: str) -> bool:
    """Make an object that was staged durable, and keep gc from removing it; False if it is gone."""
    return reuse.rely(blobs, layout.object_key(object_id))


def stage(blobs: Workspace, object_id: str, data: bytes | Part, nonce: Callable[[], str]) -> None:
    """As `write`, but the object may vanish with the power until it is relied on."""
    while not blobs.stage(layout.object_key(object_id), _packed(data)):
        if _is_whole(blobs, object_id, nonce):
            return


def _is_whole(blobs: Workspace, object_id: str, nonce: Callable[[], str]) -> bool:
    """Tell whether an object is there and as it was written; one that is damaged is put aside."""
    try:
        read(blobs, object_id)
    except Damaged:
        blobs.move(layout.object_key(object_id), f"{layout.LOST}/damaged-{object_id}-{nonce()}")
        return False
    except KeyError:
        return False
    return True


def read(blobs: Workspace, object_id: str) -> bytes:
    """Return the bytes of an object, verified.

    Raises:
        KeyError: there is no such file.
        Damaged: it is not what was written.
    """
    return bytes(view(blobs, object_id))


def references_of(blobs: Workspace, object_id: str) -> list[str]:
    """Return the ids of the objects that an object names.

    Raises:
        KeyError, Damaged: as `read`; Damaged also if it is no value.
    """
    try:
        return references(view(blobs, object_id))
    except Malformed as error:
        raise Damaged(blobs.where(layout.object_key(object_id)), f"no value: {error}") from error


def view(blobs: Workspace, object_id: str) -> bytes | memoryview:
    """As `read`, but what is long and not compressed comes as it lies in the file, mapped into memory."""
    key = layout.object_key(object_id)
    where = blobs.where(key)
    content = blobs.view(key)
    data = _unpacked(content, where)
    if hashlib.sha256(data).hexdigest() != object_id:
        raise Damaged(where, "its content does not have the hash that names it")
    return data


def _packed(data: bytes | Part) -> Iterator[bytes]:
    packed = _shrunk(data)
    head = _HEAD.pack(MAGIC, RAW if packed is None else ZSTD, b"", len(data))
    yield head + zlib.crc32(head).to_bytes(4, "little")
    if packed is None and not isinstance(data, bytes):
        yield data.head  # all else of a part lies in memory already
    body = memoryview(packed if packed is not None else data if isinstance(data, bytes) else data.body)
    for at in range(0, len(body), _CHUNK):
        yield body[at : at + _CHUNK]  # type: ignore[misc]  # any buffer can be written


def _shrunk(data: bytes | Part) -> bytes | None:
    """Compress, unless a look at the first part says it is no use, or it would look like a bomb."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    sample = (data if isinstance(data, bytes) else data.body)[:_SAMPLE]
    if len(compressor.compress(sample)) > len(sample) * 0.9:
        return None
    stream = compressor.compressobj(size=len(data))
    pieces: tuple[bytes | memoryview, ...] = (data,) if isinstance(data, bytes) else (data.head, data.body)
    packed = b"".join([*(stream.compress(piece) for piece in pieces), stream.flush()])
    if len(packed) >= len(data) or (len(data) > _FREE and len(packed) * _MAX_RATIO < len(data)):
        return None
    return packed


def _unpacked(content: bytes | memoryview, where: str) -> bytes | memoryview:
    method, length = head(content[:HEAD_SIZE], where)
    body = content[HEAD_SIZE:]
    if method == RAW:
        if len(body) != length:
            raise Damaged(where, f"{len(body)} bytes after its header, which declares {length}")
        return bytes(body) if length < _CHUNK else body  # a process can have some 65,000 maps
    return _inflated(body, length, where)


def head(data: bytes | memoryview, where: str) -> tuple[int, int]:
    """Return method and raw length that the first `HEAD_SIZE` bytes of a large object's file tell.

    Raises:
        Damaged: they are no such header.
    """
    if len(data) < HEAD_SIZE:
        raise Damaged(where, "too short to be an object")
    magic, method, zeros, length = _HEAD.unpack_from(data)
    crc = int.from_bytes(data[_HEAD.size :], "little")
    if magic != MAGIC or zeros != b"\0\0\0" or method > ZSTD or zlib.crc32(data[: _HEAD.size]) != crc:
        raise Damaged(where, "the header at offset 0 is not that of an object")
    return method, length


def check_ratio(length: int, packed: int, where: str) -> None:
    """Raise Damaged if so few bytes are to become so many."""
    if length > _FREE and length > packed * _MAX_RATIO:
        raise Damaged(where, f"{packed} bytes that declare to become {length}")


def _inflated(body: bytes | memoryview, length: int, where: str) -> bytes:
    check_ratio(length, len(body), where)
    try:
        with zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(body) as reader:
            data = reader.read(length)
            rest = reader.read(1)
    except (zstandard.ZstdError, MemoryError) as error:
        raise Damaged(where, f"does not decompress: {error}") from error
    if len(data) != length or rest:
        raise Damaged(where, "does not hold what its header declares")
    return data
