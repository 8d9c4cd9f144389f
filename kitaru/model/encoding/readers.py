"""The readers of Python's own types: from the bytes of an item to a value.

Owns: strictness. Bytes that no encoder writes are `Malformed`, in time and memory bounded by the bytes given: a count
never allocates. Readers of library values and of classes are loaded when such a value is first met.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, cast

from kitaru.errors import SchemaChanged
from kitaru.model.encoding import registry, texts, wire
from kitaru.model.encoding.classes import Opaque
from kitaru.model.encoding.session import READERS, Locating, ReadFn, Session, enter, lent, read_as, take
from kitaru.model.encoding.wire import MAX_CONCAT_DEPTH, Malformed, read_length, read_varint

if TYPE_CHECKING:
    from collections.abc import Callable

_STR = wire.STR[0]
_unpack_double = Struct(">d").unpack
_unpack_complex = Struct(">dd").unpack


def _constant(value: object) -> ReadFn:
    def reader(data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
        return value, pos

    return reader


def _reference(data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
    digest, pos = take(data, pos, 32)
    return session.load(digest.hex(), depth), pos


def _int(data: bytes, pos: int, session: Session, depth: int) -> tuple[int, int]:
    if data[pos] == 1:  # as most are, and every byte is the shortest form of its number
        value = data[pos + 1]
        return value - 256 if value > 127 else value, pos + 2
    size, pos = read_length(data, pos)
    end = pos + size
    value = int.from_bytes(data[pos:end], "big", signed=True)
    if size != (~value if value < 0 else value).bit_length() // 8 + 1:
        raise Malformed("an integer is not in its shortest form")
    return value, end


def _canonical(doubles: bytes) -> bytes:
    for start in range(0, len(doubles), 8):
        one = doubles[start : start + 8]
        (value,) = _unpack_double(one)
        if value != value and one != wire.CANONICAL_NAN:  # noqa: PLR0124 - true for NaN only
            raise Malformed("a NaN is not the one NaN")
    return doubles


def _float(data: bytes, pos: int, session: Session, depth: int) -> tuple[float, int]:
    raw, pos = take(data, pos, 8)
    return _unpack_double(_canonical(raw))[0], pos


def _complex(data: bytes, pos: int, session: Session, depth: int) -> tuple[complex, int]:
    raw, pos = take(data, pos, 16)
    return complex(*_unpack_complex(_canonical(raw))), pos


def _str(data: bytes, pos: int, session: Session, depth: int) -> tuple[str, int]:
    size, pos = read_length(data, pos)
    end = pos + size
    return data[pos:end].decode("utf-8", "surrogatepass"), end


def _bytes(data: bytes, pos: int, session: Session, depth: int) -> tuple[bytes, int]:
    size, pos = read_length(data, pos)
    end = pos + size
    return data[pos:end], end


def _bytearray(data: bytes, pos: int, session: Session, depth: int) -> tuple[bytearray, int]:
    size, pos = read_length(data, pos)
    end = pos + size
    return bytearray(data[pos:end]), end


def _range(data: bytes, pos: int, session: Session, depth: int) -> tuple[range, int]:
    start, pos = read_as(int, data, pos, session, depth)
    stop, pos = read_as(int, data, pos, session, depth)
    step, pos = read_as(int, data, pos, session, depth)
    if step == 0:
        raise Malformed("a range with step 0")
    return range(start, stop, step), pos


def _read_list_into(out: list[Any], data: bytes, pos: int, session: Session, depth: int) -> int:
    depth = enter(depth)
    count, pos = read_length(data, pos)
    readers = READERS
    append = out.append
    for _ in range(count):
        value, pos = readers[data[pos]](data, pos + 1, session, depth)
        append(value)
    return pos


_keys: dict[bytes, str] = {}
"""Keys of dicts seen before, by their bytes: the same few come again and again, and are one object in memory."""
_MAX_KEYS = 4096


def _new_key(raw: bytes) -> str:
    key = raw.decode("utf-8", "surrogatepass")
    if len(_keys) >= _MAX_KEYS:
        _keys.clear()
    _keys[raw] = key
    return key


def _read_dict_into(out: dict[Any, Any], data: bytes, pos: int, session: Session, depth: int) -> int:
    if depth >= wire.MAX_DEPTH:
        enter(depth)
    depth += 1
    count, size = data[pos], len(data)
    if count < 128 and count < size - pos:
        pos += 1
    else:
        count, pos = read_length(data, pos)
    expected = len(out) + count
    readers, known, text = READERS, _keys, _STR
    for _ in range(count):
        length = data[pos + 1]
        if data[pos] == text and length < 128 and (end := pos + 2 + length) <= size:  # as nearly every key is
            raw = data[pos + 2 : end]
            key = known.get(raw) or _new_key(raw)
            pos = end
        else:
            key, pos = readers[data[pos]](data, pos + 1, session, depth)
        tag = data[pos]
        if tag == text and (length := data[pos + 1]) < 128 and (end := pos + 2 + length) <= size:
            value, pos = data[pos + 2 : end].decode("utf-8", "surrogatepass"), end  # a call would cost as much again
        else:
            value, pos = readers[tag](data, pos + 1, session, depth)
        try:
            out[key] = value
        except TypeError:
            raise Malformed(f"a {type(key).__name__} cannot be a key") from None
    if len(out) != expected:
        raise Malformed("a dict has a key twice")
    return pos


def _read_set_into(out: list[tuple[bytes, Any]], data: bytes, pos: int, session: Session, depth: int) -> int:
    depth = enter(depth)
    count, pos = read_length(data, pos)
    for _ in range(count):
        start = pos
        value, pos = READERS[data[pos]](data, pos + 1, session, depth)
        out.append((data[start:pos], value))
    return pos


def _unordered(kind: type, pairs: list[tuple[bytes, Any]]) -> Any:  # noqa: ANN401 - a set or frozenset
    if any(pairs[i][0] > pairs[i + 1][0] for i in range(len(pairs) - 1)):
        raise Malformed("a set is not sorted")
    try:
        made = kind(value for _, value in pairs)
    except TypeError:
        raise Malformed("an element of a set cannot be hashed") from None
    if len(made) != len(pairs):
        raise Malformed("a set has an element twice")
    return made


def _list(data: bytes, pos: int, session: Session, depth: int) -> tuple[list[Any], int]:
    if depth >= wire.MAX_DEPTH:
        enter(depth)
    depth += 1
    count, pos = read_length(data, pos)
    out: list[Any] = []
    append = out.append
    readers = READERS
    for _ in range(count):
        value, pos = readers[data[pos]](data, pos + 1, session, depth)
        append(value)
    return out, pos


def _tuple(data: bytes, pos: int, session: Session, depth: int) -> tuple[tuple[Any, ...], int]:
    out, pos = _list(data, pos, session, depth)
    return tuple(out), pos


def _dict(data: bytes, pos: int, session: Session, depth: int) -> tuple[dict[Any, Any], int]:
    out: dict[Any, Any] = {}
    return out, _read_dict_into(out, data, pos, session, depth)


def _set(data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
    pairs: list[tuple[bytes, Any]] = []
    pos = _read_set_into(pairs, data, pos, session, depth)
    return _unordered(set, pairs), pos


def _frozenset(data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
    pairs: list[tuple[bytes, Any]] = []
    pos = _read_set_into(pairs, data, pos, session, depth)
    return _unordered(frozenset, pairs), pos


def _read_raw_into(out: list[memoryview], data: bytes, pos: int, session: Session, depth: int) -> int:
    size, pos = read_length(data, pos)
    out.append(memoryview(data)[pos : pos + size])
    return pos + size


class _Joined:
    """The parts of a concatenated value, gathered in order."""

    def __init__(self, tag: int, into: Any, read_into: Callable[..., int]) -> None:  # noqa: ANN401 - per kind
        self.tag = tag
        self.into = into
        self.read_into = read_into

    def node(self, data: bytes, pos: int, session: Session, depth: int, level: int) -> tuple[int, int]:
        """Read a node after its kind; return how many elements it holds, and the position after it."""
        if level > MAX_CONCAT_DEPTH:
            raise Malformed("concatenations are nested too deep")
        total, pos = read_varint(data, pos)
        count, pos = read_length(data, pos)
        ids: list[str] = []
        sizes: list[int] = []
        for _ in range(count):
            digest, pos = take(data, pos, 32)
            size, pos = read_varint(data, pos)
            ids.append(digest.hex())
            sizes.append(size)
        if sum(sizes) != total or count < 2:
            raise Malformed(f"a concatenation of {total} holds {sum(sizes)} in {count} parts")
        huge = total > texts.HUGE and self.tag in _TEXTS
        parts = session.huge_parts(ids) if huge else map(session.bytes_of, ids)
        for object_id, size, part in zip(ids, sizes, parts, strict=True):
            with Locating(object_id):
                self._part(part, size, session, depth, level)
        return total, pos

    def _part(self, data: bytes, size: int, session: Session, depth: int, level: int) -> None:
        if data[0] == wire.CONCAT[0]:
            if data[1] != self.tag:
                raise Malformed("a part of a concatenation is of another kind")
            found, end = self.node(data, 2, session, depth, level + 1)
        elif data[0] == self.tag:
            found, _ = read_length(data, 1)
            end = self.read_into(self.into, data, 1, session, depth)
        else:
            raise Malformed("a part of a concatenation is of another kind")
        if found != size or end != len(data):
            raise Malformed(f"a part of a concatenation holds {found} where its parent says {size}")


_KINDS: dict[int, tuple[Callable[[], Any], Callable[..., int], Callable[[Any], Any]]] = {
    wire.LIST[0]: (list, _read_list_into, list),
    wire.TUPLE[0]: (list, _read_list_into, tuple),
    wire.DICT[0]: (dict, _read_dict_into, dict),
    wire.SET[0]: (list, _read_set_into, lambda pairs: _unordered(set, pairs)),
    wire.FROZENSET[0]: (list, _read_set_into, lambda pairs: _unordered(frozenset, pairs)),
    wire.STR[0]: (list, _read_raw_into, lambda parts: b"".join(parts).decode("utf-8", "surrogatepass")),
    wire.BYTES[0]: (list, _read_raw_into, b"".join),
    wire.BYTEARRAY[0]: (list, _read_raw_into, bytearray().join),
}
_TEXTS = frozenset({wire.STR[0], wire.BYTES[0], wire.BYTEARRAY[0]})


def _concatenation(data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
    kind = _KINDS.get(data[pos])
    if kind is None:
        raise Malformed("a concatenation of something that has no parts")
    start, read_into, finish = kind
    joined = _Joined(data[pos], start(), read_into)
    if data[pos] == wire.BYTES[0] and session.lends:
        finish = lent
    _, pos = joined.node(data, pos + 1, session, depth, 0)
    return finish(joined.into), pos


def _registered(data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
    depth = enter(depth)
    name, pos = read_as(str, data, pos, session, depth)
    payload, pos = READERS[data[pos]](data, pos + 1, session, depth)
    serializer = registry.for_name(name)
    if serializer is not None:
        return serializer.decode(payload), pos
    if session.opaque:
        return Opaque(name, {"value": payload}), pos
    raise SchemaChanged(
        f"a recorded value was written by the serializer {name!r}, which is not registered",
        hint=f"call kitaru.register_serializer(…, name={name!r}, …) before resuming",
    )


_LATE = {
    "standard": (
        *(wire.DATETIME, wire.DATE, wire.TIME, wire.TIMEDELTA, wire.TIMEZONE, wire.ZONE),
        *(wire.DECIMAL, wire.UUID, wire.PATH),
    ),
    "structures": (wire.ENUM, wire.DATACLASS, wire.NAMEDTUPLE),
    "models": (wire.MODEL,),
    "exceptions": (wire.EXCEPTION,),
    "extensions": (wire.EXTENSION,),
}


def _late(module: str) -> ReadFn:
    """Return a reader that puts the readers of one of our own modules in place, and uses them."""

    def reader(data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
        from importlib import import_module

        loaded = import_module(f"kitaru.model.encoding.{module}")
        for tag, reader in cast("dict[bytes, ReadFn]", loaded.TAG_READERS).items():
            READERS[tag[0]] = reader
        return READERS[data[pos - 1]](data, pos, session, depth)

    return reader


def install() -> None:
    """Put these readers in place."""
    own: dict[bytes, ReadFn] = {
        wire.NONE: _constant(None),
        wire.TRUE: _constant(True),
        wire.FALSE: _constant(False),
        wire.ELLIPSIS: _constant(...),
        wire.NOT_IMPLEMENTED: _constant(NotImplemented),
        wire.REFERENCE: _reference,
        wire.CONCAT: _concatenation,
        wire.INT: _int,
        wire.FLOAT: _float,
        wire.COMPLEX: _complex,
        wire.STR: _str,
        wire.BYTES: _bytes,
        wire.BYTEARRAY: _bytearray,
        wire.RANGE: _range,
        wire.LIST: _list,
        wire.TUPLE: _tuple,
        wire.DICT: _dict,
        wire.SET: _set,
        wire.FROZENSET: _frozenset,
        wire.REGISTERED: _registered,
    }
    for tag, reader in own.items():
        READERS[tag[0]] = reader
    for module, tags in _LATE.items():
        for tag in tags:
            READERS[tag[0]] = _late(module)
