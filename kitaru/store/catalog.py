"""The index of all runs, so that listing thousands of them reads few.

Owns: which summaries are kept, and when one is made anew. Everything in it is made from the runs; deleting the cache
loses nothing. Knows nothing of how a run is summarised.

A sealed run changes only by a new name in its directory, and a directory's time tells that, unless two changes fall
into one tick of the clock. So, as git does for its index, an entry that was made within two seconds of the youngest
directory's time is looked at again: the number of names decides.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import zstandard

from kitaru.errors import Damaged, UnknownRun
from kitaru.model.summary import RunSummary, summarize
from kitaru.store import layout

if TYPE_CHECKING:
    from kitaru.store.repository import Repository

VERSION = 1
SHARDS = 16
RACY_NS = 2_000_000_000
_MAX_SHARD = 256 * 1024 * 1024


@dataclass(slots=True)
class _Entry:
    stamp: int
    names: int
    settled: bool
    summary: RunSummary


class Catalog:
    """Summaries of all runs of a store.

    Args:
        repo: the store, in whose scratch directory, if it has one, the index is kept between processes.

    Attributes:
        damaged: run id to error, of the runs that the last `summaries()` could not read.
    """

    def __init__(self, repo: Repository) -> None:
        self._repo, self._blobs = repo, repo.blobs
        self._directory = repo.blobs.scratch
        self._entries: dict[str, _Entry] | None = None
        self._changed: set[int] = set()
        self.damaged: dict[str, Damaged] = {}

    def summaries(self) -> list[RunSummary]:
        """Return the summaries of all runs, the latest start first; what lies in `open/` is read as it is now."""
        self.damaged = {}
        pruned = set(self._blobs.children(layout.PRUNED))
        live = set(self._blobs.children(layout.OPEN)) - pruned
        stamps = self._blobs.stamps(layout.RUNS)
        found = self._sealed({p: stamp for p, stamp in stamps.items() if p not in live and p not in pruned})
        found += [summary for part in sorted(live) if (summary := self._summary(part)) is not None]
        found.sort(key=lambda summary: (-summary.started, summary.run))
        return found

    def _sealed(self, stamps: dict[str, int]) -> list[RunSummary]:
        entries = self._load()
        youngest = max(stamps.values(), default=0)
        for part in entries.keys() - stamps.keys():
            self._drop(part)
        found = []
        for part, stamp in stamps.items():
            entry = entries.get(part)
            if entry is None or entry.stamp != stamp or not entry.settled:
                entry = self._renew(part, stamp, entry, settled=stamp < youngest - RACY_NS)
            if entry is not None:
                found.append(entry.summary)
        self._save()
        return found

    def _renew(self, part: str, stamp: int, entry: _Entry | None, *, settled: bool) -> _Entry | None:
        names = len(self._blobs.children(f"{layout.RUNS}/{part}"))
        if entry is not None and entry.stamp == stamp and entry.names == names:
            if settled:
                entry.settled = True
                self._changed.add(_shard(part))
            return entry
        summary = self._summary(part)
        if summary is None:
            self._drop(part)
            return None
        made = _Entry(stamp, names, settled, summary)
        self._load()[part] = made
        self._changed.add(_shard(part))
        return made

    def _summary(self, part: str) -> RunSummary | None:
        try:
            run = layout.unescape(part)
        except ValueError:
            return None
        try:
            return summarize(run, self._repo.records(run))
        except UnknownRun:
            return None
        except Damaged as error:
            self.damaged[run] = error
            return None

    def _drop(self, part: str) -> None:
        if self._load().pop(part, None) is not None:
            self._changed.add(_shard(part))

    # -- between processes ---------------------------------------------------------------------------------------

    def _load(self) -> dict[str, _Entry]:
        if self._entries is None:
            self._entries = {}
            if self._directory is not None:
                from kitaru.store.cache import BytesCache

                for key, data in BytesCache(self._directory).read([_key(n) for n in range(SHARDS)]).items():
                    self._entries.update(_unpack(data, key))
        return self._entries

    def _save(self) -> None:
        if self._directory is None or not self._changed:
            return
        from kitaru.store.cache import BytesCache

        shards: dict[int, dict[str, _Entry]] = {n: {} for n in self._changed}
        for part, entry in self._load().items():
            shard = shards.get(_shard(part))
            if shard is not None:
                shard[part] = entry
        BytesCache(self._directory).write({_key(n): _pack(entries) for n, entries in shards.items()})
        self._changed.clear()


def _shard(part: str) -> int:
    return zlib.crc32(part.encode()) % SHARDS


def _key(shard: int) -> str:
    return f"catalog-{VERSION}-{shard}"


def _pack(entries: dict[str, _Entry]) -> bytes:
    rows = {part: [e.stamp, e.names, e.settled, e.summary.to_json()] for part, e in entries.items()}
    data = json.dumps(rows, separators=(",", ":")).encode()
    return zstandard.ZstdCompressor(level=1, write_checksum=True).compress(data)


def _unpack(data: bytes, key: str) -> dict[str, _Entry]:
    """Return the entries of a shard; none if it is not one, for it will be made anew."""
    try:
        rows: dict[str, Any] = json.loads(zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_SHARD))
        return {
            part: _Entry(int(stamp), int(names), settled is True, RunSummary.from_json(summary))
            for part, (stamp, names, settled, summary) in rows.items()
            if _key(_shard(part)) == key
        }
    except (zstandard.ZstdError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
