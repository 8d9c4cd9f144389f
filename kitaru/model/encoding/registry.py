"""Serializers that users register for their own types, by name.

Owns: the process-wide table of them, and how their values stand in the data: the name, and whatever `encode` returned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from kitaru.errors import UsageError
from kitaru.model.encoding import basics
from kitaru.model.encoding.refusal import Refused, too_deep
from kitaru.model.encoding.wire import MAX_DEPTH, REGISTERED

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.model.encoding.state import EncodeFn, State

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Serializer:
    """How values of one exact type are written and read."""

    cls: type
    name: str
    encode: Callable[[Any], object]
    decode: Callable[[Any], object]


_by_type: dict[type, Serializer] = {}
_by_name: dict[str, Serializer] = {}
_generation = 0


def register_serializer(
    type: type[T],
    *,
    name: str,
    encode: Callable[[T], object],
    decode: Callable[[Any], T],
) -> None:
    """Teach Kitaru to store values of a type.

    Args:
        type: the exact type; subclasses are not covered.
        name: under which it is stored; never change it, for recorded values are read by it.
        encode: returns anything that can be stored; must be deterministic.
        decode: rebuilds the value from that.

    Raises:
        UsageError: the type is one of Python's own, or another type has the name.
    """
    global _generation  # noqa: PLW0603 - one table per process, as the types are
    if type in basics.ENCODERS:
        raise UsageError(f"{type.__name__} is stored by Kitaru itself", hint="register a class of your own")
    taken = _by_name.get(name)
    if taken is not None and (taken.cls.__module__, taken.cls.__qualname__) != (type.__module__, type.__qualname__):
        raise UsageError(
            f"the serializer name {name!r} belongs to {taken.cls.__qualname__} already", hint="choose another name="
        )
    serializer = Serializer(type, name, encode, decode)
    if taken is not None:
        _by_type.pop(taken.cls, None)
    previous = _by_type.get(type)
    if previous is not None:
        _by_name.pop(previous.name, None)
    _by_type[type] = _by_name[name] = serializer
    _generation += 1


def generation() -> int:
    """Return a number that changes with every registration."""
    return _generation


def for_type(cls: type) -> Serializer | None:
    """Return the serializer of an exact type."""
    return _by_type.get(cls)


def for_name(name: str) -> Serializer | None:
    """Return the serializer stored under a name."""
    return _by_name.get(name)


def encoder(serializer: Serializer) -> EncodeFn:
    """Return the encoder of a registered type."""

    def encode(value: Any, state: State, depth: int) -> bytes:  # noqa: ANN401 - any registered type
        if depth >= MAX_DEPTH:
            raise too_deep(value)
        payload = serializer.encode(value)
        try:
            item = state.table[type(payload)](payload, state, depth + 1)
        except Refused as refused:
            refused.steps.clear()
            refused.why = f"returned by the serializer {serializer.name!r}" + (refused.why and f": {refused.why}")
            raise
        return state.item(REGISTERED + basics.string(serializer.name, state, depth) + item)

    return encode
