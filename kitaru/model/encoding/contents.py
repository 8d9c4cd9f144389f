"""The content of a list's elements, in forms that are equal only where the elements are encoded alike.

Owns: which lists have such forms: of flat dicts, of dicts of plain parts, and of models of one class that hold plain
parts. Forms are of what an element holds at the moment; nothing is known by identity. Knows no encodings.

`of_list` is quick, for it is asked at every step of an agent for its whole history. It may give the form of something
plain to what is not: so only what `are` has looked at, and found plain, may be remembered under its form.
"""

from __future__ import annotations

from itertools import chain
from marshal import dumps
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from weakref import ref

from kitaru.model.encoding import memo
from kitaru.model.encoding.classes import is_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kitaru.model.encoding.state import State

DEEPEST = 8
"""Lists further down are not looked at: a part of them might be nested too deep where an equal one was not."""

MOST = 16 << 20
"""Bytes of content, beyond which a list of dicts that are not flat, or of models, is not looked at."""

# Values of the types in one of these are equal only if they are of one type: 1 == True == 1.0 never meet.
_FLAT: tuple[frozenset[type], ...] = (
    frozenset({str, bytes, int, type(None)}),
    frozenset({str, bytes, bool, type(None)}),
)
_NESTED = "dicts of plain parts"

_held_by = attrgetter("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")

Found = tuple[object, list[object]]


def of_list(value: Any, state: State, depth: int) -> Found | None:  # noqa: ANN401 - a list or tuple
    """Return which kind of elements a list has, and the content of each; None if it is not of one kind.

    Two lists of the same kind and content are encoded to the same bytes in an encoding with the same table.
    """
    types = set(map(type, value))
    if len(types) != 1 or depth > DEEPEST:
        return None
    cls = types.pop()
    if cls is dict:
        return _flat(value, _FLAT) or _nested(value)
    return _models(cls, value, state) if is_model(cls) else None


def are(value: Any, kind: object, parts: list[object], state: State) -> bool:  # noqa: ANN401 - as above
    """Tell whether a list is of this kind and content, and truly so: none of it is only mistaken for it."""
    if isinstance(kind, frozenset):
        return _flat(value, (kind,)) == (kind, parts)
    if kind == _NESTED:
        return _nested(value) == (kind, parts) and all(map(memo.is_plain, value))
    return not value or (_models(type(value[0]), value, state) == (kind, parts) and all(map(_is_plain_model, value)))


def size(part: Any) -> int:  # noqa: ANN401 - a tuple, or bytes
    """Return about how many bytes a content is."""
    if isinstance(part, bytes):
        return len(part)
    return sum(len(leaf) for leaf in part if type(leaf) is str or type(leaf) is bytes)


def _flat(value: Any, allowed: tuple[frozenset[type], ...]) -> Found | None:  # noqa: ANN401 - as above
    if value and not memo.LEAVES.issuperset(map(type, value[-1].values())):
        return None
    flats: list[object] = [(*part, *part.values()) for part in value]
    types: set[type] = set(map(type, chain.from_iterable(flats)))  # type: ignore[arg-type]  # of tuples
    return next(((kinds, flats) for kinds in allowed if types <= kinds), None)


def _nested(value: Any) -> Found | None:  # noqa: ANN401 - as above
    if value and not (
        memo.is_plain(value[0]) and memo.is_plain(value[-1])
    ):  # nor is it worth reading, for it may be large
        return None
    parts = _written(value)
    return None if parts is None else (_NESTED, parts)


def _written(parts: Iterable[Any]) -> list[object] | None:
    """Return the content of each part as bytes; None if there is too much, or something that has none."""
    written: list[object] = []
    room = MOST
    try:
        for part in parts:
            data = dumps(part, memo.BY_VALUE)
            room -= len(data)
            if room < 0:
                return None
            written.append(data)
    except ValueError:
        return None
    return written


def _models(cls: type, value: Any, state: State) -> Found | None:  # noqa: ANN401 - as above
    if getattr(cls, "__getattribute__") is not object.__getattribute__:  # noqa: B009 - mypy: "never equal"
        return None
    kind = (ref(state.table), ref(cls))
    try:
        if not (_is_plain_model(value[0]) and _is_plain_model(value[-1])):
            return None
        parts = _written(map(_held_by, value))
    except AttributeError:  # a model that was never initialised
        return None
    return None if parts is None else (kind, parts)


def _is_plain_model(value: object) -> bool:
    own, was_set, extra, private = _held_by(value)
    return type(was_set) is set and memo.is_plain((own, *was_set, extra, private))
