"""The table behind the index of runs: a row for each, of which a listing decodes those it shows.

Owns: the form in `cache/`: columns of all rows in one piece, for what is asked of every run at every listing, and the
summaries in blocks, read when one of theirs is wanted. Whatever does not fit together is left out, to be made again.
Knows nothing of when a row is out of date.
"""

from __future__ import annotations

import json
import struct
import sys
from array import array
from typing import TYPE_CHECKING, Any

import zstandard

from kitaru.model.summary import RunSummary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

VERSION = 4
BLOCK = 256
FINAL, SETTLED = 1, 2
_MAX = 256 * 1024 * 1024
_HEAD = struct.Struct("<II")
_INDEX = f"catalog-{VERSION}-{sys.byteorder}"


class Rows:
    """Summaries of sealed runs, by the escaped id of the run.

    Args:
        directory: where they are kept between processes; None keeps them in memory only.

    Attributes:
        number: escaped id to row.
        started, stamps: a number for each row, microseconds and whatever the store's stamps count.
        names: how many names the run had, for each row.
        flags: `FINAL` of a run that nothing can change any more, `SETTLED` of one whose stamp tells all.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._blocks: dict[int, list[dict[str, Any]]] = {}
        self._changed: set[int] = set()
        self._is_changed = False
        self._take([], array("q"), array("q"), array("q"), bytearray())
        data = _columns(self._kept([_INDEX]).get(_INDEX, b""))
        if data is not None:
            self._take(*data)
        if len(self._parts) > 2 * BLOCK and len(self.number) * 2 < len(self._parts):
            self._compact()

    def _take(
        self, parts: list[str], started: array[int], stamps: array[int], names: array[int], flags: bytearray
    ) -> None:
        self._parts, self.started, self.stamps, self.names, self.flags = parts, started, stamps, names, flags
        self.number = {part: row for row, part in enumerate(parts) if part}

    def summary(self, part: str) -> RunSummary | None:
        """Return a run's summary; None if what is kept is not its."""
        try:
            found = RunSummary.from_json(self.fields(part))
        except TypeError:
            return None
        return found if found.run else None

    def fields(self, part: str) -> dict[str, Any]:
        """Return what is kept of a run, as `RunSummary.to_json` has it but for its types; nothing if it is not its."""
        row = self.number[part]
        block = self._block(row // BLOCK)
        found = block[row % BLOCK] if row % BLOCK < len(block) else {}
        return found if found.get("started") == self.started[row] else {}

    def load(self, parts: Iterable[str]) -> None:
        """Have what is kept of some runs at hand; opening the cache for each block costs more than reading it."""
        wanted = {self.number[part] // BLOCK for part in parts} - self._blocks.keys()
        kept = self._kept([_key(number) for number in wanted])
        for number in wanted:
            self._blocks[number] = list(_rows_of(kept.get(_key(number), b"")))

    def put(self, part: str, summary: RunSummary, stamp: int, names: int, flags: int) -> None:
        """Keep a summary; what was kept under that id is dropped."""
        self.drop(part)
        row = self.number[part] = len(self._parts)
        self._parts.append(part)
        for column, value in ((self.started, summary.started), (self.stamps, stamp), (self.names, names)):
            column.append(value)
        self.flags.append(flags)
        block = self._block(row // BLOCK)
        del block[row % BLOCK :]
        block += [{}] * (row % BLOCK - len(block))
        block.append(summary.to_json())
        self._changed.add(row // BLOCK)
        self._is_changed = True

    def settle(self, part: str) -> None:
        """Note that from now on the stamp tells whether a run changed."""
        self.flags[self.number[part]] |= SETTLED
        self._is_changed = True

    def drop(self, part: str) -> None:
        """Forget a run."""
        row = self.number.pop(part, None)
        if row is not None:
            self._parts[row] = ""
            self._is_changed = True

    def _compact(self) -> None:
        """Make the table anew without the rows that were dropped."""
        found = ((part, self.summary(part), row) for part, row in self.number.items())
        kept = [(p, s, self.stamps[r], self.names[r], self.flags[r]) for p, s, r in found if s is not None]
        self._blocks.clear()
        self._take([], array("q"), array("q"), array("q"), bytearray())
        for row in kept:
            self.put(*row)

    # -- between processes ---------------------------------------------------------------------------------------

    def save(self) -> None:
        """Keep what changed; a failure is no matter."""
        if self._directory is None or not self._is_changed:
            return
        from kitaru.store.cache import BytesCache

        kept = {_key(number): _squeezed(json.dumps(self._blocks[number]).encode()) for number in self._changed}
        columns = [self.started, self.stamps, self.names]
        parts = "\n".join(self._parts).encode()
        head = _HEAD.pack(len(self._parts), len(parts))
        kept[_INDEX] = _squeezed(b"".join([head, parts, *(c.tobytes() for c in columns), bytes(self.flags)]))
        BytesCache(self._directory).write(kept)
        self._changed.clear()
        self._is_changed = False

    def _block(self, number: int) -> list[dict[str, Any]]:
        block = self._blocks.get(number)
        if block is None:
            key = _key(number)
            block = self._blocks[number] = list(_rows_of(self._kept([key]).get(key, b"")))
        return block

    def _kept(self, keys: list[str]) -> dict[str, bytes]:
        if self._directory is None or not keys:
            return {}
        from kitaru.store.cache import BytesCache

        return {key: _unsqueezed(kept) for key, kept in BytesCache(self._directory).read(keys).items()}


def _columns(data: bytes) -> tuple[list[str], array[int], array[int], array[int], bytearray] | None:
    try:
        rows, length = _HEAD.unpack_from(data)
        at = _HEAD.size + length
        parts = data[_HEAD.size : at].decode().split("\n") if rows else []
        if len(parts) != rows or len(data) != at + 25 * rows:
            return None
        numbers = [array("q", data[at + 8 * n * rows : at + 8 * (n + 1) * rows]) for n in range(3)]
        return parts, *numbers, bytearray(data[at + 24 * rows :])  # type: ignore[return-value]  # three of them
    except (struct.error, ValueError):
        return None


def _rows_of(data: bytes) -> Iterator[dict[str, Any]]:
    try:
        rows = json.loads(data)
    except (ValueError, RecursionError):
        rows = None
    for row in rows if isinstance(rows, list) else ():
        yield row if isinstance(row, dict) else {}


def _key(number: int) -> str:
    return f"catalog-{VERSION}-block-{number}"


def _squeezed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1, write_checksum=True).compress(data)


def _unsqueezed(kept: bytes) -> bytes:
    try:
        return zstandard.ZstdDecompressor().decompress(kept, max_output_size=_MAX)
    except zstandard.ZstdError:
        return b""
