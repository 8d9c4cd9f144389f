"""Records as bytes: the one way each is written, and the strict way back.

Owns: canonical JSON, and which types a record's fields may have. A record's id is the SHA-256 of its bytes; each names
its parent by that id. Knows nothing of where the bytes are kept.

Canonical JSON: keys sorted, no spaces, ASCII only (`\\uXXXX` escapes), integers and strings; floats only inside objects
such as a wait's schema (a limit of 0.5), in the shortest form that reads back. Fields that hold their default are left
out.

Nearly all records are calls that gave a result. Of these a fast way writes and reads the usual fields, in a third and
a half of the time; where it does not apply it says so, and where it does it gives what the general way gives.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass
from hashlib import sha256
from json.encoder import encode_basestring_ascii as _quoted
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn

from kitaru.errors import Damaged
from kitaru.model.records import KINDS, Call, Record, Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

VERSION = 1


def _all_text(values: Iterable[object]) -> bool:
    return all(type(value) is str for value in values)


_Check = tuple[tuple[type, ...], "Callable[[Any], bool] | None"]
"""The exact types that a field may have, and what must hold of a value that has one of them, if anything."""

_TYPE_CHECKS: dict[str, _Check] = {
    "str": ((str,), None),
    "int": ((int,), None),
    "str | None": ((str, type(None)), None),
    "int | None": ((int, type(None)), None),
    "dict[str, str]": ((dict,), lambda value: _all_text(value.values())),
    "dict[str, Any]": ((dict,), None),
    "dict[str, Any] | None": ((dict, type(None)), None),
    "list[str]": ((list,), _all_text),
    "list[dict[str, Any]]": ((list,), lambda value: all(type(item) is dict for item in value)),
}


@dataclass(frozen=True, slots=True)
class _Shape:
    defaults: tuple[tuple[str, Any], ...]
    checks: dict[str, _Check]
    required: frozenset[str]


def _shape(cls: type[Record]) -> _Shape:
    fields = dataclasses.fields(cls)
    missing = dataclasses.MISSING

    def default(f: dataclasses.Field[Any]) -> Any:  # noqa: ANN401 - any field's default
        return f.default_factory() if f.default_factory is not missing else f.default

    return _Shape(
        tuple((f.name, default(f)) for f in fields),
        {f.name: _TYPE_CHECKS[str(f.type)] for f in fields},
        frozenset(f.name for f in fields if default(f) is missing),
    )


_SHAPES = {kind: _shape(cls) for kind, cls in KINDS.items()}
_encode_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


# -- writing ---------------------------------------------------------------------------------------------------------


def encode(record: Record, parent: str | None) -> bytes:
    """Return the canonical bytes of a record that follows the record with id `parent`."""
    if type(record) is Call and parent is not None and _is_usual(record):
        return _usual_bytes(record, parent)
    fields: dict[str, Any] = {"kind": record.kind, "v": VERSION}
    if parent is not None:
        fields["parent"] = parent
    for name, default in _SHAPES[record.kind].defaults:
        value = getattr(record, name)
        if value != default:
            fields[name] = value
    return _encode_json(fields).encode("ascii")


_USUAL = frozenset({"at", "began", "name", "order", "args", "code", "output", "occurrence"})
_USUAL |= {"cache", "logs", "metadata", "repeat", "scope"}
_unusual = [(name, default) for name, default in _SHAPES["call"].defaults if name not in _USUAL]
_others = attrgetter(*(name for name, _ in _unusual))
_OTHERS = tuple(default for _, default in _unusual)


def _is_usual(call: Call) -> bool:
    """Tell whether a call's record has no field that `_usual_bytes` does not write."""
    return call.output is not None and call.code != "" and _others(call) == _OTHERS


def _usual_bytes(call: Call, parent: str) -> bytes:
    assert call.output is not None  # noqa: S101 - by `_is_usual`
    args = ",".join([f"{_quoted(name)}:{_quoted(value)}" for name, value in sorted(call.args.items())])
    parts = [f'{{"args":{{{args}}},' if args else "{", f'"at":{call.at},"began":{call.began},']
    if call.cache:
        parts.append(f'"cache":{_quoted(call.cache)},')
    parts.append(f'"code":{_quoted(call.code)},"kind":"call",')
    if call.logs is not None:
        parts.append(f'"logs":{_quoted(call.logs)},')
    if call.metadata is not None:
        parts.append(f'"metadata":{_quoted(call.metadata)},')
    parts.append(f'"name":{_quoted(call.name)},')
    if call.occurrence != 1:
        parts.append(f'"occurrence":{call.occurrence},')
    parts.append(f'"order":{call.order},"output":{_quoted(call.output)},"parent":{_quoted(parent)},')
    if call.repeat:
        parts.append(f'"repeat":{call.repeat},')
    if call.scope:
        parts.append(f'"scope":{_quoted(call.scope)},')
    parts.append(f'"v":{VERSION}}}')
    return "".join(parts).encode("ascii")


