"""Names that come from a remote: made here, in the order in which one names the other, durable in batches.

Owns: making names as they are elsewhere, and putting away one of ours that was second. Knows nothing of remotes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import Damaged
from kitaru.store import layout, names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kitaru.blobs.contract import Workspace
    from kitaru.store.repository import Repository
    from kitaru.store.sync.transfer import Transfer


class Placing:
    """Makes names in a store.

    Args:
        blobs: the store.
        transfer: whose threads settle many directories at once.
    """

    def __init__(self, blobs: Workspace, transfer: Transfer) -> None:
        self._blobs, self._transfer = blobs, transfer
        self._unsettled: dict[str, str] = {}

    def put(self, key: str, data: bytes) -> bool:
        """Make a name that is durable once `settle` was called; False if another is there."""
        won = self._blobs.stage(key, data)
        self._unsettled[key.rpartition("/")[0]] = key
        return won or self._blobs.get(key, limit=names.MAX_NAME) == data

    def put_all(self, found: Iterable[tuple[str, bytes]]) -> list[str]:
        """Make names at once, and return the keys of those where another is there."""
        made = list(found)
        won = self._transfer.each(lambda name: self.put(*name), made)
        return [key for (key, _), ok in zip(made, won, strict=True) if not ok]

    def settle(self) -> None:
        """Make the names durable that were put."""
        unsettled, self._unsettled = self._unsettled, {}
        self._transfer.each(self._blobs.settle, unsettled.values())


def put_away(repo: Repository, key: str) -> str:
    """Put a name of ours that was second into `lost/`, and return where it is now."""
    kept = f"{layout.LOST}/{key}-{repo.nonce()}"
    repo.blobs.move(key, kept)
    return kept


def must_get(blobs: Workspace, key: str) -> bytes:
    """Return the bytes of a name that was listed."""
    try:
        return blobs.get(key, limit=names.MAX_NAME)
    except KeyError:
        raise Damaged(blobs.where(key), "a name that was listed is gone") from None
