"""Bringing two stores together: a push, fetch or pull is a union of what both have; there is no merge.

Owns: the verbs. Knows nothing of how a remote is reached, nor of who is asked or told.

Content goes first and names last, each verified before it is visible, so that whatever is cut short is simply done
again. Where both made a name, the first one stands, and nothing of the other's is lost: see `conflicts`.
"""

from kitaru.store.sync.comparing import compare, keys_here
from kitaru.store.sync.job import Pair
from kitaru.store.sync.pull import fetch, pull
from kitaru.store.sync.push import push
from kitaru.store.sync.results import (
    Left,
    Lost,
    Outcome,
    Parted,
    PullChoice,
    PushChoice,
    RunMoved,
    Standing,
    Tell,
    VersionMoved,
    tell_nobody,
)
from kitaru.store.sync.tracking import Tracking

__all__ = [
    "Left",
    "Lost",
    "Outcome",
    "Pair",
    "Parted",
    "PullChoice",
    "PushChoice",
    "RunMoved",
    "Standing",
    "Tell",
    "Tracking",
    "VersionMoved",
    "compare",
    "fetch",
    "keys_here",
    "pull",
    "push",
    "tell_nobody",
]
