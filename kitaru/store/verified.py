"""A large object verified as it streams by, with bounded memory, and what it names, so that it is read only once.

Owns: the checks of `loose` on a stream instead of on a whole file: header, method, length, ratio, hash. Pure: bytes in,
bytes out.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import zstandard

from kitaru.errors import Damaged
from kitaru.model.encoding import Malformed, references
from kitaru.model.encoding.references import bytes_references, is_bytes
from kitaru.store import loose

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kitaru.blobs.contract import Piece

_PIECE = 256 << 10
_MOST = 32 << 20


class _Tee:
    """What is read from a stream, kept until it is taken."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")
        self._passed: list[Piece] = []
        self.size = 0

    def read(self, size: int) -> bytes:
        while not self._rest:
            self._rest = memoryview(b"")  # the end of a piece would keep all of it until the next one is there
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = memoryview(piece)
        data, self._rest = bytes(self._rest[:size]), self._rest[size:]
        self._passed.append(data)
        self.size += len(data)
        return data

    def exactly(self, size: int) -> bytes:
        parts, wanted = [], size
        while wanted and (data := self.read(wanted)):
            parts.append(data)
            wanted -= len(data)
        return b"".join(parts)

    def taken(self) -> list[Piece]:
        passed, self._passed = self._passed, []
        return passed


class Verified:
    """The pieces of a large object's file: to be iterated over once.

    It raises at the latest behind the last piece if they are not that object: who was about to put it somewhere does
    not.

    Args:
        pieces: of the file.
        object_id: of the object.
        where: the file, for messages.

    Attributes:
        references: ids of the objects that it names, once all is read; None before, and of one that is too large to be
            kept in memory until then.

    Raises:
        Damaged: they are not that object, or it is no value.
    """

    def __init__(self, pieces: Iterable[Piece], object_id: str, where: str) -> None:
        self._tee, self._object_id, self._where = _Tee(pieces), object_id, where
        self.references: list[str] | None = None

    def __iter__(self) -> Iterator[Piece]:
        """Yield the pieces."""
        tee, where = self._tee, self._where
        method, length = loose.head(tee.exactly(loose.HEAD_SIZE), where)
        yield from tee.taken()
        hashed, size, kept = hashlib.sha256(), 0, _Kept(length)
        for piece in _raw(tee) if method == loose.RAW else _inflated(tee, where):
            hashed.update(piece)
            size += len(piece)
            if size > length:
                raise Damaged(where, f"more bytes than the {length} that its header declares")
            loose.check_ratio(size, tee.size - loose.HEAD_SIZE, where)
            kept.take(piece)
            yield from tee.taken()
        if size != length:
            raise Damaged(where, f"{size} bytes, where its header declares {length}")
        if hashed.hexdigest() != self._object_id:
            raise Damaged(where, "its content does not have the hash that names it")
        try:
            self.references = kept.references()
        except Malformed as error:
            raise Damaged(where, f"no value: {error}") from error
        yield from tee.taken()


class _Kept:
    """As much of an object as tells what it names: of bytes their head, all of other values."""

    def __init__(self, length: int) -> None:
        self._length, self._size, self._pieces = length, 0, list[bytes]()

    def take(self, piece: bytes) -> None:
        self._size += len(piece)
        if not self._pieces or (self._size <= _MOST and not is_bytes(self._pieces[0])):
            self._pieces.append(piece)

    def references(self) -> list[str] | None:
        if self._pieces and is_bytes(self._pieces[0]):
            return bytes_references(self._pieces[0], self._length)
        return references(b"".join(self._pieces)) if self._size <= _MOST else None


def _raw(tee: _Tee) -> Iterator[bytes]:
    while data := tee.read(_PIECE):
        yield data


def _inflated(tee: _Tee, where: str) -> Iterator[bytes]:
    try:
        with zstandard.ZstdDecompressor(max_window_size=loose.MAX_WINDOW).stream_reader(tee) as reader:  # type: ignore[arg-type]  # it only reads
            while data := reader.read(_PIECE):
                yield data
    except (zstandard.ZstdError, MemoryError) as error:
        raise Damaged(where, f"does not decompress: {error}") from error
    if tee.read(1):
        raise Damaged(where, "has bytes behind its end")
