"""Trying out whether a place lets exactly one of several writers create a name.

Owns: the trial, which leaves nothing behind. Knows nothing of how a place creates anything.
"""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

from kitaru.errors import NotExclusive, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kitaru.blobs.contract import Blobs

PAIRS = 4
"""So many keys are written by two at once: a server may make each further writer of one key wait for a second."""


def is_exclusive(blobs: Blobs, random_bytes: Callable[[int], bytes] = os.urandom) -> bool:
    """Return whether `create` refuses a second writer: one that comes later, with and without content, or at once.

    Args:
        blobs: the place; scratch keys below `tmp/` are made and removed again.
        random_bytes: names the scratch keys.

    Raises:
        RemoteError: the place cannot be written to at all.
    """
    stem = f"tmp/{random_bytes(12).hex()}"
    keys = [f"{stem}-{trial}" for trial in ("later", "empty", *range(PAIRS))]
    try:
        return _later(blobs, keys[0], b"first") and _later(blobs, keys[1], b"") and _at_once(blobs, keys[2:])
    except NotExclusive:
        return False
    finally:
        with contextlib.suppress(StoreError):  # whoever may write may perhaps not delete; a failure before says more
            for key in keys:
                blobs.delete(key)


def _later(blobs: Blobs, key: str, content: bytes) -> bool:
    won = blobs.create(key, content)
    again = blobs.create(key, b"second")
    return won and not again and blobs.get(key) == content


def _at_once(blobs: Blobs, keys: Sequence[str]) -> bool:
    gate = Barrier(2 * len(keys))

    def write(key: str, content: bytes) -> bool:
        gate.wait()
        return blobs.create(key, content)

    with ThreadPoolExecutor(gate.parties) as pool:
        try:
            pairs = [(key, [pool.submit(write, key, content) for content in _CONTENTS]) for key in keys]
        except RuntimeError as error:  # the others would wait for it forever
            gate.abort()
            raise StoreError(f"no thread can be started: {error}", hint="see `ulimit -a`") from error
        won = [(key, [first.result() for first in pair]) for key, pair in pairs]
    return all(sum(pair) == 1 and blobs.get(key) == _CONTENTS[pair.index(True)] for key, pair in won)


_CONTENTS = (b"one", b"other")
