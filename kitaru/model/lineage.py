"""Where a value came from and where it went: edges drawn from content.

Owns: the rule that an input whose id equals an earlier output's id is an edge, and which values are too common to make
one. Pure; which ids are trivial is told to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.model.encoding import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from kitaru.model.history import CallView, RunState


_SINGLE = (wire.NONE, wire.TRUE, wire.FALSE, wire.FLOAT, wire.ELLIPSIS, wire.NOT_IMPLEMENTED)
_EMPTY = (wire.LIST, wire.TUPLE, wire.DICT, wire.SET, wire.FROZENSET, wire.STR, wire.BYTES, wire.BYTEARRAY)
_SMALL_INT_BYTES = 4


def is_trivial(encoded: bytes) -> bool:
    """Tell whether a value, given as its object's bytes, is too common for equality to mean that it was handed on.

    None, booleans, floats, integers of up to 16 bits, and empty containers.
    """
    tag = encoded[:1]
    if tag == wire.INT:
        return len(encoded) <= _SMALL_INT_BYTES
    return tag in _SINGLE or (tag in _EMPTY and encoded[1:] == b"\0")


@dataclass(frozen=True, slots=True)
class Edge:
    """One step of lineage.

    Attributes:
        label: the call, wait or flow input at the other end: `plan`, `fetch#2`, `input question`, `answer approve`.
        name: the argument or artifact that carries the value at this end.
        object_id: the value.
    """

    label: str
    name: str
    object_id: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """A call's lineage: `up` is where its arguments came from, `down` where its output and artifacts went."""

    up: list[Edge]
    down: list[Edge]


def lineage(state: RunState, call: CallView, is_trivial: Callable[[str], bool]) -> Lineage:
    """Return the edges of one call within its run.

    Args:
        state: the run.
        call: one of its calls.
        is_trivial: tells ids that make no edge: None, booleans, small numbers, empty containers.
    """
    arguments = call.record.args if call.record is not None else {}
    here = state.sequence.index(call.order)
    before, after = set(state.sequence[:here]), set(state.sequence[here + 1 :])
    up = [
        Edge(label, name, object_id)
        for name, object_id in arguments.items()
        if not is_trivial(object_id)
        for label in _sources(state, object_id, before)
    ]
    made = {object_id: name for name, object_id in _produced(call) if not is_trivial(object_id)}
    down = [
        Edge(later.label, made[object_id], object_id)
        for later in state.ordered_calls
        if later.order in after and later.record is not None
        for object_id in dict.fromkeys(later.record.args.values())
        if object_id in made
    ]
    if state.end is not None and state.end.output in made:
        down.append(Edge("the flow's result", made[state.end.output], state.end.output))
    return Lineage(up, down)


def _produced(call: CallView) -> Iterator[tuple[str, str]]:
    if call.record is not None:
        yield from call.record.saved.items()
        if call.record.output is not None:
            yield "output", call.record.output


def _sources(state: RunState, object_id: str, before: Container[int]) -> Iterator[str]:
    """Yield the nearest call that made a value, or else the answer or flow input that brought it."""
    for earlier in reversed(state.ordered_calls):
        if earlier.order in before and any(object_id == made for _, made in _produced(earlier)):
            yield earlier.label
            return
    for wait in reversed(state.ordered_waits):
        if wait.answer is not None and wait.answer.value == object_id and wait.record.order in before:
            yield f"answer {wait.label}"
            return
    for name, value in state.start.inputs.items():
        if value == object_id:
            yield f"input {name}"
            return
