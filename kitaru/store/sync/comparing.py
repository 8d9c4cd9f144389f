"""How a store stands to a remote as it was when it was last looked at: no request is sent.

Owns: comparing listings. Knows nothing of what is in the names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.store import layout
from kitaru.store.sync import sight as sights
from kitaru.store.sync.kinds import PRUNED, RUNS, parse
from kitaru.store.sync.results import Standing

if TYPE_CHECKING:
    from kitaru.store.repository import Repository
    from kitaru.store.sync.tracking import Tracking


def compare(repo: Repository, tracking: Tracking) -> Standing:
    """Return how a store stands to a remote, by what is known of it.

    A run that executes here or was interrupted is not ahead before it is sealed.
    """
    ours = sights.here(repo.blobs).names
    ahead, behind = ours.keys() - tracking.there, tracking.there - ours.keys()
    here = [ours[key] for key in ahead]
    there = [parse(key) for key in behind]
    pruned = {key.owner for key in [*ours.values(), *there] if key.kind is PRUNED}
    runs_ahead = {key.owner for key in here if key.kind is RUNS} - pruned
    runs_behind = {key.owner for key in there if key.kind is RUNS} - pruned
    unsure = {parse(key).owner for key in tracking.there - tracking.same - behind if key.startswith(f"{layout.RUNS}/")}
    return Standing(
        tracking.at,
        tuple(sorted(runs_ahead)),
        tuple(sorted(runs_behind)),
        tuple(sorted(unsure | (runs_ahead & runs_behind))),
        sum(key.kind is not RUNS for key in here),
        sum(key.kind is not RUNS for key in there),
    )
