"""A large object verified as it streams by, with bounded memory.

Owns: the checks of `loose` on a stream instead of on a whole file: header, method, length, ratio, hash. Pure: bytes in,
bytes out.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import zstandard

from kitaru.errors import Damaged
from kitaru.store import loose

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kitaru.blobs.contract import Piece

_PIECE = 1 << 20


class _Tee:
    """What is read from a stream, kept until it is taken."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")
        self._passed: list[Piece] = []
        self.size = 0

    def read(self, size: int) -> bytes:
        while not self._rest:
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


def verified(pieces: Iterable[Piece], object_id: str, where: str) -> Iterator[Piece]:
    """Yield the pieces of a large object's file, and raise at the latest behind the last if it is not that object.

    Raises:
        Damaged: it is not: who was about to put it somewhere does not.
    """
    tee = _Tee(pieces)
    method, length = loose.head(tee.exactly(loose.HEAD_SIZE), where)
    yield from tee.taken()
    hashed, size = hashlib.sha256(), 0
    raw = _raw(tee) if method == loose.RAW else _inflated(tee, where)
    for piece in raw:
        hashed.update(piece)
        size += len(piece)
        if size > length:
            raise Damaged(where, f"more bytes than the {length} that its header declares")
        loose.check_ratio(size, tee.size - loose.HEAD_SIZE, where)
        yield from tee.taken()
    if size != length:
        raise Damaged(where, f"{size} bytes, where its header declares {length}")
    if hashed.hexdigest() != object_id:
        raise Damaged(where, "its content does not have the hash that names it")
    yield from tee.taken()


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
