"""Routes: names that send invocations to flow versions, each a numbered log of write-once names.

Owns: what an entry says, how the log is read and added to, what a rollback goes back to, and which version of several a
key leads to. The last entry is what holds. Knows nothing of what a version holds: an entry names it by id.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from kitaru.errors import Damaged
from kitaru.store import layout
from kitaru.store.names import MAX_NAME, claim, escaped_names, numbers, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kitaru.blobs.contract import Blobs, Workspace

ROUTE_SHAPE: dict[str, type] = {"to": list, "back": int, "at": int, "by": str, "note": str, "nonce": str}

MAX_VERSIONS = 100
MAX_WEIGHT = 1_000_000


class Destination(NamedTuple):
    """A flow version that a route goes to: its value's id, its number when the entry was written, and its weight."""

    version: str
    n: int
    weight: int


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """One entry of a route's log.

    Attributes:
        n: its number, from 1.
        to: where invocations go; nowhere, where the route was removed.
        back: number of the earlier entry that this one repeats, where it is of a rollback; else 0.
        at: when it was written, microseconds since 1970 UTC.
    """

    flow: str
    route: str
    n: int
    to: tuple[Destination, ...]
    back: int
    at: int
    by: str
    note: str
    nonce: str = ""

    @property
    def set_at(self) -> int:
        """Number of the entry that first said what this one says: its own, but for a rollback."""
        return self.back or self.n

    @property
    def weights(self) -> list[list[Any]]:
        """Where it goes, as JSON."""
        return [list(destination) for destination in self.to]


def flows_with_routes(blobs: Workspace) -> list[str]:
    """Return the names of all flows that have, or had, a route, sorted; raises Damaged."""
    return escaped_names(blobs, layout.ROUTES)


def route_names(blobs: Workspace, flow: str) -> list[str]:
    """Return the names of all routes that a flow has or had, sorted; raises Damaged."""
    return escaped_names(blobs, layout.route_key(flow))


def route_log(blobs: Blobs, flow: str, route: str) -> list[RouteEntry]:
    """Return the entries of a route's log, in order; empty if there is no such route.

    Raises:
        Damaged: an entry cannot be read, or is missing.
    """
    return [_entry(blobs, flow, route, n) for n in _numbers(blobs, flow, route)]


def last_entry(blobs: Blobs, flow: str, route: str) -> RouteEntry | None:
    """Return the entry that holds, or None; raises as `route_log`."""
    found = _numbers(blobs, flow, route)
    return _entry(blobs, flow, route, found[-1]) if found else None


def add_entry(blobs: Workspace, entry: RouteEntry) -> tuple[bool, RouteEntry]:
    """Put an entry at its number, durably: whether it won, and the entry that stands there."""
    key = layout.route_key(entry.flow, entry.route, entry.n)
    fields = {
        "to": entry.weights,
        "back": entry.back,
        "at": entry.at,
        "by": entry.by,
        "note": entry.note,
        "nonce": entry.nonce,
    }
    won, standing = claim(blobs, key, fields, ROUTE_SHAPE)
    return won, _parsed(entry.flow, entry.route, entry.n, standing, blobs.where(key))


def entry_before(log: Sequence[RouteEntry]) -> RouteEntry | None:
    """Return what a rollback of a log goes back to: the entry that held before the one that holds was first said.

    So a second rollback goes further back, as an undo does, and not to what the first one undid. Entries that removed
    the route, or that led where it leads now, are passed over. None where there is nothing before.
    """
    now = log[-1]
    at = now.set_at
    while at > 1:
        before = log[log[at - 2].set_at - 1]
        if before.to and before.to != now.to:
            return before
        at = before.n
    return None


def point_of(key: str, total: int) -> int:
    """Return where among `total` a key falls, from 0.

    It is the first 8 bytes of the SHA-256 of its UTF-8, big-endian, as a fraction of 2⁶⁴, of `total`, rounded down. A
    fraction and not a remainder, so that weights of 9 and 1 send every key where 90 and 10 send it.
    """
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") * total >> 64


def destination_at(to: Sequence[Destination], point: int) -> Destination:
    """Return the destination in whose share, in the order of the entry, a point lies."""
    for destination in to:
        if point < destination.weight:
            return destination
        point -= destination.weight
    raise IndexError(point)


def _numbers(blobs: Blobs, flow: str, route: str) -> list[int]:
    directory = layout.route_key(flow, route)
    found = numbers(blobs, directory)
    if found != list(range(1, len(found) + 1)):
        raise Damaged(blobs.where(directory), "an entry of the route's log is missing")
    return found


def _entry(blobs: Blobs, flow: str, route: str, n: int) -> RouteEntry:
    key = layout.route_key(flow, route, n)
    return parse_entry(flow, route, n, blobs.get(key, limit=MAX_NAME), blobs.where(key))


def parse_entry(flow: str, route: str, n: int, data: bytes, where: str) -> RouteEntry:
    """Return the entry that a name's bytes tell of.

    Raises:
        Damaged: they are no such name.
    """
    return _parsed(flow, route, n, unpack(data, ROUTE_SHAPE, where), where)


def check_entry(n: int, fields: dict[str, Any], where: str) -> None:
    """Raise Damaged if what the n-th name of a route's log says is no entry."""
    _parsed("", "", n, fields, where)


def _parsed(flow: str, route: str, n: int, fields: dict[str, Any], where: str) -> RouteEntry:
    fields = dict(fields)
    to = [_destination(item, where) for item in fields.pop("to")]
    if len(to) > MAX_VERSIONS or not 0 <= fields["back"] < n:
        raise Damaged(where, "not an entry as a route's log has")
    return RouteEntry(flow, route, n, tuple(to), **fields)


def _destination(item: object, where: str) -> Destination:
    if isinstance(item, list) and [type(part) for part in item] == [str, int, int]:
        found = Destination(*item)
        if layout.is_object_id(found.version) and found.n > 0 and 0 < found.weight <= MAX_WEIGHT:
            return found
    raise Damaged(where, "goes to what is no flow version")
