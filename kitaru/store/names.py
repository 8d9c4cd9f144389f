"""Write-once names: small JSON at a key, each with its writer's nonce.

Owns: how a name is claimed and read back, and the fields of each kind of name. Whoever meets his own nonce has won.
Knows nothing of what the ids in a name refer to.

A name is canonical JSON and a newline. Its field `check` is the first 16 hex digits of the SHA-256 of the same JSON
without that field: nothing else would tell a flipped bit in who answered, or when.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged, UnknownFormat
from kitaru.store import layout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.blobs.contract import Blobs, Workspace

MAX_NAME = 64 * 1024
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class VersionName:
    """A flow's n-th version: `id` is the value that describes it, `digest` what tells it from others."""

    n: int
    id: str
    digest: str
    at: int
    by: str = ""


@dataclass(frozen=True, slots=True)
class AnswerName:
    """The reply to a wait: `value` is its value's id.

    `source` is `person`; or `default` or `expired`, where the deadline passed first; or `rejected`, which ends the run.
    """

    value: str
    by: str
    at: int
    note: str
    nonce: str
    source: str = "person"


@dataclass(frozen=True, slots=True)
class PrunedName:
    """A tombstone: the run was removed on purpose."""

    by: str
    at: int
    nonce: str


@dataclass(frozen=True, slots=True)
class CancelName:
    """A request to cancel a run: whoever holds the run, or takes it up, ends it."""

    by: str
    at: int
    reason: str
    nonce: str


@dataclass(frozen=True, slots=True)
class KeyName:
    """Which run was started for a key; it may not have begun yet."""

    run: str
    by: str
    at: int
    nonce: str


@dataclass(frozen=True, slots=True)
class SegmentName:
    """One segment of a run."""

    number: int
    segment: str


ANSWER_SHAPE: dict[str, type] = {"value": str, "by": str, "at": int, "note": str, "nonce": str, "source": str}
VERSION_SHAPE: dict[str, type] = {"id": str, "digest": str, "at": int, "by": str, "nonce": str}
SEGMENT_SHAPE: dict[str, type] = {"segment": str, "nonce": str}
PRUNED_SHAPE: dict[str, type] = {"by": str, "at": int, "nonce": str}
CANCEL_SHAPE: dict[str, type] = {"by": str, "at": int, "reason": str, "nonce": str}
KEY_SHAPE: dict[str, type] = {"run": str, "by": str, "at": int, "nonce": str}
"""The fields of each kind of name, and their types."""

LEFT_OUT: dict[str, Any] = {"source": "person"}
"""Fields that a name does not have where they say this."""


def canonical(fields: dict[str, Any]) -> bytes:
    """Return JSON with sorted keys, without spaces, in ASCII."""
    return _encode(fields).encode("ascii")


def pack(fields: dict[str, Any]) -> bytes:
    """Return the bytes of a name."""
    fields = {name: value for name, value in fields.items() if name not in LEFT_OUT or LEFT_OUT[name] != value}
    check = hashlib.sha256(canonical(fields)).hexdigest()[:16]
    return canonical({**fields, "check": check}) + b"\n"


def unpack(data: bytes, shape: Mapping[str, type], where: str) -> dict[str, Any]:
    """Parse a name; `shape` says which fields it must have, and their types.

    Raises:
        Damaged: it is not such a name.
    """
    try:
        fields = json.loads(data)
        fields.pop("check", None)
        fields = {**{name: LEFT_OUT[name] for name in shape if name in LEFT_OUT}, **fields}
        whole = fields.keys() == shape.keys() and all(type(fields[name]) is kind for name, kind in shape.items())
        if not whole or pack(fields) != data:
            raise Damaged(where, "not a name as this version writes it")
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise Damaged(where, f"not a name: {error}") from error
    return dict(fields)


