"""Relying on a file that is there already, while gc may be about to remove it.

Owns: the handshake between the two. Who finds what he was about to write freshens it first; gc removes a file only
while its stamp is still the one it noted on an earlier visit. A lock held for these few system calls keeps one from
coming between the other's two. So a file either is freshened and stays, or is gone before it is relied on, and is
written anew. Knows nothing of what is in the files.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from kitaru.errors import StoreError
from kitaru.store import layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kitaru.blobs.contract import Workspace

WAIT_S = 60.0


def rely(blobs: Workspace, key: str) -> bool:
    """Keep a file that was found, and verified, from being removed, and make its name durable; False if it is gone."""
    with _guarded(blobs):
        if not blobs.freshen(key):
            return False
    blobs.settle(key)
    return True


def remove(blobs: Workspace, key: str, stamp: int) -> bool:
    """Remove a file unless somebody relied on it since its stamp was looked at; tell whether it was removed."""
    with _guarded(blobs):
        try:
            if blobs.stamp(key) != stamp:
                return False
        except KeyError:
            return False
        blobs.delete(key)
    return True


@contextlib.contextmanager
def _guarded(blobs: Workspace) -> Iterator[None]:
    lock = blobs.lock(layout.REUSE_LOCK, wait_s=WAIT_S)
    if lock is None:
        raise StoreError(f"{blobs.where('locks')}/{layout.REUSE_LOCK} is held by a process that does not go on")
    try:
        yield
    finally:
        lock.release()
