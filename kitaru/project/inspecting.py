"""What `kitaru remote show` tells: whether a remote can be reached, what it can do, and whose runs are there.

Owns: the questions that are asked of a remote for that. It brings nothing into the store here.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, KitaruError, RemoteError, RemoteRefused, UnknownFormat
from kitaru.model.records import Start
from kitaru.store import layout, names
from kitaru.store.strand import read_segment
from kitaru.store.sync.sight import format_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kitaru.blobs.contract import Listed, RemoteBlobs
    from kitaru.project.remotes import Remote
    from kitaru.store.repository import Repository

MAX_ASKED = 200
"""So many runs are looked at for whose they are, the newest."""
MAX_BYTES = 8 * 1024 * 1024
"""A run that begins with more is not fetched only to see whose it is."""
_THREADS = 16


@dataclass(slots=True)
class Inspection:
    """A remote as it was found.

    Attributes:
        problem: why it cannot be reached, or is no store that this kitaru reads; what follows is empty then.
        is_store: whether there is a store yet: the first push makes one.
        exclusive: whether it tells who of two writers was first; None where we may not write there.
        runs, versions, flows: how many there are.
        pruned: how many runs have a tombstone.
        people: who started the newest runs, and how many each; an empty name where that is not told.
        asked: of how many runs that was asked.
    """

    problem: KitaruError | None = None
    is_store: bool = False
    exclusive: bool | None = None
    runs: int = 0
    versions: int = 0
    flows: int = 0
    pruned: int = 0
    people: dict[str, int] = field(default_factory=dict)
    asked: int = 0


def inspect(remote: Remote, repo: Repository) -> Inspection:
    """Look at a remote; what is wrong with it is told, and not raised."""
    found = Inspection()
    try:
        blobs = remote.connect()
        found.is_store = format_of(blobs)
        found.exclusive = _is_exclusive(blobs)
        if found.is_store:
            _count(found, blobs, repo)
    except (RemoteError, UnknownFormat, Damaged) as error:
        found.problem = error
    return found


def _is_exclusive(remote: RemoteBlobs) -> bool | None:
    try:
        return remote.is_exclusive()
    except RemoteRefused:  # it could be read
        return None


def _count(found: Inspection, remote: RemoteBlobs, repo: Repository) -> None:
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="kitaru-inspect") as pool:
        listings = pool.map(lambda kind: list(remote.listing(kind)), (layout.RUNS, layout.FLOWS, layout.PRUNED))
        runs, versions, pruned = listings
        found.versions, found.flows = len(versions), len({entry.key.rpartition("/")[0] for entry in versions})
        gone = {entry.key.partition("/")[2] for entry in pruned}
        found.pruned = len(gone)
        parts = [part for part in _newest_first(runs) if part not in gone]
        found.runs, found.asked = len(parts), min(len(parts), MAX_ASKED)
        asked = pool.map(lambda part: _user(remote, repo, part), parts[:MAX_ASKED])
        found.people = dict(Counter(asked).most_common())


def _newest_first(listed: Iterable[Listed]) -> list[str]:
    """Return the directories of runs, by when their last segment was named."""
    changed: dict[str, int] = {}
    for entry in listed:
        part = entry.key.split("/")[1]
        changed[part] = max(changed.get(part, 0), entry.changed_us)
    return sorted(changed, key=lambda part: (-changed[part], part))


def _user(remote: RemoteBlobs, repo: Repository, part: str) -> str:
    """Return who started a run, from what is here if it is; empty where that cannot be told."""
    try:
        run = layout.unescape(part)
        record = repo.records(run)[0].record if repo.has_run(run) else _first_record(remote, run)
    except (ValueError, KeyError, Damaged):
        return ""
    return str(record.origin.get("user", "")) if isinstance(record, Start) else ""


def _first_record(remote: RemoteBlobs, run: str) -> object:
    name = layout.run_key(run, 1)
    said = names.unpack(remote.get(name, limit=names.MAX_NAME), names.SEGMENT_SHAPE, remote.where(name))
    segment = str(said["segment"])
    key = layout.segment_key(segment)
    records = read_segment(remote.get(key, limit=MAX_BYTES), segment, remote.where(key)).records
    return records[0].record if records else None
