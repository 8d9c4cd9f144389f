"""Putting segments that have a file each into packs, and packs into larger ones.

Owns: which segments and packs are put together, and the order of writes: a pack is durable under its name before any
file that it stands for goes. gc calls this with its lock held, so that nobody else packs. What is needed is told by
`reach`; the bytes of a pack are `pack`.

Small files take whole blocks of a disk, and a visit to each; large ones lose nothing, and stay as they are. As git's
geometric repacking does, packs are put together when they are small beside what comes: of n segments packed over the
years each was copied log n times.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.errors import Damaged
from kitaru.store import layout
from kitaru.store import pack as packs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kitaru.store.pack import Pack
    from kitaru.store.segments import Segments

ENOUGH = 64
"""So many files of segments are worth a pack."""
SMALL = 1024 * 1024
"""A segment above this many bytes keeps its file."""
FULL = 128 * 1024 * 1024
"""A pack is not made larger than this: when a run is removed on purpose, one of these is written anew."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What was put into packs, or would be: segments that had a file of their own, and packs written."""

    segments: int
    packs: int


def pack(segments: Segments, needed: Sequence[str], gone: set[str], *, dry_run: bool = False) -> Packed:
    """Pack the segments that are needed, if there are enough, and leave out of packs what is gone.

    Args:
        needed: ids, in the order in which they are to lie.
        gone: ids of segments in packs that nobody needs any more.

    Raises:
        Damaged: a segment is not what was written; the files are as they were.
        StoreError: the disk refused.
    """
    return _Packing(segments, needed, gone).run(dry_run)


class _Packing:
    def __init__(self, segments: Segments, needed: Sequence[str], gone: set[str]) -> None:
        self._segments, self._blobs = segments, segments.blobs
        self._needed, self._gone = needed, gone
        self._packs = segments.packs()
        wanted = set(needed)
        self._files = {segment: key for segment, key in segments.files() if segment in wanted}

    def run(self, dry_run: bool) -> Packed:
        fresh = self._fresh()
        taken = self._taken(sum(fresh.values()))
        groups = list(self._groups(fresh, taken))
        if not dry_run:
            kept = {self._write(group) for group in groups}
            for key in taken - kept:
                self._blobs.delete(key)
            self._unlink()
        return Packed(len(fresh), len(groups))

    def _fresh(self) -> dict[str, int]:
        """Return id and size of the segments that a pack is to be made of; none if they are not enough."""
        found = {}
        for segment in self._needed:
            key = self._files.get(segment)
            if key is not None and not any(pack.find(segment) for pack in self._packs.values()):
                size = self._blobs.size(key)
                if size <= SMALL:
                    found[segment] = size
        return found if len(found) >= ENOUGH else {}

    def _taken(self, size: int) -> set[str]:
        """Return the keys of packs that are written anew: those with something gone, and those small beside the new."""
        taken = {key for key, pack in self._packs.items() if any(pack.find(segment) for segment in self._gone)}
        size += sum(self._packs[key].size for key in taken)
        for key, pack in sorted(self._packs.items(), key=lambda item: item[1].size):
            if key not in taken and pack.size < 2 * size and pack.size + size <= FULL:
                taken.add(key)
                size += pack.size
        return taken

    def _groups(self, fresh: dict[str, int], taken: set[str]) -> Iterator[list[str]]:
        """Yield the ids of each pack to be written: what nobody needs but is not gone yet first, then by age."""
        sizes = {segment: size for key in taken for segment, _, size in self._packs[key].in_order()} | fresh
        needed = [segment for segment in self._needed if segment in sizes]
        group: list[str] = []
        room = FULL
        for segment in [*sorted(sizes.keys() - set(needed) - self._gone), *needed]:
            if group and sizes[segment] > room:
                yield group
                group, room = [], FULL
            group.append(segment)
            room -= sizes[segment]
        if group:
            yield group

    def _write(self, group: list[str]) -> str:
        """See to it that a pack of these is there, whole and durable; return its key."""
        pack_hash = hashlib.sha256()
        for piece in packs.build(self._whole(group)):
            pack_hash.update(piece)
        key = layout.pack_key(pack_hash.hexdigest())
        if not self._blobs.create(key, packs.build(self._whole(group))):
            if hashlib.sha256(self._blobs.view(key)).hexdigest() != pack_hash.hexdigest():
                raise Damaged(self._blobs.where(key), "its content does not have the hash that names it")
            self._blobs.settle(key, content=True)
        return key

    def _whole(self, group: Iterable[str]) -> Iterator[tuple[str, bytes | memoryview]]:
        for segment in group:
            found = self._segments.find(segment)
            if hashlib.sha256(found.data).hexdigest() != segment:
                raise Damaged(found.where, "its content does not have the hash that names it")
            yield segment, found.data

    def _unlink(self) -> None:
        """Remove the files of segments that are in packs, each looked at once more."""
        there = list(self._segments.packs().values())
        for segment, key in self._files.items():
            if any(_holds(pack, segment) for pack in there):
                self._blobs.delete(key)


def _holds(pack: Pack, segment: str) -> bool:
    data = pack.segment(segment)
    return data is not None and hashlib.sha256(data).hexdigest() == segment
