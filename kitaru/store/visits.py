"""What gc notes on a remote, for the next gc and for every push: numbered names in `gc/`.

Owns: these names, and how the last one stands. Knows nothing of what is reached, nor of how things are removed.

The last entry says how things are: `noted` lists what nothing reached, and `removing` says that somebody is just
removing some of it; he stops before his lease is over, which is counted by the clock of the remote from when the entry
came to be. The entry with the highest number is never removed, so no number is given twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged
from kitaru.store import layout, names

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from kitaru.blobs.contract import RemoteBlobs

NOTED, REMOVING = "noted", "removing"
LEASE_US = 300_000_000
"""How long one may remove what he found, microseconds."""
MAX_LEASE_US = 3_600_000_000
"""What an entry says beyond this is not believed: no push is to wait for a day."""
MAX_LIST = 1 << 30

SHAPE: dict[str, type] = {
    "state": str,
    "at": int,
    "lease": int,
    "by": str,
    "host": str,
    "noted": dict,
    "nonce": str,
}


@dataclass(frozen=True, slots=True)
class Visit:
    """The last entry on a remote.

    Attributes:
        n: its number; 0 where there is none.
        removing: whether somebody was about to remove something when he wrote it.
        until: when his lease is over, by the clock of the remote, microseconds since 1970 UTC.
        by, host: who, and where.
        noted: key to when it was first noted, and its stamp then: both by the clock of the remote. Nothing else is
            removed by its writer; None where there is no entry, or it cannot be read.
        nonce: its writer's.
    """

    n: int = 0
    removing: bool = False
    until: int = 0
    by: str = ""
    host: str = ""
    noted: Mapping[str, tuple[int, int]] | None = None
    nonce: str = ""

    def is_at_work(self, now: int) -> bool:
        """Tell whether somebody may be removing things, at a time by the clock of the remote."""
        return self.removing and now < self.until

    def may_remove(self, keys: Collection[str]) -> bool:
        """Tell whether its writer may be about to remove any of these."""
        return self.removing and (self.noted is None or any(key in self.noted for key in keys))


def numbers(remote: RemoteBlobs) -> list[int]:
    """Return the numbers of all entries."""
    return sorted(n for n in (_number(item.key) for item in remote.listing(layout.VISITS)) if n)


def last(remote: RemoteBlobs) -> Visit:
    """Return the last entry; one that cannot be read counts as that of somebody at work, on nobody knows what."""
    while True:
        listed = {n: item for item in remote.listing(layout.VISITS) if (n := _number(item.key))}
        if not listed:
            return Visit()
        n = max(listed)
        key = layout.visit_key(n)
        try:
            fields = names.unpack(remote.get(key, limit=MAX_LIST), SHAPE, remote.where(key))
        except KeyError:  # there is a later one by now
            continue
        except Damaged:
            return Visit(n, removing=True, until=listed[n].changed_us + LEASE_US)
        lease = min(max(fields["lease"], 0), MAX_LEASE_US)
        removing, until = fields["state"] != NOTED, listed[n].changed_us + lease
        by, host, nonce = fields["by"], fields["host"], fields["nonce"]
        return Visit(n, removing, until, by, host, dict(_checked(fields["noted"])), nonce)


def write(remote: RemoteBlobs, n: int, fields: dict[str, Any]) -> bool:
    """Make the next entry; False if somebody else was first."""
    key = layout.visit_key(n)
    if not remote.create(key, names.pack(fields)):
        try:
            standing = names.unpack(remote.get(key, limit=MAX_LIST), SHAPE, remote.where(key))
        except (KeyError, Damaged):
            return False
        if standing["nonce"] != fields["nonce"]:
            return False
    return max(numbers(remote), default=0) == n  # a number below one that was removed meanwhile is nobody's


def _number(key: str) -> int | None:
    return layout.number_of(key.rpartition("/")[2])


def _checked(noted: Mapping[str, object]) -> list[tuple[str, tuple[int, int]]]:
    found = []
    for key, said in noted.items():
        if isinstance(said, list) and len(said) == 2 and all(type(part) is int for part in said):
            found.append((key, (said[0], said[1])))
    return found
