"""Which names stores share, how the key of each is read, and what each reaches.

Owns: the table of kinds. Knows nothing of where names are copied from or to.

What is in a remote's listing was written by others: a key that this store would not make itself is no name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from kitaru.errors import Damaged
from kitaru.store import layout, names, parted, routes
from kitaru.store.invocations import QUEUE_SHAPE, check_invocation
from kitaru.store.schedules import SCHEDULE_SHAPE, check_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

RUN, NAME, DIGEST, NUMBER = "run", "name", "digest", "number"
"""What a part of a key is: a run's id, any escaped name (which may take several parts), a hash, a number."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of names that stores share.

    Attributes:
        directory: where they lie.
        parts: what the parts of a key are, below that.
        shape: the fields of such a name.
        values: those of the fields that are ids of values.
    """

    directory: str
    parts: tuple[str, ...]
    shape: Mapping[str, type]
    values: tuple[str, ...] = ()

    @property
    def is_log(self) -> bool:
        """Whether its names are numbered from 1, without a gap."""
        return self.parts[-1] == NUMBER


class Key(NamedTuple):
    """The key of a name, taken apart: `owner` is the run, flow, schedule or invocation; `number` of a log's entry."""

    key: str
    kind: Kind
    owner: str
    log: str
    number: int


FLOWS = Kind(layout.FLOWS, (NAME, NUMBER), names.VERSION_SHAPE, ("id",))
ANSWERS = Kind(layout.ANSWERS, (RUN, NAME), names.ANSWER_SHAPE, ("value",))
CANCELS = Kind(layout.CANCELS, (RUN,), names.CANCEL_SHAPE)
KEYS = Kind(layout.KEYS, (NAME, DIGEST), names.KEY_SHAPE)
ROUTES = Kind(layout.ROUTES, (NAME, NAME, NUMBER), routes.ROUTE_SHAPE)
QUEUE = Kind(layout.QUEUE, (RUN,), QUEUE_SHAPE, ("inputs",))
SCHEDULES = Kind(layout.SCHEDULES, (NAME, NUMBER), SCHEDULE_SHAPE, ("inputs",))
PRUNED = Kind(layout.PRUNED, (RUN,), names.PRUNED_SHAPE)
PARTED = Kind(layout.PARTED, (RUN, RUN), parted.PARTED_SHAPE)
RUNS = Kind(layout.RUNS, (RUN, NUMBER), names.SEGMENT_SHAPE)

KINDS = (FLOWS, ANSWERS, CANCELS, KEYS, ROUTES, SCHEDULES, QUEUE, PRUNED, PARTED, RUNS)
"""In the order in which they are made: what is named before what names it, runs last."""
_OF = {kind.directory: kind for kind in KINDS}


def parse(key: str) -> Key:
    """Take a key apart.

    Raises:
        ValueError: no store makes such a key.
    """
    parts = key.split("/")
    kind = _OF.get(parts[0])
    if kind is None:
        raise ValueError(f"{key!r} is in no directory of names")
    found = list(_joined(parts[1:]))
    if len(found) != len(kind.parts):
        raise ValueError(f"{key!r} has not as many parts as a name in {kind.directory}/ has")
    read = [_READ[what](text) for what, text in zip(kind.parts, found, strict=True)]
    number = read[-1] if isinstance(read[-1], int) else 0
    return Key(key, kind, str(read[0]), key.rpartition("/")[0], number)


def _joined(parts: list[str]) -> Iterator[str]:
    """Put together the parts of escaped names that were too long for one."""
    before = ""
    for part in parts:
        before += part
        if part.endswith("%"):
            before += "/"
        else:
            yield before
            before = ""
    if before:
        yield before


def _run(text: str) -> str:
    if "/" in text:
        raise ValueError(f"{text!r} is too long for a run's id")
    return layout.unescape(text)


def _digest(text: str) -> str:
    if not layout.is_object_id(text):
        raise ValueError(f"{text!r} is no hash")
    return text


def _number(text: str) -> int:
    number = layout.number_of(text)
    if number is None:
        raise ValueError(f"{text!r} is not a number as names have")
    return number


_READ: dict[str, Callable[[str], str | int]] = {RUN: _run, NAME: layout.unescape, DIGEST: _digest, NUMBER: _number}


def read(key: Key, data: bytes, where: str) -> dict[str, Any]:
    """Return what a name says.

    Raises:
        Damaged: it is no such name.
    """
    fields = names.unpack(data, key.kind.shape, where)
    for field in key.kind.values:
        if not layout.is_object_id(fields[field]):
            raise Damaged(where, f"{field} is no value's id")
    if key.kind is RUNS and not layout.is_object_id(fields["segment"]):
        raise Damaged(where, "names no segment")
    if key.kind is KEYS and not layout.is_run(fields["run"]):
        raise Damaged(where, "names no run")
    if key.kind is QUEUE:
        check_invocation(fields, where)
    if key.kind is SCHEDULES:
        check_entry(fields, where)
    if key.kind is ROUTES:
        routes.check_entry(key.number, fields, where)
    if key.kind is PARTED:
        parted.check(key.owner, layout.unescape(key.key.rpartition("/")[2]), fields, where)
    return fields
