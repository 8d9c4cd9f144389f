"""Runs of which only the records are here: their large objects are on a remote, until somebody reads them.

Owns: the marks below `partial/`, and what is asked of whoever brings an object. Which objects a run lacks is told by
`lacking`.

A mark is made before the run's names, and goes when nothing is missing any more. It is no name: it may go and come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from kitaru.errors import Damaged
from kitaru.store import layout, names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kitaru.blobs.contract import Workspace

PARTIAL_SHAPE: dict[str, type] = {"remote": str, "url": str, "at": int}


@dataclass(frozen=True, slots=True)
class Mark:
    """A run whose large objects are elsewhere.

    Attributes:
        run: its id.
        remote: what the remote was called.
        url: its place, as `trust.place` returns it.
        at: when it was pulled, microseconds since 1970 UTC.
    """

    run: str
    remote: str
    url: str
    at: int


class Elsewhere(Protocol):
    """Who can bring objects that are not here."""

    def fetch(self, object_id: str, runs: Sequence[str]) -> bool:
        """Bring an object, verified and durable; False if it is nowhere.

        Args:
            object_id: its id.
            runs: those in whose history it is looked for; empty if nobody knows.

        Raises:
            RemoteError: the remote said no, or nothing.
            Damaged: what came is not that object.
        """

    def ids(self, prefix: str) -> list[str]:
        """Return the ids of large objects there that begin with at least two digits; raises as `fetch`."""


class Partial:
    """The marks of one store.

    Args:
        blobs: the store.
    """

    def __init__(self, blobs: Workspace) -> None:
        self._blobs = blobs

    def mark(self, run: str, *, remote: str, url: str, at: int) -> None:
        """Note that the large objects of a run are on a remote: before the run's names, durable when this returns."""
        key = layout.partial_key(run)
        if not self._blobs.create(key, names.pack({"remote": remote, "url": url, "at": at})):
            self._blobs.settle(key)

    def unmark(self, run: str) -> None:
        """Forget a mark: everything is here."""
        self._blobs.delete(layout.partial_key(run))

    def has_any(self) -> bool:
        """Tell whether any run is marked: one look at the disk."""
        return bool(self._blobs.children(layout.PARTIAL))

    def is_marked(self, run: str) -> bool:
        """Tell whether a run is marked: one look at the disk."""
        return self._blobs.exists(layout.partial_key(run))

    def marks(self) -> list[Mark]:
        """Return all marks; those that cannot be read are left to `check`."""
        found = []
        for part in self._blobs.children(layout.PARTIAL):
            try:
                found.append(self.read(layout.unescape(part)))
            except (ValueError, KeyError, Damaged):
                continue
        return found

    def read(self, run: str) -> Mark:
        """Return the mark of a run.

        Raises:
            KeyError: it has none.
            Damaged: it is not what was written.
        """
        key = layout.partial_key(run)
        fields = names.unpack(self._blobs.get(key, limit=names.MAX_NAME), PARTIAL_SHAPE, self._blobs.where(key))
        return Mark(run, **fields)
