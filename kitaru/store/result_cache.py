"""The result cache: which call of which run gave the result that is kept under a key.

Owns: the entries, in `cache/results/`, and that what they say is believed only where the run itself says so. Anybody
may delete or spoil them at any time: a run that is gone, and an entry that lies, is a miss. Knows nothing of what a key
is made of.

An entry is the canonical JSON of `{"record", "run"}`. The record names the key under which its result may be taken, so
that the entry only says where to look: nobody takes a result under another key than the run that gave it meant.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged, PrunedRun, StoreError, UnknownRun
from kitaru.model.encoding import Malformed, references
from kitaru.model.records import Call
from kitaru.store import names
from kitaru.store.layout import is_object_id

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable
    from pathlib import Path

    from kitaru.store.repository import Repository

DIRECTORY = "results"
SIZE_LIMIT = 128 << 20
"""Bytes; the entries stored longest ago go first."""

_MAX_ENTRY = 1024
_RUNS_KEPT = 8


@dataclass(frozen=True, slots=True)
class Cached:
    """A call whose result is kept: its run, its record's id, and the record."""

    run: str
    id: str
    record: Call


@dataclass(frozen=True, slots=True)
class CacheUse:
    """How many results are kept (None where that cannot be read), and the bytes on disk that this takes."""

    entries: int | None
    size: int


class ResultCache:
    """The results of one store, open for as long as this object lives.

    Args:
        repo: the store; where it has no disk, the entries are kept in memory.
    """

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._entries = _Memory() if repo.blobs.scratch is None else _OnDisk(repo.blobs.scratch / DIRECTORY)
        self._calls: OrderedDict[str, dict[str, Call]] = OrderedDict()
        self._guard = Lock()

    def find(self, key: str, warn: Callable[[str], None]) -> Cached | None:
        """Return the call whose result is kept under a key, verified; None where there is none.

        Args:
            key: 64 hex digits.
            warn: told, once, that the cache cannot be read.
        """
        place = _parse(self._entries.get(key, warn))
        if place is None:
            return None
        run, record_id = place
        record = self._call(run, record_id)
        return Cached(run, record_id, record) if record is not None and _may_be_taken(record, key) else None

    def keep(self, key: str, run: str, record_id: str, record: Call, warn: Callable[[str], None]) -> None:
        """Keep where a result is, after its record is durable."""
        with self._guard:
            self._remember(run).setdefault(record_id, record)
        self._entries.set(key, names.canonical({"record": record_id, "run": run}), warn)

    def objects(self, cached: Cached, known: Container[str]) -> list[tuple[str, bytes]]:
        """Return the objects of a kept result, whole: of its output and of what the call saved.

        Args:
            known: ids of objects that are not needed, with all that they lead to.

        Raises:
            UnknownObject, Damaged: not all of them are there.
        """
        assert cached.record.output is not None  # noqa: S101 - as `find` has it
        return list(self._objects([cached.record.output, *cached.record.saved.values()], cached.run, known))

    def use(self) -> CacheUse:
        """Return what is kept."""
        return self._entries.use()

    def clear(self) -> CacheUse:
        """Forget everything; return what was kept. Nothing is lost by it but time.

        Raises:
            StoreError: it cannot be removed.
        """
        use = self._entries.use()
        self._entries.clear()
        return use

    # -- runs ----------------------------------------------------------------------------------------------------

    def _call(self, run: str, record_id: str) -> Call | None:
        """Return a run's call by the id of its record; None where the run is gone, or never had it."""
        try:
            self._repo.check_unpruned(run)
            with self._guard:
                known = self._calls.get(run, {}).get(record_id)
            if known is not None:  # a run goes by its tombstone, or not at all
                return known
            records = self._repo.records(run)
        except (UnknownRun, PrunedRun, Damaged, ValueError):  # the last: a name that no run can have
            return None
        with self._guard:
            calls = self._remember(run)
            calls.update((stored.id, stored.record) for stored in records if isinstance(stored.record, Call))
            return calls.get(record_id)

    def _remember(self, run: str) -> dict[str, Call]:
        calls = self._calls.setdefault(run, {})
        self._calls.move_to_end(run)
        while len(self._calls) > _RUNS_KEPT:
            self._calls.popitem(last=False)
        return calls

    def _objects(self, ids: Iterable[str], run: str, known: Container[str]) -> Iterable[tuple[str, bytes]]:
        seen: set[str] = set()
        waiting = list(ids)
        while waiting:
            wanted = waiting.pop()
            if wanted in seen or wanted in known:
                continue
            seen.add(wanted)
            data = self._repo.object(wanted, [run])
            try:
                waiting += references(data)
            except Malformed as error:
                raise Damaged(f"object {wanted[:16]}", f"not a value: {error}") from error
            yield wanted, data


