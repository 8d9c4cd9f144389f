"""Content that comes from a remote: segments and large objects, every byte verified before it is put in place.

Owns: how content is fetched with bounded memory, and what it refers to. Knows nothing of names: until one reaches it,
nobody sees what is put here, and gc removes it one day.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from kitaru.errors import Damaged
from kitaru.model.encoding import Malformed, references
from kitaru.store import layout, loose, runs
from kitaru.store.naming import named_by
from kitaru.store.strand import FrameCache, read_segment
from kitaru.store.verified import Verified

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kitaru.blobs.contract import Content, Piece
    from kitaru.model.records import Stored
    from kitaru.store.repository import Repository
    from kitaru.store.strand import Strand
    from kitaru.store.sync.transfer import Transfer

SPOOL = 8 * 1024 * 1024
"""A segment above this many bytes is verified from a file instead of from memory."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is in a segment.

    Attributes:
        segment: its id.
        host, nonce: of the journal that it was.
        records: in order.
        objects: ids of those that it holds.
        refers: ids of the objects that its records and objects name, less those that it holds itself.
    """

    segment: str
    host: str
    nonce: str
    records: list[Stored]
    objects: frozenset[str]
    refers: frozenset[str]


def part_of(segment: str, strand: Strand, data: bytes | memoryview, cache: FrameCache) -> Part:
    """Return what is in a segment that was just read with this cache.

    Raises:
        Damaged: an object in it is no value.
    """
    refers: set[str] = set()
    for stored in strand.records:
        refers.update(named_by(stored.record))
    held: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
    for object_id, (number, start, end) in strand.objects.items():
        held[number].append((object_id, start, end))
    for number, raw in enumerate(runs.frames(strand, cache, lambda: data)):
        for object_id, start, end in held[number]:
            try:
                refers.update(references(raw[start:end]))
            except Malformed as error:
                raise Damaged(strand.where, f"object {object_id[:16]} is no value: {error}") from error
    objects = frozenset(strand.objects)
    return Part(
        segment, strand.journal.host, strand.journal.nonce, strand.records, objects, frozenset(refers) - objects
    )


def local_part(repo: Repository, segment: str) -> Part:
    """Return what is in a segment that is here; KeyError if it is not, Damaged if it is not what was written."""
    found = repo.segments.find(segment)
    return _read(segment, found.data, found.where)


def _read(segment: str, data: bytes | memoryview, where: str) -> Part:
    cache = FrameCache()
    return part_of(segment, read_segment(data, segment, where, cache), data, cache)


class Incoming:
    """Fetches content into a store.

    Args:
        repo: the store.
        transfer: the remote.
    """

    def __init__(self, repo: Repository, transfer: Transfer) -> None:
        self._repo, self._blobs, self._transfer = repo, repo.blobs, transfer
        self._guard = Lock()
        self._unsettled: dict[str, str] = {}  # directory: a key in it
        self._refers: dict[str, list[str]] = {}  # large objects that are here, and what they name

    # -- segments ------------------------------------------------------------------------------------------------

    def segment(self, segment: str) -> Part:
        """See to it that a segment is here, and return what is in it.

        Raises:
            Damaged: it is not on the remote, or not what its name says, or nothing that a store writes.
        """
        try:
            found = self._repo.segments.find(segment)
            return self._read(segment, found.data, found.where)
        except KeyError:
            damaged = False
        except Damaged:
            damaged = True
        if damaged:
            self._put_aside(segment)
        return self._fetched(segment)

    def _put_aside(self, segment: str) -> None:
        key = layout.segment_key(segment)
        if self._blobs.exists(key):
            self._blobs.move(key, f"{layout.LOST}/damaged-{segment}-{self._repo.nonce()}")

    def _fetched(self, segment: str) -> Part:
        key = layout.segment_key(segment)
        where = self._transfer.remote.where(key)
        try:
            data = self._transfer.get(key, SPOOL)
        except KeyError:
            raise Damaged(where, "a segment that is named is missing") from None
        except Damaged:  # it is large, or that is not all that is wrong
            return self._spooled(segment, key, where)
        part = self._read(segment, data, where)
        self._stage(key, data)
        self._transfer.copied(key, len(data))
        return part

    def _spooled(self, segment: str, key: str, where: str) -> Part:
        scratch = f"{layout.TMP}/{self._repo.nonce()}-segment"
        self._blobs.stage(scratch, self._transfer.chunks(key, runs.MAX_SEGMENT))
        try:
            part = self._read(segment, self._blobs.view(scratch), where)
            self._blobs.adopt(scratch, key)
        finally:
            self._blobs.delete(scratch)
        self._transfer.copied(key, 0)
        return part

    def _read(self, segment: str, data: bytes | memoryview, where: str) -> Part:
        """Return what is in a segment; of those that are large one at a time is decompressed."""
        if len(data) > SPOOL:
            return self._transfer.alone(lambda: _read(segment, data, where))
        return _read(segment, data, where)

    # -- large objects ---------------------------------------------------------------------------------------------

    def objects(self, wanted: Iterable[str]) -> dict[str, Damaged]:
        """See to it that large objects are here, with all that they name; return those that cannot be had, and why.

        An object named by one that cannot be had is not looked for.
        """
        failed: dict[str, Damaged] = {}
        seen: set[str] = set()
        waiting = set(wanted)
        while waiting:
            asked = sorted(waiting)
            seen |= waiting
            waiting = set()
            for object_id, found in zip(asked, self._transfer.each(self._object, asked), strict=True):
                if isinstance(found, Damaged):
                    failed[object_id] = found
                else:
                    waiting.update(found)
            waiting -= seen
        return failed

    def closure(self, object_id: str) -> set[str]:
        """Return an object that `objects` was asked for, and what it names, as far as that was found."""
        found, waiting = set(), [object_id]
        while waiting:
            wanted = waiting.pop()
            if wanted not in found:
                found.add(wanted)
                waiting += self._refers.get(wanted, ())
        return found

    def _object(self, object_id: str) -> list[str] | Damaged:
        known = self._refers.get(object_id)
        if known is not None:
            return known
        try:
            found = self._here(object_id)
            if found is None:
                found = self._fetch_object(object_id)
            if found is None:
                found = self._referred_by_new(object_id)
        except Damaged as error:
            return error
        self._refers[object_id] = found
        return found

    def _here(self, object_id: str) -> list[str] | None:
        """Return what an object names, if it is here and whole; it is relied on then."""
        key = layout.object_key(object_id)
        try:
            found = self._referred(object_id)
        except KeyError:
            return None
        except Damaged:
            self._blobs.move(key, f"{layout.LOST}/damaged-{object_id}-{self._repo.nonce()}")
            return None
        return found if loose.rely(self._blobs, object_id) else None

    def _referred_by_new(self, object_id: str) -> list[str]:
        try:
            return self._referred(object_id)
        except Damaged:  # it has the right hash, and still no store writes such a thing
            self._blobs.delete(layout.object_key(object_id))
            raise

    def _referred(self, object_id: str) -> list[str]:
        return self._transfer.alone(lambda: loose.references_of(self._blobs, object_id))  # it may be large

    def _fetch_object(self, object_id: str) -> list[str] | None:
        """Fetch an object, and return what it names, as far as that is known now."""
        key = layout.object_key(object_id)
        where = self._transfer.remote.where(key)
        whole = Verified(_there(self._transfer.chunks(key, loose.MAX_FILE), where), object_id, where)
        self._stage(key, whole)
        self._transfer.copied(key, 0)
        return whole.references

    # -- making it durable -----------------------------------------------------------------------------------------

    def _stage(self, key: str, data: Content) -> None:
        self._blobs.stage(key, data)
        with self._guard:
            self._unsettled[key.rpartition("/")[0]] = key

    def settle(self) -> None:
        """Make what was put in place durable: before a name reaches it."""
        unsettled, self._unsettled = self._unsettled, {}
        self._transfer.each(self._blobs.settle, unsettled.values())


def _there(pieces: Iterator[Piece], where: str) -> Iterator[Piece]:
    """Yield the pieces of what is named, holding none of them."""
    try:
        yield from pieces
    except KeyError:
        raise Damaged(where, "an object that is named is missing") from None
