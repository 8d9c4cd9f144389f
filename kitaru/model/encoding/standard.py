"""Times, decimals, UUIDs and paths of the standard library.

Owns: their exact round trip. Loaded when the first of them is met.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal, InvalidOperation
from pathlib import Path, PurePosixPath, PureWindowsPath
from struct import Struct
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kitaru.errors import KitaruError
from kitaru.model.encoding import wire
from kitaru.model.encoding.basics import string
from kitaru.model.encoding.refusal import Refused
from kitaru.model.encoding.session import enter, read, read_as, take
from kitaru.model.encoding.wire import Malformed

if TYPE_CHECKING:
    from kitaru.model.encoding.session import ReadFn, Session
    from kitaru.model.encoding.state import EncodeFn, State

_DATE = Struct(">HBB")
_TIME = Struct(">BBBIB")
_DELTA = Struct(">iII")
_ZONE_KEY = re.compile(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*")
_POSIX = isinstance(Path(), PurePosixPath)
_CONCRETE, _CONCRETE_TAG = type(Path()), b"P" if _POSIX else b"W"


def _clock(value: dt.time | dt.datetime) -> bytes:
    return _TIME.pack(value.hour, value.minute, value.second, value.microsecond, value.fold)


def _zone_of(value: dt.time | dt.datetime, state: State, depth: int) -> bytes:
    tz = value.tzinfo
    if tz is None or type(tz) in (dt.timezone, ZoneInfo):
        return state.table[type(tz)](tz, state, depth + 1)
    raise Refused(tz, "use datetime.timezone or zoneinfo.ZoneInfo").at(".tzinfo")


def _encode_datetime(value: dt.datetime, state: State, depth: int) -> bytes:
    date = _DATE.pack(value.year, value.month, value.day)
    return state.item(wire.DATETIME + date + _clock(value) + _zone_of(value, state, depth))


def _encode_date(value: dt.date, state: State, depth: int) -> bytes:
    return wire.DATE + _DATE.pack(value.year, value.month, value.day)


def _encode_time(value: dt.time, state: State, depth: int) -> bytes:
    return state.item(wire.TIME + _clock(value) + _zone_of(value, state, depth))


def _encode_delta(value: dt.timedelta, state: State, depth: int) -> bytes:
    return wire.TIMEDELTA + _DELTA.pack(value.days, value.seconds, value.microseconds)


def _encode_timezone(value: dt.timezone, state: State, depth: int) -> bytes:
    offset, *name = value.__getinitargs__()  # type: ignore[attr-defined]  # absent from typeshed; what pickle uses
    named = string(name[0], state, depth) if name else wire.NONE
    return state.item(wire.TIMEZONE + _encode_delta(offset, state, depth) + named)


def _encode_zone(value: ZoneInfo, state: State, depth: int) -> bytes:
    if value.key is None or not _ZONE_KEY.fullmatch(value.key):
        raise Refused(value, "it has no key by which it can be found again")
    return state.item(wire.ZONE + string(value.key, state, depth))


def _encode_decimal(value: Decimal, state: State, depth: int) -> bytes:
    sign, digits, exponent = value.as_tuple()
    text = string("".join(map(str, digits)), state, depth)
    return state.item(
        wire.DECIMAL + b"+-"[sign : sign + 1] + text + state.table[type(exponent)](exponent, state, depth)
    )


def _encode_uuid(value: UUID, state: State, depth: int) -> bytes:
    return wire.UUID + value.bytes


def _encode_path(tag: bytes) -> EncodeFn:
    def encode(value: Any, state: State, depth: int) -> bytes:  # noqa: ANN401 - any of the path classes
        return state.item(wire.PATH + tag + string(str(value), state, depth))

    return encode


ENCODERS: dict[type, EncodeFn] = {
    dt.datetime: _encode_datetime,
    dt.date: _encode_date,
    dt.time: _encode_time,
    dt.timedelta: _encode_delta,
    dt.timezone: _encode_timezone,
    ZoneInfo: _encode_zone,
    Decimal: _encode_decimal,
    UUID: _encode_uuid,
    _CONCRETE: _encode_path(_CONCRETE_TAG),
    PurePosixPath: _encode_path(b"p"),
    PureWindowsPath: _encode_path(b"w"),
}


def _read_zone_of(data: bytes, pos: int, session: Session, depth: int) -> tuple[dt.tzinfo | None, int]:
    tz, pos = read(data, pos, session, enter(depth))
    if tz is not None and not isinstance(tz, dt.tzinfo):
        raise Malformed("something that is not a time zone where one belongs")
    return tz, pos


def _made(make: Any, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - any constructor of the standard library
    try:
        return make(*args, **named)
    except (ValueError, OverflowError, TypeError, InvalidOperation) as error:
        raise Malformed(str(error)) from error


def _read_clock(data: bytes, pos: int) -> tuple[tuple[int, int, int, int], int, int]:
    raw, pos = take(data, pos, _TIME.size)
    hour, minute, second, micro, fold = _TIME.unpack(raw)
    return (hour, minute, second, micro), fold, pos


def _read_datetime(data: bytes, pos: int, session: Session, depth: int) -> tuple[dt.datetime, int]:
    raw, pos = take(data, pos, _DATE.size)
    clock, fold, pos = _read_clock(data, pos)
    tz, pos = _read_zone_of(data, pos, session, depth)
    return _made(dt.datetime, *_DATE.unpack(raw), *clock, tz, fold=fold), pos


def _read_date(data: bytes, pos: int, session: Session, depth: int) -> tuple[dt.date, int]:
    raw, pos = take(data, pos, _DATE.size)
    return _made(dt.date, *_DATE.unpack(raw)), pos


def _read_time(data: bytes, pos: int, session: Session, depth: int) -> tuple[dt.time, int]:
    clock, fold, pos = _read_clock(data, pos)
    tz, pos = _read_zone_of(data, pos, session, depth)
    return _made(dt.time, *clock, tz, fold=fold), pos


def _read_delta(data: bytes, pos: int, session: Session, depth: int) -> tuple[dt.timedelta, int]:
    raw, pos = take(data, pos, _DELTA.size)
    parts = _DELTA.unpack(raw)
    value = _made(dt.timedelta, *parts)
    if (value.days, value.seconds, value.microseconds) != parts:
        raise Malformed("a duration is not in its one form")
    return value, pos


def _read_timezone(data: bytes, pos: int, session: Session, depth: int) -> tuple[dt.timezone, int]:
    offset, pos = read_as(dt.timedelta, data, pos, session, depth)
    name, pos = read(data, pos, session, depth)
    return _made(dt.timezone, offset) if name is None else _made(dt.timezone, offset, name), pos


def _read_zone(data: bytes, pos: int, session: Session, depth: int) -> tuple[ZoneInfo, int]:
    key, pos = read_as(str, data, pos, session, depth)
    if not _ZONE_KEY.fullmatch(key):
        raise Malformed("no time zone has such a name")
    try:
        return ZoneInfo(key), pos
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise KitaruError(f"this machine does not know the time zone {key}", hint="pip install tzdata") from error


def _read_decimal(data: bytes, pos: int, session: Session, depth: int) -> tuple[Decimal, int]:
    sign, pos = take(data, pos, 1)
    digits, pos = read_as(str, data, pos, session, depth)
    exponent, pos = read(data, pos, session, depth)
    if (
        sign not in b"+-"
        or not digits.isascii()
        or not (digits.isdigit() or digits == "")
        or type(exponent) not in (int, str)
    ):
        raise Malformed("not a decimal number")
    return _made(Decimal, (b"+-".index(sign), tuple(map(int, digits)), exponent)), pos


def _read_uuid(data: bytes, pos: int, session: Session, depth: int) -> tuple[UUID, int]:
    raw, pos = take(data, pos, 16)
    return UUID(bytes=raw), pos


_PATHS: dict[bytes, Any] = {
    b"p": PurePosixPath,
    b"w": PureWindowsPath,
    # A concrete path of the other system cannot exist here; its pure form can.
    b"P": Path if _POSIX else PurePosixPath,
    b"W": PureWindowsPath if _POSIX else Path,
}


def _read_path(data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
    flavour, pos = take(data, pos, 1)
    text, pos = read_as(str, data, pos, session, depth)
    if flavour not in _PATHS:
        raise Malformed("no path is of this flavour")
    return _PATHS[flavour](text), pos


TAG_READERS: dict[bytes, ReadFn] = {
    wire.DATETIME: _read_datetime,
    wire.DATE: _read_date,
    wire.TIME: _read_time,
    wire.TIMEDELTA: _read_delta,
    wire.TIMEZONE: _read_timezone,
    wire.ZONE: _read_zone,
    wire.DECIMAL: _read_decimal,
    wire.UUID: _read_uuid,
    wire.PATH: _read_path,
}
