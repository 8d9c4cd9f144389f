"""Which objects one object names: its bytes walked by the grammar, building no value and finding no class.

Owns: the grammar of docs/format-values.md as spans of bytes. Knows nothing of Python's values: what only shows when a
value is built (a fold of 7, a key that is equal to another of another type, elements sorted across parts) passes here
and is refused by the decoder. Walkers have the shape `(data, position after the tag, references, depth) -> position
after the item`, in `WALKERS`.
"""

from __future__ import annotations

from collections.abc import Callable

from kitaru.model.encoding import wire
from kitaru.model.encoding.session import enter
from kitaru.model.encoding.wire import INLINE_MAX, Malformed, read_length, read_varint


class Found(list[str]):
    """Hex ids in the order in which they stand, with repetitions.

    Attributes:
        parts: those of them that are parts of a concatenation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []


WalkFn = Callable[[bytes, int, Found, int], int]

_READ_ERRORS = (IndexError, UnicodeDecodeError, OverflowError)
_UTF8_STEP = 1 << 20
_HEAD = 16
"""As many bytes as a tag and a length take."""
_PLAIN_KEYS = frozenset(tag[0] for tag in (wire.NONE, wire.TRUE, wire.FALSE, wire.INT, wire.STR, wire.BYTES))
_JOINABLE = frozenset(
    tag[0] for tag in (wire.LIST, wire.TUPLE, wire.DICT, wire.SET, wire.FROZENSET, wire.STR, wire.BYTES, wire.BYTEARRAY)
)


def references(data: bytes | memoryview) -> Found:
    """Return the ids of the objects that an object names: of its parts, and of the parts of a concatenation.

    Args:
        data: the bytes of one object, all of them. Of a view only the bytes of a value of bytes are not copied.

    Raises:
        Malformed: no encoder writes such bytes.
    """
    found = Found()
    try:
        if is_bytes(data):
            return bytes_references(data, len(data))
        data = bytes(data)
        if data[0] == wire.REFERENCE[0]:
            raise Malformed("a reference cannot be an object")
        end = WALKERS[data[0]](data, 1, found, 0)
    except _READ_ERRORS as error:
        raise Malformed("it ends too early" if isinstance(error, IndexError) else str(error)) from error
    if end != len(data):
        raise Malformed(f"{len(data) - end} bytes are left over")
    return found


def is_bytes(data: bytes | memoryview) -> bool:
    """Tell whether an object that begins so is a value of bytes, which names nothing."""
    return data[:1] in (wire.BYTES, wire.BYTEARRAY)


def bytes_references(start: bytes | memoryview, length: int) -> Found:
    """As `references`, of a value of bytes: by its first bytes alone, and the length of the whole object."""
    try:
        size, pos = read_varint(bytes(start[:_HEAD]), 1)
    except IndexError as error:
        raise Malformed("it ends too early") from error
    if pos + size != length:
        raise Malformed(f"{length - pos} bytes where {size} are declared")
    return Found()


def _unknown(data: bytes, pos: int, found: Found, depth: int) -> int:
    raise Malformed(f"no value has the tag {data[pos - 1 : pos]!r}")


def _item(data: bytes, pos: int, found: Found, depth: int) -> int:
    end = WALKERS[data[pos]](data, pos + 1, found, depth)
    if end - pos > INLINE_MAX:
        raise Malformed(f"a part of {end - pos} bytes is not an object of its own")
    return end


def _one_of(tags: bytes) -> WalkFn:
    """Return a walker of an item that has one of these tags, or is a reference, behind which it is not seen."""

    def walk(data: bytes, pos: int, found: Found, depth: int) -> int:
        if data[pos] not in tags and data[pos] != wire.REFERENCE[0]:
            raise Malformed(f"{data[pos : pos + 1]!r} where one of {tags!r} belongs")
        return _item(data, pos, found, depth)

    return walk


def _sized(size: int) -> WalkFn:
    def walk(data: bytes, pos: int, found: Found, depth: int) -> int:
        if pos + size > len(data):
            raise Malformed("it ends too early")
        return pos + size

    return walk


def _reference(data: bytes, pos: int, found: Found, depth: int) -> int:
    end = pos + 32
    if end > len(data):
        raise Malformed("it ends too early")
    found.append(data[pos:end].hex())
    return end


def _int(data: bytes, pos: int, found: Found, depth: int) -> int:
    size, pos = read_length(data, pos)
    second = data[pos + 1] if size > 1 else 0
    # The first byte says something that the top bit of the second does not: else one byte less would do.
    if size == 0 or (size > 1 and data[pos] == (0xFF if second & 0x80 else 0)):
        raise Malformed("an integer is not in its shortest form")
    return pos + size


def _double(data: bytes, pos: int, found: Found, depth: int) -> int:
    end = pos + 8
    if end > len(data):
        raise Malformed("it ends too early")
    if data[pos] & 0x7F == 0x7F and data[pos + 1] >= 0xF0:
        bits = data[pos:end]
        is_nan = bits[1] > 0xF0 or any(bits[2:])
        if is_nan and bits != wire.CANONICAL_NAN:
            raise Malformed("a NaN is not the one NaN")
    return end


def _text(data: bytes, pos: int, found: Found, depth: int) -> int:
    size, pos = read_length(data, pos)
    end = pos + size
    while pos < end:
        stop = min(pos + _UTF8_STEP, end)
        while stop < end and data[stop] & 0xC0 == 0x80:  # not inside a letter
            stop += 1
        data[pos:stop].decode("utf-8", "surrogatepass")
        pos = stop
    return end


def _raw(data: bytes, pos: int, found: Found, depth: int) -> int:
    size, pos = read_length(data, pos)
    return pos + size


def _list(data: bytes, pos: int, found: Found, depth: int) -> int:
    depth = enter(depth)
    count, pos = read_length(data, pos)
    walkers = WALKERS
    for _ in range(count):
        end = walkers[data[pos]](data, pos + 1, found, depth)
        if end - pos > INLINE_MAX:
            raise Malformed(f"a part of {end - pos} bytes is not an object of its own")
        pos = end
    return pos


def _dict(data: bytes, pos: int, found: Found, depth: int) -> int:
    depth = enter(depth)
    count, pos = read_length(data, pos)
    plain: list[bytes] = []
    for _ in range(count):
        end = _item(data, pos, found, depth)
        if data[pos] in _PLAIN_KEYS:
            plain.append(data[pos:end])
        pos = _item(data, end, found, depth)
    if len(set(plain)) != len(plain):
        raise Malformed("a dict has a key twice")
    return pos


def _set(data: bytes, pos: int, found: Found, depth: int) -> int:
    depth = enter(depth)
    count, pos = read_length(data, pos)
    last = b""
    for _ in range(count):
        end = _item(data, pos, found, depth)
        item = data[pos:end]
        if item < last or (item == last and item[0] in _PLAIN_KEYS):
            raise Malformed("a set is not sorted, or has an element twice")
        pos, last = end, item
    return pos


def _concatenation(data: bytes, pos: int, found: Found, depth: int) -> int:
    if data[pos] not in _JOINABLE:
        raise Malformed("a concatenation of something that has no parts")
    total, pos = read_varint(data, pos + 1)
    count, pos = read_length(data, pos)
    held, before = 0, len(found)
    for _ in range(count):
        pos = _reference(data, pos, found, depth)
        size, pos = read_varint(data, pos)
        held += size
    if held != total or count < 2:
        raise Malformed(f"a concatenation of {total} holds {held} in {count} parts")
    found.parts += found[before:]
    return pos


def _in_turn(*walkers: WalkFn, enters: bool = False) -> WalkFn:
    """Return a walker of parts that follow each other."""

    def walk(data: bytes, pos: int, found: Found, depth: int) -> int:
        if enters:
            depth = enter(depth)
        for walker in walkers:
            pos = walker(data, pos, found, depth)
        return pos

    return walk


def _fields(data: bytes, pos: int, found: Found, depth: int) -> int:
    count, pos = read_length(data, pos)
    for _ in range(count):
        pos = _or_unset(data, _name(data, pos, found, depth), found, depth)
    return pos


def _or_unset(data: bytes, pos: int, found: Found, depth: int) -> int:
    return pos + 1 if data[pos] == wire.UNSET[0] else _item(data, pos, found, depth)


def _mark(choices: bytes) -> WalkFn:
    """Return a walker of one byte, which is no tag."""

    def walk(data: bytes, pos: int, found: Found, depth: int) -> int:
        if data[pos] not in choices:
            raise Malformed(f"{data[pos : pos + 1]!r} where one of {choices!r} belongs")
        return pos + 1

    return walk


_name = _one_of(wire.STR + wire.CONCAT)
_name_or_none = _one_of(wire.STR + wire.CONCAT + wire.NONE)
_whole = _one_of(wire.INT)
_items = _one_of(wire.TUPLE + wire.CONCAT)
_attributes = _one_of(wire.DICT + wire.CONCAT + wire.NONE)
_zone = _one_of(wire.TIMEZONE + wire.ZONE + wire.NONE)
_clock = _in_turn(_sized(8), _zone)
_nothing = _sized(0)

WALKERS: list[WalkFn] = [_unknown] * 256
"""The walker of each tag."""

_OWN: dict[bytes, WalkFn] = {
    **dict.fromkeys((wire.NONE, wire.TRUE, wire.FALSE, wire.ELLIPSIS, wire.NOT_IMPLEMENTED), _nothing),
    wire.REFERENCE: _reference,
    wire.CONCAT: _concatenation,
    wire.INT: _int,
    wire.FLOAT: _double,
    wire.COMPLEX: _in_turn(_double, _double),
    wire.STR: _text,
    **dict.fromkeys((wire.BYTES, wire.BYTEARRAY), _raw),
    wire.RANGE: _in_turn(_whole, _whole, _whole),
    **dict.fromkeys((wire.LIST, wire.TUPLE), _list),
    wire.DICT: _dict,
    **dict.fromkeys((wire.SET, wire.FROZENSET), _set),
    wire.DATETIME: _in_turn(_sized(4), _clock, enters=True),
    wire.DATE: _sized(4),
    wire.TIME: _in_turn(_clock, enters=True),
    wire.TIMEDELTA: _sized(12),
    wire.TIMEZONE: _in_turn(_one_of(wire.TIMEDELTA), _name_or_none),
    wire.ZONE: _name,
    wire.DECIMAL: _in_turn(_mark(b"+-"), _name, _one_of(wire.INT + wire.STR)),
    wire.UUID: _sized(16),
    wire.PATH: _in_turn(_mark(b"PWpw"), _name),
    wire.ENUM: _in_turn(_name, _name_or_none, _or_unset, enters=True),
    **dict.fromkeys((wire.DATACLASS, wire.NAMEDTUPLE), _in_turn(_name, _fields, _attributes, enters=True)),
    wire.MODEL: _in_turn(
        *(_one_of(wire.STR + wire.TUPLE + wire.CONCAT), _sized(8), _fields, _items),
        *(_attributes, _attributes, _attributes),
        enters=True,
    ),
    wire.EXCEPTION: _in_turn(
        *(_name, _items, _name, _items, _attributes, _attributes),
        *(_item, _one_of(wire.TRUE + wire.FALSE)),
        enters=True,
    ),
    **dict.fromkeys((wire.EXTENSION, wire.REGISTERED), _in_turn(_name, _item, enters=True)),
}
for _tag, _walker in _OWN.items():
    WALKERS[_tag[0]] = _walker
