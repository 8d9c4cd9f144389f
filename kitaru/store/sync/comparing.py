"""How a store stands to a remote as it was when it was last looked at: no request is sent.

Owns: comparing listings. Knows nothing of what is in the names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.store import layout
from kitaru.store.kinds import KINDS, RUNS, parse
from kitaru.store.sync.results import Standing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kitaru.blobs.contract import Workspace
    from kitaru.store.kinds import Key
    from kitaru.store.sync.tracking import Tracking


def keys_here(blobs: Workspace) -> frozenset[str]:
    """Return the keys of the names that a store has: for `compare` with several remotes."""
    return frozenset(key for kind in KINDS for key in blobs.keys(kind.directory))


def compare(ours: frozenset[str], tracking: Tracking) -> Standing:
    """Return how a store, by the keys of its names, stands to a remote, by what is known of it.

    A run that executes here or was interrupted is not ahead before it is sealed.
    """
    ahead, behind = _names(ours - tracking.there), _names(tracking.there - ours)
    pruned = {key.owner for key in _names(k for k in ours | tracking.there if k.startswith(f"{layout.PRUNED}/"))}
    runs_ahead = {key.owner for key in ahead if key.kind is RUNS} - pruned
    runs_behind = {key.owner for key in behind if key.kind is RUNS} - pruned
    unsure = {key.owner for key in _names((tracking.there & ours) - tracking.same) if key.kind is RUNS}
    return Standing(
        tracking.at,
        tuple(sorted(runs_ahead)),
        tuple(sorted(runs_behind)),
        tuple(sorted(unsure | (runs_ahead & runs_behind))),
        sum(key.kind is not RUNS for key in ahead),
        sum(key.kind is not RUNS for key in behind),
    )


def _names(keys: Iterable[str]) -> list[Key]:
    """Take keys apart; what is no name is left to `check` and to the next push or pull."""
    found = []
    for key in keys:
        try:
            found.append(parse(key))
        except ValueError:
            continue
    return found
