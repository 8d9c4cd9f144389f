"""Where the sealed journals of a store lie: each in a file of its own, or many in a pack.

Owns: finding one by its id while gc moves it from the first into the second, and what is known of packs in memory.
Who packs them is `packing`; what is in them is `strand`.

A segment's bytes are somewhere at any time: gc removes a file when the pack that holds it is durable, and a pack when
the packs that took its segments are. So who does not find one where he looked looks again.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from kitaru.errors import Damaged
from kitaru.store import layout
from kitaru.store.pack import Pack
from kitaru.store.strand import read_segment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kitaru.blobs.contract import Workspace
    from kitaru.store.strand import FrameCache, Strand

_TRIES = 4


class Found(NamedTuple):
    """The bytes of a segment, not verified, and where they lie, for messages."""

    data: bytes | memoryview
    where: str


class Segments:
    """The sealed journals of one store; safe between threads.

    Attributes:
        blobs: the store.
        damaged: errors of the packs whose index cannot be read, as of the last look.
    """

    def __init__(self, blobs: Workspace) -> None:
        self.blobs = blobs
        self.damaged: list[Damaged] = []
        self._packs: dict[str, Pack] = {}
        self._guard = Lock()

    def find(self, segment_id: str) -> Found:
        """Return a segment from its own file, or from a pack.

        Raises:
            KeyError: it is nowhere.
            Damaged: it is in none of the packs that can be read, and there is one that cannot.
        """
        key = layout.segment_key(segment_id)
        for _ in range(_TRIES):
            try:
                return Found(self.blobs.view(key), self.blobs.where(key))
            except KeyError:
                found = self._packed(segment_id)
            if found is not None:
                return found
            self._look()  # and again: what was not there a moment ago may be in a new pack, or out of a damaged one
        if self.damaged:
            raise self.damaged[0]
        raise KeyError(key)

    def _packed(self, segment_id: str) -> Found | None:
        for pack in list(self._packs.values()):
            data = pack.segment(segment_id)
            if data is not None:
                return Found(data, f"{pack.where} (segment {segment_id[:16]})")
        return None

    def strand(self, segment_id: str, cache: FrameCache | None = None) -> Strand:
        """Read a segment whole, every byte of it checked.

        Raises:
            KeyError: it is nowhere.
            Damaged: any byte is not what was written.
        """
        found = self.find(segment_id)
        return read_segment(found.data, segment_id, found.where, cache)

    def packs(self) -> dict[str, Pack]:
        """Return the packs there are now, by key, their indexes checked; those that cannot be read are in `damaged`."""
        self._look()
        whole = {}
        for key, pack in self._packs.items():
            try:
                pack.in_order()
            except Damaged as error:
                self.damaged.append(error)
            else:
                whole[key] = pack
        return whole

    def _look(self) -> None:
        with self._guard:
            self.damaged = []
            found = {}
            for name in self.blobs.children(layout.PACKS):
                if not layout.is_object_id(name):
                    continue
                key = layout.pack_key(name)
                try:
                    found[key] = self._packs.get(key) or Pack(self.blobs.view(key), self.blobs.where(key))
                except KeyError:  # its segments are in another by now
                    continue
                except Damaged as error:
                    self.damaged.append(error)
            self._packs = found

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield id and key of each segment that has a file of its own."""
        for key in self.blobs.keys(layout.SEGMENTS):
            segment_id = "".join(key.split("/")[1:])
            if layout.is_object_id(segment_id):
                yield segment_id, key
