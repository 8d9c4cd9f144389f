"""Finding one object among large files, segments and open journals.

Owns: where to look and in which order, and what is kept in memory for the next look. Knows nothing of values.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from threading import RLock
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, RemoteError, UnknownObject
from kitaru.store import envelope, layout, loose, names, runs
from kitaru.store.strand import FrameCache, Sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kitaru.blobs.contract import Workspace
    from kitaru.store.partial import Elsewhere
    from kitaru.store.segments import Segments
    from kitaru.store.strand import Strand

_KEPT = 64


class ObjectFinder:
    """Reads objects of one store, each verified against its id."""

    def __init__(self, segments: Segments, cache: FrameCache) -> None:
        self._blobs: Workspace = segments.blobs
        self._segments, self._cache = segments, cache
        self._guard = RLock()
        self._named: dict[str, list[str]] = {}
        self._sealed: OrderedDict[str, Sealed] = OrderedDict()
        self._journals: OrderedDict[str, Strand] = OrderedDict()
        self.elsewhere: Elsewhere | None = None
        """Who brings what is not here; None where everything is."""

    def find(self, object_id: str, in_runs: Sequence[str], *, here: bool = False) -> bytes:
        """Return an object: from these runs, if they have it, or from wherever it is.

        Args:
            object_id: its id.
            in_runs: where to look first.
            here: look in these runs and large files only, or without runs in this store only.

        Raises:
            UnknownObject: it is nowhere.
            Damaged: the one place where it is holds something else.
            RemoteError: it is elsewhere, and cannot be had.
        """
        kept = self._cache.object(object_id)
        if kept is not None:
            return kept
        error: Damaged | RemoteError | None = None
        for look in self._looks(bool(in_runs), here=here):
            try:
                data = look(object_id, in_runs)
            except (Damaged, RemoteError) as found:
                error = error or found
            else:
                if data is not None:
                    return data
        raise error or UnknownObject(object_id)

    def _looks(self, of_runs: bool, *, here: bool) -> Iterator[Callable[[str, Sequence[str]], bytes | None]]:
        """Yield where to look, in order; what partial runs lack is asked for before all runs are looked through."""
        yield from (self._in_known, self._in_runs, self._in_loose)
        elsewhere = self.elsewhere is not None and not here
        if of_runs and elsewhere:
            yield self._elsewhere
        if not (of_runs and here):
            yield self._anywhere
        if elsewhere and not of_runs:
            yield self._elsewhere

    def _elsewhere(self, object_id: str, in_runs: Sequence[str]) -> bytes | None:
        assert self.elsewhere is not None  # noqa: S101 - asked by who looks here
        return self._in_loose(object_id, ()) if self.elsewhere.fetch(object_id, in_runs) else None

    def view(self, object_id: str, in_runs: Sequence[str]) -> bytes | memoryview:
        """Return a large object as `find` does, but as it lies in its file where that can be had."""
        try:
            return loose.view(self._blobs, object_id)
        except (KeyError, Damaged):
            return self.find(object_id, in_runs)

    def ids(self, prefix: str) -> list[str]:
        """Return the ids of all objects that begin with `prefix`, sorted."""
        found = set(self._loose_ids(prefix))
        for run in self._all_runs():
            for segment in self._segments_of(run):
                found.update(self._sealed_of(segment).ids(prefix))
            for key in runs.open_keys(self._blobs, run):
                strand = self._journal(key)
                found.update(i for i in (strand.objects if strand else ()) if i.startswith(prefix))
        if not found and self.elsewhere is not None:
            found.update(self.elsewhere.ids(prefix))
        return sorted(found)

    # -- where to look -------------------------------------------------------------------------------------------

    def _in_known(self, object_id: str, in_runs: Sequence[str]) -> bytes | None:
        """Look in what was looked at before, without asking the disk what is new."""
        for run in in_runs:
            with self._guard:
                segments = self._named.get(run, ())
                journals = []
                if self._journals:
                    start = layout.open_key(run) + "/"
                    journals = [key for key in self._journals if key.startswith(start)]
            for key in journals:
                data = self._in_strand(key, self._journals.get(key), object_id)
                if data is not None:
                    return data
            for segment in segments:
                data = self._sealed_of(segment).find(object_id)
                if data is not None:
                    return data
        return None

    def _in_runs(self, object_id: str, in_runs: Sequence[str]) -> bytes | None:
        for run in in_runs:
            for key in runs.open_keys(self._blobs, run):
                data = self._in_strand(key, self._journal(key), object_id)
                if data is not None:
                    return data
            for segment in self._segments_of(run):
                data = self._sealed_of(segment).find(object_id)
                if data is not None:
                    return data
        return None

    def _in_loose(self, object_id: str, _: Sequence[str]) -> bytes | None:
        try:
            return loose.read(self._blobs, object_id)
        except KeyError:
            return None

    def _anywhere(self, object_id: str, in_runs: Sequence[str]) -> bytes | None:
        return self._in_runs(object_id, [run for run in self._all_runs() if run not in in_runs])

    # -- what is kept --------------------------------------------------------------------------------------------

    def _all_runs(self) -> Iterator[str]:
        for part in dict.fromkeys([*self._blobs.children(layout.OPEN), *self._blobs.children(layout.RUNS)]):
            yield layout.unescape(part)

    def _segments_of(self, run: str) -> list[str]:
        segments = [name.segment for name in names.segments(self._blobs, run)]
        with self._guard:
            if len(self._named) > _KEPT:
                self._named.clear()
            self._named[run] = segments
        return segments

    def _sealed_of(self, segment: str) -> Sealed:
        with self._guard:
            sealed = self._sealed.get(segment)
            if sealed is not None:
                self._sealed.move_to_end(segment)
                return sealed
        try:
            sealed = Sealed(*self._segments.find(segment), self._cache)
        except KeyError:
            where = self._blobs.where(layout.segment_key(segment))
            raise Damaged(where, "a segment that is named is missing") from None
        with self._guard:
            self._sealed[segment] = sealed
            while len(self._sealed) > _KEPT:
                self._sealed.popitem(last=False)
        return sealed

    def _journal(self, key: str) -> Strand | None:
        """Return an open journal as it is now; what was read of it before is not read again."""
        with self._guard:
            strand = self._journals.get(key)
            try:
                if strand is None:
                    strand = runs.open_journal(self._blobs, key, self._cache).strand
                    self.keep(key, strand)
                elif self._has_grown(key, strand):
                    strand.absorb(self._blobs.get(key, limit=runs.MAX_SEGMENT), self._cache)
            except KeyError:  # sealed meanwhile
                self._journals.pop(key, None)
                return None
        return strand

    def _has_grown(self, key: str, strand: Strand) -> bool:
        """Tell whether an envelope has come since; the file's size does not, for it is grown ahead."""
        header = self._blobs.get(key, start=strand.end)[: envelope.HEADER.size]
        return header.startswith(envelope.MAGIC)

    def keep(self, key: str, strand: Strand | None) -> None:
        """Remember an open journal that was just read."""
        if strand is None:
            return
        with self._guard:
            self._journals[key] = strand
            while len(self._journals) > _KEPT:
                self._journals.popitem(last=False)

    def _in_strand(self, key: str, strand: Strand | None, object_id: str) -> bytes | None:
        if strand is None:
            return None
        with self._guard:
            place = strand.objects.get(object_id)
            if place is None:
                return None
            number, start, end = place
            frame = strand.frames[number]
            raw = self._cache.get((strand.where, frame.offset, frame.raw_length))
        if raw is None:
            try:
                raw = envelope.inflate(self._blobs.get(key, limit=runs.MAX_SEGMENT), frame, strand.where)
            except KeyError:
                return None
            self._cache.put((strand.where, frame.offset, frame.raw_length), raw)
        data = raw[start:end]
        if hashlib.sha256(data).hexdigest() != object_id:
            raise Damaged(strand.where, f"object {object_id[:16]} does not have the hash that names it")
        return data

    def _loose_ids(self, prefix: str) -> Iterator[str]:
        for first in self._blobs.children(layout.OBJECTS):
            if first.startswith(prefix[:2]):
                for rest in self._blobs.children(f"{layout.OBJECTS}/{first}"):
                    if (first + rest).startswith(prefix):
                        yield first + rest