def record_id(data: bytes) -> str:
    """Return the id of a record's bytes."""
    return sha256(data).hexdigest()


# -- reading ---------------------------------------------------------------------------------------------------------


def _finite(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ValueError(f"the number {text} is too large")
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


_scan_json: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(
    parse_float=_finite, parse_constant=_refuse_constant
).scan_once  # type: ignore[attr-defined]  # what `raw_decode` wraps: a frame less for each record


def decode(data: bytes, where: str = "record") -> Stored:
    """Parse a record's bytes, checking its kind, its fields and their types.

    Args:
        data: as written by `encode`.
        where: file and place, for the error.

    Raises:
        Damaged: the bytes are not a record this version knows.
    """
    try:
        text = data.decode("ascii")
        usual = _usual_call(data, text) if text.startswith(_ARGS) else None
        if usual is not None:
            return usual
        fields, end = _scan_json(text, 0)
        if end != len(data):
            raise ValueError(f"more follows at {end}")  # noqa: TRY301 - as any other text that is no record
        kind, version = fields.pop("kind"), fields.pop("v")
        parent = fields.pop("parent", None)
        shape = _SHAPES[kind]
    except StopIteration as error:
        raise Damaged(where, f"not a record: no JSON at {error.value}") from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise Damaged(where, f"not a record: {error}") from error
    if version != VERSION:
        raise Damaged(where, f"a record of version {version!r}", hint="pip install --upgrade kitaru")
    _check(fields, shape, where)
    return Stored(KINDS[kind](**fields), record_id(data), parent)


_ARGS = '{"args":'
_AFTER_ARGS = re.compile(
    r',"at":([1-9][0-9]{0,17}),"began":([1-9][0-9]{0,17}),(?:"cache":"([^"]*)",)?"code":"([0-9a-f]{16})","kind":"call",'
    r'(?:"logs":"([^"]*)",)?(?:"metadata":"([^"]*)",)?"name":"([A-Za-z_0-9-]+)",'
    r'(?:"occurrence":([1-9][0-9]{0,17}),)?"order":([1-9][0-9]{0,17}),"output":"([^"]*)","parent":"([^"]*)",'
    r'(?:"repeat":([1-9][0-9]{0,17}),)?(?:"scope":"([A-Za-z_0-9/#.:<>-]+)",)?"v":1\}'
).fullmatch


def _usual_call(data: bytes, text: str) -> Stored | None:
    """Return the call that a record of the commonest form is; None says nothing of any other."""
    try:
        args, end = _scan_json(text, len(_ARGS))
        found = _AFTER_ARGS(text, end)
        if found is None:
            return None
        at, began, cache, code, logs, meta, name, nth, order, output, parent, repeat, scope = found.groups()
        ids = output + parent
        if cache or logs or meta:
            ids += (cache or "") + (logs or "") + (meta or "")
        if len(bytes.fromhex(ids)) * 2 != len(ids):  # with no space among the digits, so that nothing stands escaped
            return None
    except (ValueError, StopIteration):
        return None
    if type(args) is not dict:
        return None
    for value in args.values():
        if type(value) is not str:
            return None
    call = Call(int(at), name, int(order), int(began), scope or "", int(nth or 1), "", args, output, None, code)
    if cache or logs is not None or meta is not None or repeat:
        call.cache, call.logs, call.metadata, call.repeat = cache or "", logs, meta, int(repeat or 0)
    return Stored(call, sha256(data).hexdigest(), parent)


_NO_FIELD: _Check = ((), None)


def _check(fields: dict[str, Any], shape: _Shape, where: str) -> None:
    checks = shape.checks
    for name, value in fields.items():
        types, holds = checks.get(name, _NO_FIELD)
        if type(value) not in types or (holds is not None and not holds(value)):
            raise Damaged(where, f"field {name!r} does not belong in this record, or has the wrong type")
    if not shape.required <= fields.keys():
        raise Damaged(where, f"a record without {', '.join(sorted(shape.required - fields.keys()))}")
