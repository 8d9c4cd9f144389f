"""Where long texts and bytes are cut, so that an edited document shares most of itself with what it was.

Owns: the rule of docs/format-values.md for `s`, `b` and `B`. Knows no objects.

A rolling hash over every byte is what the literature uses, and what Python is too slow for. So places are found in two
sieves, the first of them in C: each byte is mapped to 0 or 1 (the parity of its bits 0, 1, 2 and 4), and six of these
in a row must be 001011; then the CRC-32 of the 64 bytes up to there must end in eight zero bits. The long window
matters: records of a table or a log are much alike, and only windows as long as what differs tell them apart.

Source: FastCDC, Xia et al., USENIX ATC 2016, for the least and most sizes; the sieves are our own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")
Text: TypeAlias = bytes | bytearray | memoryview

SPLIT_MIN = 32 << 10
"""A text of no more bytes is one object."""

CHUNK_MIN = 8 << 10
CHUNK_MAX = 128 << 10
WINDOW = 64
MASK = 0xFF

HUGE = 32 << 20
"""A text of more bytes is cut every HUGE_PART bytes, wherever that is: looking for better places takes too long."""

HUGE_PART = 16 << 20

WHOLE = 1 << 20
"""Parts of huge texts of more bytes than this are given as they lie in memory, to be written to files of their own."""

WORKERS = 3
"""How many parts of a huge text are worked on at once: two are hashed, or written, while one waits for the disk."""

_CLASSES = bytes((byte ^ byte >> 1 ^ byte >> 2 ^ byte >> 4) & 1 for byte in range(256))
_PATTERN = bytes((0, 0, 1, 0, 1, 1))


def cuts(data: Text, *, letters: bool) -> list[int]:
    """Return where a text is cut: positions in it, without its two ends.

    Args:
        data: the bytes; UTF-8 for a str. A memoryview only where it is huge.
        letters: whether it is UTF-8, in which a cut inside a letter is put off to its end.
    """
    size = len(data)
    if size <= SPLIT_MIN:
        return []
    next_cut = _even if isinstance(data, memoryview) or size > HUGE else _Sieve(data).next_cut
    found: list[int] = []
    start = 0
    while True:
        end = next_cut(start)
        while letters and end < size and data[end] & 0xC0 == 0x80:
            end += 1
        if end >= size:
            return found
        found.append(end)
        start = end


def together(work: Callable[[T], R], parts: Iterable[T]) -> Iterator[R]:
    """Yield what `work` returns for each part of a huge text, in order, WORKERS at once.

    To hash and to write lets other threads run. Whatever is raised ends it when the parts begun are done.
    """
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="kitaru-large")
    try:
        yield from pool.map(work, parts)
    finally:
        pool.shutdown(cancel_futures=True)


def _even(start: int) -> int:
    return start + HUGE_PART


class _Sieve:
    """Finds the cuts that depend on the content only."""

    def __init__(self, data: bytes | bytearray) -> None:
        self._data = data
        self._classes = data.translate(_CLASSES)

    def next_cut(self, start: int) -> int:
        """Return where the chunk that begins at `start` ends, if the data goes on for so long."""
        data, find = self._data, self._classes.find
        at = start + CHUNK_MIN - len(_PATTERN)
        most = start + CHUNK_MAX
        while True:
            at = find(_PATTERN, at, most)
            if at < 0:
                return most
            end = at + len(_PATTERN)
            if not crc32(data[end - WINDOW : end]) & MASK:
                return end
            at += 1
