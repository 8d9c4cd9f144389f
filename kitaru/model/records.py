"""Records: the immutable entries of a run's history, and their canonical JSON.

Owns: which kinds of record there are, their fields, and the one way each is written. A record's id is the SHA-256 of
its bytes; each names its parent by that id. Knows nothing of where the bytes are kept, nor what a history means.

Canonical JSON: keys sorted, no spaces, ASCII only (`\\uXXXX` escapes), integers and strings; floats only inside objects
such as a wait's schema (a limit of 0.5), in the shortest form that reads back. Fields that hold their default are left
out. Times are integer microseconds since 1970 UTC; ids are 64 lower-case hex digits.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn

from kitaru.errors import Damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

VERSION = 1

SLEEP = "kitaru.sleep"
"""Name of a wait that asks nobody."""


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
}


@dataclass(slots=True, eq=False)
class Record:
    """What every record has: `at`, when it was written."""

    kind: ClassVar[str] = ""
    at: int


@dataclass(slots=True, eq=False)
class Start(Record):
    """The first record of a run.

    Attributes:
        flow: the flow's name.
        version: `{"n": 3, "id": object id}` of the flow version that began the run.
        inputs: parameter name to value id.
        source: for a branch `{"run", "head": last record of it that is shared, "cut": order of its first call or wait
            that is not shared, or null until it is decided, "from": the name given to `--from`}`.
        overrides: `{"set": {call: value id}, "args": {...}, "answers": {...}}`, as given to `replay`.
        origin: who and where: `{"user", "host", "pid"}`.
        tags: free names to find a run by.
        on_drift: policy given for the whole run, or empty.
        code: `working-tree` or `recorded`.
        key: what a caller gave so that the run is started once, or empty.
        limits: `{"max_calls": n, "max_us": microseconds}`, those that were given for this run.
    """

    kind: ClassVar[str] = "start"
    flow: str
    version: dict[str, Any]
    inputs: dict[str, str]
    source: dict[str, Any] | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    on_drift: str = ""
    code: str = ""
    key: str = ""
    limits: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Begun(Record):
    """A call has been in flight for a while; written without a sync, so that `kitaru log` shows it.

    `order`, `after`, `occurrence` are what the call's own record will have.
    """

    kind: ClassVar[str] = "begun"
    name: str
    order: int
    began: int
    scope: str = ""
    occurrence: int = 1
    after: int | None = None


@dataclass(slots=True, eq=False)
class Call(Record):
    """A finished call.

    Attributes:
        order: number of the call, from 1, shared with waits; a call that runs again keeps it.
        after: for a call that changed code made between recorded ones: the order of the one before it, or 0. Calls
            without it stand at the end of the call order as it was when they were made.
        occurrence: the k-th call of this name, from 1; it is never given anew either.
        key: id of an explicit `key=`, or empty where the arguments are the key.
        args: argument name to value id, less what `ignore=` names.
        output: value id, or None where the call raised.
        error: `{"type", "message", "traceback": text, "value": value id, absent where it cannot be stored}`.
        began: when the call was made; `at` is when it ended.
        code: fingerprint of the checkpoint's source, 16 hex digits.
        how: `ran`, or `pinned` for an output given by `--set`, or `reused` where another run's record was taken.
        reused: `{"run", "record", "call"}` where `how` is `reused`: the call's label there.
        saved: artifact name to value id, by `kitaru.save()`.
        logs: value id of the captured output, a list of `(microseconds since began, stream, text)`.
        metadata: value id of a dict, by `kitaru.log(...)`, or None.
        mutated: names of arguments that the checkpoint changed in place.
        drift: policy that let a drifted call go on, or empty.
        delay: for a failed attempt that is made again, the microseconds until then; None where this was the last.
        overran: microseconds that it took beyond its timeout, where nothing could stop it.
        repeat: how many calls of the same identity were made before it.
        cache: the key under which other calls may take this result, 64 hex digits; empty where none may.
    """

    kind: ClassVar[str] = "call"
    name: str
    order: int
    began: int
    scope: str = ""
    occurrence: int = 1
    key: str = ""
    args: dict[str, str] = field(default_factory=dict)
    output: str | None = None
    error: dict[str, Any] | None = None
    code: str = ""
    how: str = "ran"
    reused: dict[str, Any] | None = None
    saved: dict[str, str] = field(default_factory=dict)
    logs: str | None = None
    metadata: str | None = None
    mutated: list[str] = field(default_factory=list)
    drift: str = ""
    after: int | None = None
    delay: int | None = None
    overran: int = 0
    repeat: int = 0
    cache: str = ""


@dataclass(slots=True, eq=False)
class Wait(Record):
    """A question the run stopped at.

    Attributes:
        question: text, markdown.
        schema: JSON schema of the answer.
        shown: artifact label to value id, what a reviewer should see.
        order, after, occurrence: as of a call.
        digest: binds an answer to this question: SHA-256 of name, scope, question, schema, shown, its occurrence
            among equal ones, and how many answers to it were refused.
        metadata: value id of a dict, or None.
        deadline: when time itself settles it, microseconds since 1970 UTC. A wait named `kitaru.sleep` asks nobody:
            its deadline is all that it waits for.
        default: value id of the answer that it has once its deadline has passed; None where it expires then.
    """

    kind: ClassVar[str] = "wait"
    name: str
    order: int
    digest: str
    question: str = ""
    scope: str = ""
    occurrence: int = 1
    schema: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    metadata: str | None = None
    after: int | None = None
    deadline: int | None = None
    default: str | None = None


@dataclass(slots=True, eq=False)
class Answer(Record):
    """The reply to a wait, as the run consumed it.

    Attributes:
        wait: id of the wait record.
        value: value id.
        by: who.
        answered: when the answer was given; `at` is when the run took it.
        source: `person`, `ahead` for `replay --answer`, `time` for a sleep that is over; `default` or `expired` for a
            question whose deadline passed, `rejected` for one that ended its run. The value of the last two is None.
        note: free text.
    """

    kind: ClassVar[str] = "answer"
    wait: str
    value: str
    by: str = ""
    answered: int = 0
    source: str = "person"
    note: str = ""


@dataclass(slots=True, eq=False)
class Note(Record):
    """Something worth telling that changes no state.

    `about` is `branched` (data: `cut`), `drift` (`call`, `policy`, `difference`, `near`: label of the
    record it was compared with, and for `reuse` its `order`), `stale` (`order`, `args`),
    `unclaimed` (`calls`: labels of records the code no longer asks for), `unasked` (`orders` of open waits it no longer
    asks), `refused` (`digest` of a wait whose answer the code's own type refused; `by`, `why`) or `metadata` (`value`:
    id of a dict given to `kitaru.log` in the flow's body).
    """

    kind: ClassVar[str] = "note"
    about: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Resumed(Record):
    """The run was taken up again, by whom, where, and with which version of the code.

    `on_drift` is the policy given for this time only, `code` as of a start; `limits` given now hold from now on.
    """

    kind: ClassVar[str] = "resumed"
    version: dict[str, Any]
    origin: dict[str, Any] = field(default_factory=dict)
    on_drift: str = ""
    code: str = ""
    limits: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class End(Record):
    """The run is over: `status` is `completed`, `failed` or `cancelled`.

    `failed` lists the ids of the failed calls' records whose error ended the run: a resume executes these again.
    `cancelled` is the request that ended it: `{"by", "at", "reason"}`.
    """

    kind: ClassVar[str] = "end"
    status: str
    output: str | None = None
    error: dict[str, Any] | None = None
    failed: list[str] = field(default_factory=list)
    cancelled: dict[str, Any] | None = None


KINDS: dict[str, type[Record]] = {c.kind: c for c in (Start, Begun, Call, Wait, Answer, Note, Resumed, End)}


class Stored(NamedTuple):
    """A record with its id and its parent's (both hex; a run's first record has no parent)."""

    record: Record
    id: str
    parent: str | None


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


def encode(record: Record, parent: str | None) -> bytes:
    """Return the canonical bytes of a record that follows the record with id `parent`."""
    fields: dict[str, Any] = {"kind": record.kind, "v": VERSION}
    if parent is not None:
        fields["parent"] = parent
    for name, default in _SHAPES[record.kind].defaults:
        value = getattr(record, name)
        if value != default:
            fields[name] = value
    return _encode_json(fields).encode("ascii")


def record_id(data: bytes) -> str:
    """Return the id of a record's bytes."""
    return sha256(data).hexdigest()


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
        plain = _plain_call(data, text) if text.startswith(_ARGS) else None
        if plain is not None:
            return plain
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
    r',"at":([1-9][0-9]{0,17}),"began":([1-9][0-9]{0,17}),"code":"([0-9a-f]{16})","kind":"call",'
    r'"name":"([A-Za-z_0-9-]+)",(?:"occurrence":([1-9][0-9]{0,17}),)?"order":([1-9][0-9]{0,17}),'
    r'"output":"([^"]*)","parent":"([^"]*)","v":1\}'
).fullmatch


def _plain_call(data: bytes, text: str) -> Stored | None:
    """Return the call that a record of the commonest form is; None says nothing of any other.

    A resume reads thousands of these, and the general way takes twice the time. Where this one gives a call, the
    general way gives the same.
    """
    try:
        args, end = _scan_json(text, len(_ARGS))
        found = _AFTER_ARGS(text, end)
        if found is None:
            return None
        at, began, code, name, occurrence, order, output, parent = found.groups()
        ids = output + parent
        if len(bytes.fromhex(ids)) * 2 != len(ids):  # with no space among the digits, so that nothing stands escaped
            return None
    except (ValueError, StopIteration):
        return None
    if type(args) is not dict:
        return None
    for value in args.values():
        if type(value) is not str:
            return None
    call = Call(int(at), name, int(order), int(began), "", int(occurrence or 1), "", args, output, None, code)
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