def check_format(data: bytes, where: str) -> None:
    """Return if this is what the file `format` of a store says that this version understands.

    Raises:
        UnknownFormat: it says another version.
        Damaged: it says none, as where a disk lost what was in it.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if found == layout.FORMAT:
        return
    version = found.get("version") if isinstance(found, dict) else None
    if not isinstance(version, (int, str)) or version in ("", layout.FORMAT["version"]):
        raise Damaged(where, f"says no format: {data[:40]!r}", hint=_MEND_FORMAT)
    raise UnknownFormat(where, str(version)[:40])


_MEND_FORMAT = (
    f"put back the one line that the file has in every store, {canonical(layout.FORMAT).decode()}; kitaru fsck"
)


def claim(blobs: Workspace, key: str, fields: dict[str, Any], shape: Mapping[str, type]) -> tuple[bool, dict[str, Any]]:
    """Create a name; if it is there already, return whether it is one's own after all, and what it says.

    What is returned is durable either way.
    """
    if blobs.create(key, pack(fields)):
        return True, fields
    standing = _read(blobs, key, shape)
    blobs.settle(key)
    return standing["nonce"] == fields["nonce"], standing


def _read(blobs: Workspace, key: str, shape: Mapping[str, type]) -> dict[str, Any]:
    return unpack(blobs.get(key, limit=MAX_NAME), shape, blobs.where(key))


# -- segments of a run -----------------------------------------------------------------------------------------------


def segments(blobs: Workspace, run: str) -> list[SegmentName]:
    """Return the names of a run's segments, in order.

    Raises:
        Damaged: a name is not one, or a number is missing.
    """
    found = [segment_name(blobs, run, number) for number in numbers(blobs, layout.run_key(run))]
    for expected, name in enumerate(found, 1):
        if name.number != expected:
            raise Damaged(blobs.where(layout.run_key(run)), f"segment {expected} of the run is missing")
    return found


def segment_name(blobs: Workspace, run: str, number: int) -> SegmentName:
    """Return one name of a run's segments; KeyError if there is none."""
    key = layout.run_key(run, number)
    segment = _read(blobs, key, SEGMENT_SHAPE)["segment"]
    if not layout.is_object_id(segment):
        raise Damaged(blobs.where(key), "names no segment")
    return SegmentName(number, segment)


def claim_segment(blobs: Workspace, run: str, number: int, segment: str, nonce: str) -> bool:
    """Name a segment as the run's next; False if the number is another's. A segment is only its writer's."""
    fields = {"segment": segment, "nonce": nonce}
    won, standing = claim(blobs, layout.run_key(run, number), fields, SEGMENT_SHAPE)
    return won or standing["segment"] == segment


def numbers(blobs: Blobs, directory: str) -> list[int]:
    """Return the numbers of the names in a directory, in order; there may be gaps.

    Raises:
        Damaged: a name is no number.
    """
    found = []
    for part in blobs.children(directory):
        number = layout.number_of(part)
        if number is None:
            raise Damaged(blobs.where(f"{directory}/{part}"), "not a number as names have")
        found.append(number)
    return sorted(found)


# -- versions of a flow ----------------------------------------------------------------------------------------------


def versions(blobs: Workspace, flow: str) -> list[VersionName]:
    """Return a flow's versions, in order."""
    return [version(blobs, flow, number) for number in numbers(blobs, layout.flow_key(flow))]


def version(blobs: Workspace, flow: str, number: int) -> VersionName:
    """Return one version of a flow; KeyError if there is none."""
    fields = _read(blobs, layout.flow_key(flow, number), VERSION_SHAPE)
    return VersionName(number, fields["id"], fields["digest"], fields["at"], fields["by"])


def add_version(blobs: Workspace, flow: str, fields: dict[str, Any]) -> VersionName:
    """Give a version the flow's next free number.

    Another process may be first; if what it put there, before or while we look, has the same digest, that is returned.
    """
    taken = versions(blobs, flow)
    for there in taken:
        if there.digest == fields["digest"]:
            return there
    number = taken[-1].n + 1 if taken else 1
    while True:
        won, standing = claim(blobs, layout.flow_key(flow, number), fields, VERSION_SHAPE)
        if won or standing["digest"] == fields["digest"]:
            return VersionName(number, standing["id"], standing["digest"], standing["at"], standing["by"])
        number += 1


def flows(blobs: Workspace) -> list[str]:
    """Return the names of all flows, sorted."""
    return escaped_names(blobs, layout.FLOWS)


