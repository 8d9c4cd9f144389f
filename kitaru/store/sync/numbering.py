"""The numbers of flow versions where two stores gave the same one: what is on the remote keeps its number.

Owns: giving ours another number, or taking theirs for ours where it is the same code. A version is known by the id of
its value, which stays; runs name it by that. Knows nothing of remotes. Every step may be cut short: ours has its new
number before it loses the old one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.store import layout, names
from kitaru.store.sync.placing import must_get, put_away
from kitaru.store.sync.results import VersionMoved

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.blobs.contract import Workspace
    from kitaru.store.repository import Repository


def fit(repo: Repository, flow: str, theirs: Mapping[int, bytes]) -> list[VersionMoved]:
    """Let a flow's versions here have the numbers that they have on a remote.

    Args:
        repo: the store.
        flow: its name.
        theirs: the remote's versions, by number; what their names name is here.

    Returns:
        Those of ours that have another number now.
    """
    blobs = repo.blobs
    ours = _ours(blobs, flow)
    there = {number: _fields(data) for number, data in theirs.items()}
    numbers = {fields["digest"]: number for number, fields in there.items()}
    moved = []
    for number, data in ours.items():
        if theirs.get(number) == data:
            continue
        fields = _fields(data)
        if fields["digest"] in numbers:
            moved.append(VersionMoved(flow, numbers[fields["digest"]], fields["id"], number))
        elif number in theirs:
            moved.append(VersionMoved(flow, _renumber(blobs, flow, data, theirs), fields["id"], number))
    for version in moved:
        put_away(repo, layout.flow_key(flow, version.was))
    for number in sorted(theirs):
        blobs.stage(layout.flow_key(flow, number), theirs[number])
    blobs.settle(layout.flow_key(flow, 1))
    return moved


def _renumber(blobs: Workspace, flow: str, data: bytes, theirs: Mapping[int, bytes]) -> int:
    """Give one of ours a number that neither has; one that it has already, from a time before, will do."""
    ours = _ours(blobs, flow)
    for number, other in ours.items():
        if other == data and number not in theirs:
            return number
    number = max(*ours, *theirs) + 1
    while not blobs.create(layout.flow_key(flow, number), data):
        number += 1
    return number


def _ours(blobs: Workspace, flow: str) -> dict[int, bytes]:
    parts = blobs.children(layout.flow_key(flow))
    numbers = sorted(number for part in parts if (number := layout.number_of(part)) is not None)
    return {number: must_get(blobs, layout.flow_key(flow, number)) for number in numbers}


def _fields(data: bytes) -> dict[str, str]:
    return names.unpack(data, names.VERSION_SHAPE, "a flow version's name")
