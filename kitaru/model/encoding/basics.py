"""Encoders of Python's own types: scalars, texts and containers.

Owns: the hot path. Each container is one Python frame per level; a failing part adds its step to the path on the way
up, which costs nothing until it happens.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, cast

from kitaru.model.encoding import memo, rows, texts
from kitaru.model.encoding.references import references
from kitaru.model.encoding.refusal import Refused, key_step, too_deep
from kitaru.model.encoding.wire import (
    BYTEARRAY,
    BYTES,
    CANONICAL_NAN,
    COMPLEX,
    CONCAT,
    DICT,
    DICT_HEADS,
    ELLIPSIS,
    FALSE,
    FLOAT,
    FROZENSET,
    INLINE_MAX,
    INT,
    LIST,
    MAX_DEPTH,
    NONE,
    NOT_IMPLEMENTED,
    RANGE,
    REFERENCE,
    SET,
    STR,
    STR_HEADS,
    TRUE,
    TUPLE,
    UNSET,
    Buffer,
    head,
    varint,
)

if TYPE_CHECKING:
    from types import EllipsisType, NotImplementedType

    from kitaru.model.encoding.state import EncodeFn, State

_pack_double = Struct(">d").pack
_strings = memo.STRINGS
_ints = memo.INTS
_dicts = memo.DICTS

_LOOKING_DEPTH = 8
"""Deeper dicts that hold more than leaves are not looked up: each level would read the whole content again."""

_STATELESS: State = cast("State", None)
"""Given to encoders that are known not to look at it."""

ABSENT: Any = object()
"""Stands for a field that has no value."""


def _none(value: None, state: State, depth: int) -> bytes:
    return NONE


def _bool(value: bool, state: State, depth: int) -> bytes:
    return TRUE if value else FALSE


def _ellipsis(value: EllipsisType, state: State, depth: int) -> bytes:
    return ELLIPSIS


def _not_implemented(value: NotImplementedType, state: State, depth: int) -> bytes:
    return NOT_IMPLEMENTED


def _int(value: int, state: State, depth: int) -> bytes:
    found = _ints.get(value)
    if found is not None:
        return found
    size = (~value if value < 0 else value).bit_length() // 8 + 1
    item = head(INT, size) + value.to_bytes(size, "big", signed=True)
    if size > 8:
        return state.item(item)
    memo.keep_int(value, item)
    return item


def double(value: float) -> bytes:
    """Return the eight bytes of a float; every NaN is the same."""
    return _pack_double(value) if value == value else CANONICAL_NAN  # noqa: PLR0124 - false for NaN only


def _float(value: float, state: State, depth: int) -> bytes:
    return FLOAT + double(value)


def _complex(value: complex, state: State, depth: int) -> bytes:
    return COMPLEX + double(value.real) + double(value.imag)


def string(value: str, state: State, depth: int) -> bytes:
    """Return the item of a text."""
    found = _strings.get(value)
    if found is not None:
        return found
    large = memo.LARGE_STRINGS.get(value) if len(value) > memo.SMALL_LENGTH else None
    if large is not None and state.has(large[1]):
        state.again += len(value)
        return large[0]
    text = value.encode("utf-8", "surrogatepass")
    size = len(text)
    if size < INLINE_MAX - 2:
        data = STR_HEADS[size] + text if size < 128 else head(STR, size) + text
        if size <= memo.SMALL_LENGTH:
            memo.keep_string(value, data)
        return data
    item = _long(STR, text, large, state)
    if large is None:
        memo.LARGE_STRINGS.put(value, (item, _referred(item)))
    return item


_SMALL_TEXT = (INLINE_MAX - 2) // 4
_SMALL_INT = 1 << 62


def small(value: object) -> bytes | None:
    """Return the item of a small integer or short text: its whole encoding; None for any other value.

    Most arguments of most calls are one of these, and need nothing of what an encoding in progress needs.
    """
    if type(value) is int:
        found = _ints.get(value)
        return found or (_int(value, _STATELESS, 0) if -_SMALL_INT < value < _SMALL_INT else None)
    if type(value) is str:
        found = _strings.get(value)
        return found or (string(value, _STATELESS, 0) if len(value) <= _SMALL_TEXT else None)
    return None


def _bytes(value: bytes, state: State, depth: int) -> bytes:
    if len(value) < INLINE_MAX - 2:
        return head(BYTES, len(value)) + value
    large = memo.LARGE_BYTES.get(value)
    if large is not None and state.has(large[1]):
        state.again += len(value)
        return large[0]
    item = _long(BYTES, value, large, state)
    if large is None:
        memo.LARGE_BYTES.put(value, (item, _referred(item)))
    return item


def _long(tag: bytes, data: bytes, found: memo.Item | None, state: State) -> bytes:
    """Return the item of a text; where it was found to be one object, that need not be hashed again."""
    if found is not None and found[0][:1] == REFERENCE and len(data) <= texts.SPLIT_MIN:
        state.add(found[1][0], head(tag, len(data)) + data)
        return found[0]
    return state.text(tag, data)


def _bytearray(value: bytearray, state: State, depth: int) -> bytes:
    return state.text(BYTEARRAY, value)


def _buffer(value: Buffer, state: State, depth: int) -> bytes:
    return state.text(BYTES, value.view)


def _range(value: range, state: State, depth: int) -> bytes:
    return state.item(RANGE + b"".join([_int(part, state, depth) for part in (value.start, value.stop, value.step)]))


def _elements(value: list[Any] | tuple[Any, ...], state: State, depth: int) -> list[bytes]:
    items: list[bytes] = []
    append = items.append
    table = state.table
    depth += 1
    try:
        for part in value:
            append(table[type(part)](part, state, depth))
    except Refused as refused:
        raise refused.at(f"[{len(items)}]") from None
    return items


def _list(value: list[Any], state: State, depth: int) -> bytes:
    if depth >= MAX_DEPTH:
        raise too_deep(value)
    if len(value) >= rows.LEAST:
        return rows.sequence(LIST, value, state, depth, lambda part: _elements(part, state, depth))
    return state.sequence(LIST, _elements(value, state, depth))


def tuple_(value: tuple[Any, ...], state: State, depth: int) -> bytes:
    """Return the item of a tuple."""
    if depth >= MAX_DEPTH:
        raise too_deep(value)
    if len(value) >= rows.LEAST:
        return rows.sequence(TUPLE, value, state, depth, lambda part: _elements(part, state, depth))
    return state.sequence(TUPLE, _elements(value, state, depth))


def dict_(value: dict[Any, Any], state: State, depth: int) -> bytes:
    """Return the item of a dict, in its order; one of few leaves is remembered."""
    if depth >= MAX_DEPTH:
        raise too_deep(value)
    if len(value) > memo.FLAT_KEYS:
        return _pairs(value, state, depth)
    flat = (*value, *value.values())
    types = tuple(map(type, flat))
    shape = _dicts.shapes.get(types)
    if shape is None:
        shape = _dicts.shape(types)
        if shape is None:
            return _nested(value, state, depth) if memo.NESTING.issuperset(types) else _pairs(value, state, depth)
    key = (shape, flat)
    found = _dicts.young.get(key) or _dicts.get(key)
    if found is not None and state.has(found[1]):
        if found[1]:
            state.again += memo.flat_size(flat) or 0
        return found[0]
    item = _pairs(value, state, depth)
    size = memo.flat_size(flat) if found is None else None
    after = (*value, *value.values())
    if size is not None and after == flat and tuple(map(type, after)) == types:  # no other thread has changed it
        _dicts.put(key, size, (item, _referred(item)))
    return item


def _nested(value: dict[Any, Any], state: State, depth: int) -> bytes:
    """Return the item of a dict that holds more than leaves; below the outermost value, as messages are, remembered."""
    if not state.looks or not 0 < depth <= _LOOKING_DEPTH:
        return _pairs(value, state, depth)
    key = memo.nested_key(value)
    if key is None:
        return _pairs(value, state, depth)
    found = _dicts.get(key)
    if found is not None and state.has(found[1]):
        if found[1]:
            state.again += len(key)
        return found[0]
    state.looks = False
    try:
        item = _pairs(value, state, depth)
    finally:
        state.looks = True
    if found is None and memo.is_plain(value) and memo.nested_key(value) == key:  # no other thread has changed it
        _dicts.put(key, len(key), (item, _referred(item)))
    return item


def _referred(item: bytes) -> tuple[str, ...]:
    return tuple(dict.fromkeys(references(b"l\x01" + item))) if REFERENCE in item or CONCAT in item else ()


def _pairs(value: dict[Any, Any], state: State, depth: int) -> bytes:
    items: list[bytes] = []
    append = items.append
    table = state.table
    strings = _strings
    key: Any = None
    depth += 1
    try:
        for key, part in value.items():
            kind = type(key)
            found = strings.get(key) if kind is str else None
            append((found or table[kind](key, state, depth)) + table[type(part)](part, state, depth))
    except Refused as refused:
        raise refused.at(key_step(key)) from None
    size = len(items)
    if size < 8:  # at most 7 pairs of 512 bytes: never long enough to be worth looking at cuts, often short
        body = b"".join(items)
        if len(body) < INLINE_MAX - 1:
            return DICT_HEADS[size] + body
    return state.sequence(DICT, items)


def _sorted_elements(value: set[Any] | frozenset[Any], state: State, depth: int) -> list[bytes]:
    if depth >= MAX_DEPTH:
        raise too_deep(value)
    items: list[bytes] = []
    depth += 1
    try:
        for part in value:
            items.append(state.table[type(part)](part, state, depth))
    except Refused as refused:
        raise refused.at("{…}") from None
    items.sort()
    return items


def _set(value: set[Any], state: State, depth: int) -> bytes:
    return state.sequence(SET, _sorted_elements(value, state, depth))


def _frozenset(value: frozenset[Any], state: State, depth: int) -> bytes:
    return state.sequence(FROZENSET, _sorted_elements(value, state, depth))


def fields(pairs: list[tuple[bytes, str, Any]], state: State, depth: int) -> bytes:
    """Return a count followed by name and value items, for the fields of a structure.

    Args:
        pairs: the name's item, the name, and the value of each field; ABSENT for one that has none.
        state: the encoding in progress.
        depth: of the structure.
    """
    out = [varint(len(pairs))]
    table = state.table
    name = ""
    depth += 1
    try:
        for item, name, value in pairs:  # noqa: B007 - the path below tells at which name it stopped
            out.append(item)
            out.append(table[type(value)](value, state, depth) if value is not ABSENT else UNSET)
    except Refused as refused:
        raise refused.at(f".{name}") from None
    return b"".join(out)


ENCODERS: dict[type, EncodeFn] = {
    type(None): _none,
    bool: _bool,
    type(...): _ellipsis,
    type(NotImplemented): _not_implemented,
    int: _int,
    float: _float,
    complex: _complex,
    str: string,
    bytes: _bytes,
    bytearray: _bytearray,
    Buffer: _buffer,
    range: _range,
    list: _list,
    tuple: tuple_,
    dict: dict_,
    set: _set,
    frozenset: _frozenset,
}
