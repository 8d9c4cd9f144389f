"""Runs that were continued in two places: the second continuation is a run of its own, which shares what came before.

Owns: the names `parted/<run>/<new run>`, and what the new run is called. Knows nothing of remotes.

Records do not embed their run's id, so the new run names the same segments as the run up to where they part, and its
own from there. What branched from a record that went with it names the old run: who looks for a record that a run does
not have looks in those that parted from it.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, KitaruError
from kitaru.model.ids import new_run_id
from kitaru.store import layout, names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kitaru.blobs.contract import Blobs, Workspace
    from kitaru.model.records import Stored

PARTED_SHAPE: dict[str, type] = {"number": int, "segment": str, "nonce": str}


def parted_id(run: str, segment: str) -> str:
    """Return what the continuation of a run is called whose first segment of its own is this one: always the same."""
    seed = f"parted {run} {segment}".encode("utf-8", "surrogatepass")
    return new_run_id(lambda size: hashlib.sha256(seed).digest()[:size])


def put(blobs: Workspace, run: str, number: int, segment: str) -> None:
    """Name the continuation of a run; whoever does writes the same bytes."""
    nonce = hashlib.sha256(f"{number} {segment}".encode()).hexdigest()[:24]
    fields = {"number": number, "segment": segment, "nonce": nonce}
    names.claim(blobs, layout.parted_key(run, parted_id(run, segment)), fields, PARTED_SHAPE)


def check(run: str, new_run: str, fields: dict[str, object], where: str) -> None:
    """Raise Damaged if such a name is not what it must be."""
    if not layout.is_object_id(str(fields["segment"])) or parted_id(run, str(fields["segment"])) != new_run:
        raise Damaged(where, "does not name the run that it stands for")


def family(blobs: Blobs, run: str) -> list[str]:
    """Return a run and all that parted from it, or from one of these."""
    found: dict[str, None] = {}
    waiting = [run]
    while waiting:
        member = waiting.pop()
        if member not in found:
            found[member] = None
            with contextlib.suppress(ValueError):  # what a damaged store says
                waiting += map(layout.unescape, reversed(blobs.children(layout.parted_key(member))))
    return list(found)


def source(
    blobs: Blobs, records_of: Callable[[str], Sequence[Stored]], run: str, head: str
) -> tuple[str, Sequence[Stored] | None]:
    """Return which run has a record that a branch names as one of `run`, and the records up to it.

    That is the run itself, or one that parted from it; no records where none has it.

    Raises:
        UnknownRun: there is no such run.
        Damaged: it cannot be read.
    """
    first, *others = family(blobs, run)
    shared = _upto(records_of(first), head)
    if shared is not None:
        return first, shared
    for other in others:
        with contextlib.suppress(KitaruError):  # it is not there yet
            shared = _upto(records_of(other), head)
            if shared is not None:
                return other, shared
    return run, None


def _upto(records: Sequence[Stored], head: str) -> Sequence[Stored] | None:
    for index, stored in enumerate(records):
        if stored.id == head:
            return records[: index + 1]
    return None
