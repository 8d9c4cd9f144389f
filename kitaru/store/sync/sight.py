"""What names a store has, and what names a remote has: the listings that a push or pull begins with.

Owns: which keys of a remote are refused before anything is read from it, and making a remote a store. Knows nothing of
what is copied.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kitaru.errors import NotAStore, RemoteError
from kitaru.store import layout, names
from kitaru.store.kinds import KINDS, Key, parse
from kitaru.store.sync.results import Left

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kitaru.blobs.contract import RemoteBlobs, Workspace
    from kitaru.store.sync.transfer import Transfer

_FORMAT = names.canonical(layout.FORMAT) + b"\n"


@dataclass(slots=True)
class Sight:
    """The names that a store has.

    Attributes:
        names: by key.
        refused: keys that are no names, and entries of logs behind a gap.
        is_store: whether there is a store at all.
        written: when names of a remote were, by its clock, by key.
    """

    names: dict[str, Key] = field(default_factory=dict)
    refused: list[Left] = field(default_factory=list)
    is_store: bool = True
    written: dict[str, int] = field(default_factory=dict)

    @property
    def stamps(self) -> dict[str, int]:
        """The keys of all names of a remote, and when each was written."""
        return {key: self.written.get(key, 0) for key in self.names}

    def logs(self, directory: str) -> dict[str, list[Key]]:
        """Return the entries of each log of a kind, in order, by the log's directory."""
        found: dict[str, list[Key]] = {}
        for key in self.names.values():
            if key.kind.directory == directory:
                found.setdefault(key.log, []).append(key)
        for entries in found.values():
            entries.sort(key=lambda entry: entry.number)
        return found

    def run(self, run: str) -> list[Key]:
        """Return the segments' names of a run, in order."""
        found: list[Key] = []
        while key := self.names.get(layout.run_key(run, len(found) + 1)):
            found.append(key)
        return found


def here(blobs: Workspace) -> Sight:
    """Return the names of a store here; what is no name is left to `check`."""
    return _sighted(key for kind in KINDS for key in blobs.keys(kind.directory))


def there(transfer: Transfer) -> Sight:
    """Return the names of a remote.

    Raises:
        UnknownFormat: it is a store of another version, or something else than a store.
        Damaged: its format cannot be read.
    """
    with ThreadPoolExecutor(1) as aside:
        is_store = aside.submit(format_of, transfer.remote)
        found = transfer.each(transfer.listing, [kind.directory for kind in KINDS])
    transfer.count(requests=1)
    if not is_store.result():
        _check_empty(transfer)
        return Sight(is_store=False)
    sight = _sighted(listed.key for listing in found for listed in listing)
    sight.written = {listed.key: listed.changed_us for listing in found for listed in listing}
    _refuse_gaps(transfer, sight)
    return sight


def found_of(transfer: Transfer, run: str) -> list[Key]:
    """Return the segments' names of one run of a remote, asked for anew: a listing may miss what is made meanwhile."""
    sight = _sighted(listed.key for listed in transfer.listing(layout.run_key(run)))
    return sight.run(run)


def initialise(transfer: Transfer) -> None:
    """Make a remote a store; harmless where somebody else just did."""
    transfer.create(layout.FORMAT_KEY, _FORMAT, len(_FORMAT))
    if not format_of(transfer.remote):
        raise RemoteError(f"{transfer.remote.url} does not keep what is written to it")


def format_of(remote: RemoteBlobs) -> bool:
    """Tell whether a remote is a store; raises UnknownFormat where it is one of another version, or Damaged."""
    where = remote.where(layout.FORMAT_KEY)
    try:
        data = remote.get(layout.FORMAT_KEY, limit=names.MAX_NAME)
    except KeyError:
        return False
    names.check_format(data, where)
    return True


def _check_empty(transfer: Transfer) -> None:
    if any(not listed.key.startswith(f"{layout.TMP}/") for listed in transfer.remote.listing("")):
        raise NotAStore(transfer.remote.url)


def _sighted(keys: Iterable[str]) -> Sight:
    sight = Sight()
    for key in keys:
        try:
            sight.names[key] = parse(key)
        except ValueError as error:
            sight.refused.append(Left(key, str(error)))
    return sight


def _refuse_gaps(transfer: Transfer, sight: Sight) -> None:
    """Refuse the entries of a log behind a gap, unless the one that is missing came while the rest was listed."""
    for kind in KINDS:
        if not kind.is_log:
            continue
        for log, entries in sight.logs(kind.directory).items():
            expected = 1
            for entry in entries:
                while entry.number > expected and _came(transfer, sight, log, expected):
                    expected += 1
                if entry.number == expected:
                    expected += 1
                else:
                    del sight.names[entry.key]
                    sight.refused.append(Left(entry.key, f"entry {expected} of {log} is missing before it"))


def _came(transfer: Transfer, sight: Sight, log: str, number: int) -> bool:
    key = log + layout.numbered(number)
    if not transfer.exists(key):
        return False
    sight.names[key] = parse(key)
    return True
