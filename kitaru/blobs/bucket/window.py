"""Bytes as the body of a request: what is large is read where it lies, a piece at a time, and never copied whole.

Owns: that, and no more. A copy of a mapped file would be memory that no thread gives back to the system.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kitaru.blobs.contract import Piece

_SMALL = 1 << 20


def body(data: Piece) -> bytes | _Window:
    """Return content as one attempt at a request takes it: the next one needs another."""
    return bytes(data) if len(data) < _SMALL else _Window(data)


class _Window(io.RawIOBase):
    """Bytes as a file, read where they lie: of what is large there is no copy in memory, but a piece at a time."""

    def __init__(self, data: Piece) -> None:
        super().__init__()
        self._data, self._at = memoryview(data), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any buffer that can be written
        found = self._data[self._at : self._at + len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        return self._at

    def tell(self) -> int:
        return self._at