def escaped_names(blobs: Workspace, directory: str) -> list[str]:
    """Return the names that have a directory of their own below this one, sorted.

    Raises:
        Damaged: a directory that stands for no name.
    """
    return sorted(_escaped_names(blobs, directory, ""))


def _escaped_names(blobs: Workspace, directory: str, before: str) -> list[str]:
    names = []
    for part in blobs.children(directory):
        if part.endswith("%"):
            names += _escaped_names(blobs, f"{directory}/{part}", f"{before}{part}/")
        else:
            names.append(_unescaped(blobs, f"{directory}/{part}", before + part))
    return names


def _unescaped(blobs: Workspace, key: str, text: str) -> str:
    try:
        return layout.unescape(text)
    except ValueError as error:
        raise Damaged(blobs.where(key), str(error)) from error


# -- answers ---------------------------------------------------------------------------------------------------------


def answer(blobs: Workspace, run: str, wait_digest: str) -> AnswerName | None:
    """Return the answer to a wait, if there is one."""
    try:
        return AnswerName(**_read(blobs, layout.answer_key(run, wait_digest), ANSWER_SHAPE))
    except KeyError:
        return None


def put_answer(blobs: Workspace, run: str, wait_digest: str, fields: dict[str, Any]) -> tuple[bool, AnswerName]:
    """Answer a wait: whether this answer won, and the one that stands."""
    won, standing = claim(blobs, layout.answer_key(run, wait_digest), fields, ANSWER_SHAPE)
    return won, AnswerName(**standing)


# -- tombstones ------------------------------------------------------------------------------------------------------


def tombstone(blobs: Workspace, run: str) -> PrunedName | None:
    """Return the tombstone of a run, if it was pruned."""
    try:
        return PrunedName(**_read(blobs, layout.pruned_key(run), PRUNED_SHAPE))
    except KeyError:
        return None


def put_tombstone(blobs: Workspace, run: str, fields: dict[str, Any]) -> tuple[bool, PrunedName]:
    """Put a run's tombstone: whether this one won, and the one that stands."""
    won, standing = claim(blobs, layout.pruned_key(run), fields, PRUNED_SHAPE)
    return won, PrunedName(**standing)


# -- requests to cancel ----------------------------------------------------------------------------------------------


def cancellation(blobs: Workspace, run: str) -> CancelName | None:
    """Return the request to cancel a run, if there is one."""
    try:
        return CancelName(**_read(blobs, layout.cancel_key(run), CANCEL_SHAPE))
    except KeyError:
        return None


def put_cancellation(blobs: Workspace, run: str, fields: dict[str, Any]) -> tuple[bool, CancelName]:
    """Ask for a run to be cancelled: whether this request won, and the one that stands."""
    won, standing = claim(blobs, layout.cancel_key(run), fields, CANCEL_SHAPE)
    return won, CancelName(**standing)


# -- keys that runs were started for -----------------------------------------------------------------------------------


def key_digest(key: str) -> str:
    """Return the last part of the name of a key: what a caller chose may be long, or tell something."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def start_key(blobs: Workspace, flow: str, key: str) -> KeyName | None:
    """Return which run of a flow was started for a key, if one was."""
    try:
        return read_start_key(blobs, layout.start_key(flow, key_digest(key)))
    except KeyError:
        return None


def put_start_key(blobs: Workspace, flow: str, key: str, fields: dict[str, Any]) -> tuple[bool, KeyName]:
    """Name the run that is to be started for a key: whether this name won, and the one that stands."""
    name = layout.start_key(flow, key_digest(key))
    won, standing = claim(blobs, name, fields, KEY_SHAPE)
    return won, _key_name(standing, blobs.where(name))


def read_start_key(blobs: Workspace, key: str) -> KeyName:
    """Return what the name at a key of the store says, whatever caller's key it is of; KeyError if there is none."""
    return _key_name(_read(blobs, key, KEY_SHAPE), blobs.where(key))


def _key_name(fields: dict[str, Any], where: str) -> KeyName:
    if not layout.is_run(fields["run"]):
        raise Damaged(where, "names no run")
    return KeyName(**fields)
