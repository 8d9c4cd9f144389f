"""The journal that a run executing here appends to: one envelope for each commit, and the footer that ends it.

Owns: turning objects and a record into an envelope, and remembering where each lies. Knows nothing of parents, of locks
or of what a record says. One thread at a time appends; any thread may sync.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from kitaru.errors import StoreError
from kitaru.store import envelope, footer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kitaru.blobs.contract import Appender

GROUP = 1024 * 1024
"""Objects of one commit beyond this many bytes go into envelopes before the one with the record."""
MAX_ENTRY = envelope.MAX_RAW - 16

_pack_entry = envelope.pack_entry


class JournalWriter:
    """A journal being written.

    Args:
        appender: the new file.
        header: its first bytes, by `envelope.journal_header`.
    """

    def __init__(self, appender: Appender, header: bytes) -> None:
        self._appender = appender
        self._packer = envelope.Packer(header)
        self._hash = hashlib.sha256(header)
        self._frames: list[list[int]] = []
        self._objects: list[tuple[str, int, int, int]] = []
        appender.append(header)
        self._start = appender.size

    @property
    def is_empty(self) -> bool:
        """Whether nothing was recorded in it."""
        return self._appender.size == self._start

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self._appender.size

    def append(self, objects: Sequence[tuple[str, bytes]], record: bytes) -> int:
        """Append objects and the record that names them; return the offset to sync up to.

        Raises:
            StoreError: the record is too large, or the disk refused.
        """
        if len(record) > MAX_ENTRY:
            raise StoreError(f"a record of {len(record)} bytes, where at most {MAX_ENTRY} can be stored")
        if sum([len(data) for _, data in objects]) > GROUP:
            *before, objects = _grouped(objects)
            for group in before:
                self._append(group, None)
        return self._append(objects, record)

    def _append(self, objects: Sequence[tuple[str, bytes]], record: bytes | None) -> int:
        parts: list[bytes] = []
        places: list[tuple[str, int, int]] = []
        at = 0
        for object_id, data in objects:
            head = _pack_entry(envelope.OBJECT, data)
            parts += (head, data)
            at += len(head)
            places.append((object_id, at, len(data)))
            at += len(data)
        if record is not None:
            parts += (_pack_entry(envelope.RECORD, record), record)
        raw = b"".join(parts)
        appender = self._appender
        offset = appender.size
        packed, starts = self._packer.pack(raw, offset, appender.synced)
        end = appender.append(packed)
        self._hash.update(packed)
        if starts:
            self._frames.append([offset, 0, 0])
        frame, number = self._frames[-1], len(self._frames) - 1
        base = frame[1]
        self._objects += [(object_id, number, base + at, size) for object_id, at, size in places]
        frame[1] += len(raw)
        frame[2] += record is not None
        return end

    def sync(self, upto: int) -> None:
        """Return when the first `upto` bytes are durable; threads that call at once share one sync."""
        self._appender.sync(upto)

    def finish(self) -> str:
        """Append the footer, make everything durable, and return the id of the segment that the file now is."""
        index = footer.build(
            self.size, [(offset, raw, records) for offset, raw, records in self._frames], self._objects
        )
        self._appender.append(index)
        self._hash.update(index)
        self._appender.finish()
        return self._hash.hexdigest()

    def close(self) -> None:
        """Leave the file as it is."""
        self._appender.close()


def _grouped(objects: Sequence[tuple[str, bytes]]) -> Iterator[Sequence[tuple[str, bytes]]]:
    group: list[tuple[str, bytes]] = []
    size = 0
    for item in objects:
        if group and size + len(item[1]) > GROUP:
            yield group
            group, size = [], 0
        group.append(item)
        size += len(item[1])
    yield group
