"""Invocations that wait for a worker: names in `queue/`, each of which is one run that is to be.

Owns: what such a name says, how it is written and read. Knows nothing of who starts the run, or when.

An invocation is called as its run will be: so one is exactly one run, and it is taken once the run has begun, was
cancelled or pruned. Nothing of this is written into the name, which never changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged
from kitaru.model.moments import is_moment
from kitaru.store import layout
from kitaru.store.names import MAX_NAME, claim, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.blobs.contract import Blobs, Workspace

MAX_PRIORITY = 1_000_000
QUEUE_SHAPE: dict[str, type] = {
    "target": str,
    "flow": str,
    "inputs": str,
    "key": str,
    "env": str,
    "priority": int,
    "not_before": int,
    "tags": list,
    "schedule": str,
    "tick": int,
    "at": int,
    "by": str,
    "nonce": str,
}


@dataclass(frozen=True, slots=True)
class Invocation:
    """A run that is to be started.

    Attributes:
        id: what its run will be called.
        target: which version is meant, as typed: `research_agent@stable`; it is chosen when the run starts.
        flow: the flow in it.
        inputs: id of a value: parameter name to value.
        key: what the caller gave so that the flow is started once for it, or empty.
        env: the environment that was asked for, or empty.
        priority: the higher, the earlier.
        not_before: microseconds since 1970 UTC; 0 for at once.
        schedule, tick: what a schedule called it for: its name, and the time that was due; empty and 0 for others.
    """

    id: str
    target: str
    flow: str
    inputs: str
    key: str = ""
    env: str = ""
    priority: int = 0
    not_before: int = 0
    tags: list[str] = field(default_factory=list)
    schedule: str = ""
    tick: int = 0
    at: int = 0
    by: str = ""
    nonce: str = ""

    @property
    def run(self) -> str:
        """The run that it is: it has its id."""
        return self.id

    def fields(self) -> dict[str, Any]:
        """Return what its name says."""
        return {name: getattr(self, name) for name in QUEUE_SHAPE}


def read_invocation(blobs: Blobs, invocation: str) -> Invocation:
    """Return an invocation; KeyError if there is none.

    Raises:
        Damaged: what is there is no such name.
    """
    key = layout.queue_key(invocation)
    return parse_invocation(invocation, blobs.get(key, limit=MAX_NAME), blobs.where(key))


def parse_invocation(invocation: str, data: bytes, where: str) -> Invocation:
    """Return the invocation that a name's bytes tell of.

    Raises:
        Damaged: they are no such name.
    """
    fields = unpack(data, QUEUE_SHAPE, where)
    check_invocation(fields, where)
    return Invocation(invocation, **fields)


def check_invocation(fields: Mapping[str, Any], where: str) -> None:
    """Raise Damaged if the fields of such a name say what they cannot: it may come from anywhere."""
    if not layout.is_object_id(fields["inputs"]) or not all(type(tag) is str for tag in fields["tags"]):
        raise Damaged(where, "names no inputs, or has tags that are none")
    if not all(is_moment(fields[name]) for name in ("at", "not_before", "tick")):
        raise Damaged(where, "has a time that is none")
    if abs(fields["priority"]) > MAX_PRIORITY:
        raise Damaged(where, f"has priority {fields['priority']}")
    try:
        layout.flow_key(fields["flow"])
    except ValueError as error:
        raise Damaged(where, "names no flow") from error


def put_invocation(blobs: Workspace, invocation: Invocation) -> tuple[bool, Invocation]:
    """Queue an invocation whose inputs' objects are there: whether this one won, and the one that stands."""
    key = layout.queue_key(invocation.id)
    won, standing = claim(blobs, key, invocation.fields(), QUEUE_SHAPE)
    return won, Invocation(invocation.id, **standing)


def invocation_ids(blobs: Blobs) -> list[str]:
    """Return the ids of all that was ever queued, sorted; what no run can be called is left to `fsck`."""
    return [run for part in blobs.children(layout.QUEUE) if (run := _run(part))]


def _run(part: str) -> str:
    try:
        return layout.unescape(part)
    except ValueError:
        return ""