def _may_be_taken(record: Call, key: str) -> bool:
    """Tell whether a record is one that says it may be taken for this key, and whose output is all that it did."""
    return record.cache == key and record.how == "ran" and record.output is not None and not record.mutated


def _parse(entry: bytes | None) -> tuple[str, str] | None:
    """Return run and record that an entry names; None where it is none."""
    if entry is None or len(entry) > _MAX_ENTRY:
        return None
    try:
        fields = json.loads(entry)
    except ValueError:
        return None
    match fields:
        case {"run": str(run), "record": str(record)} if is_object_id(record):
            return run, record
    return None


class _Memory:
    def __init__(self) -> None:
        self._entries: dict[str, bytes] = {}

    def get(self, key: str, _warn: Callable[[str], None]) -> bytes | None:
        return self._entries.get(key)

    def set(self, key: str, entry: bytes, _warn: Callable[[str], None]) -> None:
        self._entries[key] = entry

    def use(self) -> CacheUse:
        return CacheUse(len(self._entries), sum(map(len, self._entries.values())))

    def clear(self) -> None:
        self._entries.clear()


class _OnDisk:
    """Entries by diskcache. What is damaged is removed, and begun anew; once, and so is one warning given.

    After a fault of the disk, or a second one of any kind, it is left alone for as long as this process lives.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cache: Any = None
        self._faults = 0
        self._broken = False

    def get(self, key: str, warn: Callable[[str], None]) -> bytes | None:
        if self._cache is None and not (self._directory / "cache.db").exists():
            return None
        found = self._try(lambda cache: cache.get(key), warn)
        return found if isinstance(found, bytes) else None

    def set(self, key: str, entry: bytes, warn: Callable[[str], None]) -> None:
        self._try(lambda cache: cache.set(key, entry), warn)

    def use(self) -> CacheUse:
        if not (self._directory / "cache.db").exists():
            return CacheUse(0, 0)
        count = self._try(len, lambda _: None)
        return CacheUse(count, sum(path.stat().st_size for path in self._directory.rglob("*") if path.is_file()))

    def clear(self) -> None:
        """Remove the directory, whatever is in it: what is damaged most of all."""
        self._close()
        self._faults, self._broken = 0, False
        shutil.rmtree(self._directory, ignore_errors=True)  # others may be making and removing files in it
        if self._directory.exists() and not os.access(self._directory, os.W_OK):
            raise StoreError(f"cannot remove {self._directory}: it is not writable", hint="remove it by hand")

    def _close(self) -> None:
        if self._cache is not None:
            with contextlib.suppress(Exception):
                self._cache.close()
        self._cache = None

    def _try(self, what: Callable[[Any], Any], warn: Callable[[str], None]) -> Any:  # noqa: ANN401 - diskcache has no types
        if self._broken:
            return None
        from kitaru.store.cache import FAILURES, OF_THE_DISK, TIMEOUT, open_cache

        try:
            if self._cache is None:
                self._cache = open_cache(self._directory, size_limit=SIZE_LIMIT, eviction="least-recently-stored")
            return what(self._cache)
        except TIMEOUT:  # somebody else is writing, for longer than a result is worth waiting for
            return None
        except FAILURES as error:
            self._fault(error, of_the_disk=isinstance(error, OF_THE_DISK), warn=warn)
            return None

    def _fault(self, error: Exception, *, of_the_disk: bool, warn: Callable[[str], None]) -> None:
        self._faults += 1
        self._broken = of_the_disk or self._faults > 1
        if not of_the_disk:
            self._close()
            shutil.rmtree(self._directory, ignore_errors=True)
        if self._faults == 1:
            done = "is not used" if of_the_disk else "was damaged and begins anew"
            warn(f"the result cache in {self._directory} {done}: {error}")
