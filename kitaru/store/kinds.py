"""Which kinds of names a store has that others may share: how the key of each is read, and what each reaches.

Owns: the table of kinds, by which names are checked, copied, counted and kept from gc. Knows nothing of who does so.

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

    from kitaru.blobs.contract import Blobs

RUN, NAME, DIGEST, NUMBER = "run", "name", "digest", "number"
"""What a part of a key is: a run's id, any escaped name (which may take several parts), a hash, a number."""


class Key(NamedTuple):
    """The key of a name, taken apart: `owner` is the run, flow, schedule or invocation; `number` of a log's entry."""

    key: str
    kind: Kind
    owner: str
    log: str
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A kind of names that stores share.

    Attributes:
        directory: where they lie.
        parts: what the parts of a key are, below that.
        shape: the fields of such a name.
        called: what people know such a name by, made of the parts of its key.
        reaches: tells the ids of the values that a name's fields name; None where such a name has none.
        check: raises Damaged where the fields say what they cannot.
    """

    directory: str
    parts: tuple[str, ...]
    shape: Mapping[str, type]
    called: str = "{0}"
    reaches: Callable[[Mapping[str, Any]], list[str]] | None = None
    check: Callable[[Key, dict[str, Any], str], None] = lambda *_: None

    @property
    def is_log(self) -> bool:
        """Whether its names are numbered from 1, without a gap."""
        return self.parts[-1] == NUMBER

    @property
    def is_of_run(self) -> bool:
        """Whether such a name is about a run, and of no use when that is gone."""
        return self.parts[0] == RUN


def _value(field: str) -> Callable[[Mapping[str, Any]], list[str]]:
    return lambda fields: [fields[field]]


def _segment(_: Key, fields: dict[str, Any], where: str) -> None:
    if not layout.is_object_id(fields["segment"]):
        raise Damaged(where, "names no segment")


def _started(_: Key, fields: dict[str, Any], where: str) -> None:
    if not layout.is_run(fields["run"]):
        raise Damaged(where, "names no run")


def _continued(key: Key, fields: dict[str, Any], where: str) -> None:
    parted.check(key.owner, layout.unescape(key.key.rpartition("/")[2]), fields, where)


FLOWS = Kind(layout.FLOWS, (NAME, NUMBER), names.VERSION_SHAPE, "{0}@v{1}", _value("id"))
ANSWERS = Kind(layout.ANSWERS, (RUN, NAME), names.ANSWER_SHAPE, reaches=_value("value"))
CANCELS = Kind(layout.CANCELS, (RUN,), names.CANCEL_SHAPE)
KEYS = Kind(layout.KEYS, (NAME, DIGEST), names.KEY_SHAPE, check=_started)
ROUTES = Kind(
    layout.ROUTES,
    (NAME, NAME, NUMBER),
    routes.ROUTE_SHAPE,
    "{0}@{1}",
    lambda fields: [version for version, *_ in fields["to"]],
    lambda key, fields, where: routes.check_entry(key.number, fields, where),
)
QUEUE = Kind(
    layout.QUEUE,
    (RUN,),
    QUEUE_SHAPE,
    "queue/{0}",
    _value("inputs"),
    lambda _, fields, where: check_invocation(fields, where),
)
SCHEDULES = Kind(
    layout.SCHEDULES,
    (NAME, NUMBER),
    SCHEDULE_SHAPE,
    "schedules/{0}",
    _value("inputs"),
    lambda _, fields, where: check_entry(fields, where),
)
PRUNED = Kind(layout.PRUNED, (RUN,), names.PRUNED_SHAPE)
PARTED = Kind(layout.PARTED, (RUN, RUN), parted.PARTED_SHAPE, check=_continued)
RUNS = Kind(layout.RUNS, (RUN, NUMBER), names.SEGMENT_SHAPE, check=_segment)

KINDS = (FLOWS, ANSWERS, CANCELS, KEYS, ROUTES, SCHEDULES, QUEUE, PRUNED, PARTED, RUNS)
"""In the order in which they are made: what is named before what names it, runs last."""
_OF = {kind.directory: kind for kind in KINDS}


def reached(key: Key, fields: Mapping[str, Any]) -> list[str]:
    """Return the ids of the values that a name names, whose fields were read."""
    return key.kind.reaches(fields) if key.kind.reaches is not None else []


def is_unbroken(kind: Kind) -> bool:
    """Tell whether names are a log that is read as a whole: a flow's versions each stand for themselves."""
    return kind.is_log and kind is not FLOWS


def keys(blobs: Blobs, kind: Kind) -> list[str]:
    """Return the keys of all names of a kind, sorted, and of what is no name and lies where one belongs."""
    files = set(blobs.keys(kind.directory))
    return sorted({*files, *_odd(blobs, kind.directory, files)})


def _odd(blobs: Blobs, directory: str, files: set[str]) -> Iterator[str]:
    """Yield empty directories that are in the place of a name, or that stand for nothing."""
    for part in blobs.children(directory):
        key = f"{directory}/{part}"
        if key in files:
            continue
        if blobs.children(key):
            yield from _odd(blobs, key, files)
        elif stands(key) or not (part.endswith("%") or _is_escaped(part)):
            yield key


def stands(key: str) -> bool:
    """Tell whether a store could make such a key for a name."""
    try:
        _apart(key)
    except ValueError:
        return False
    return True


def _is_escaped(part: str) -> bool:
    try:
        layout.unescape(part)
    except ValueError:
        return False
    return True


def parse(key: str) -> Key:
    """Take a key apart.

    Raises:
        ValueError: no store makes such a key.
    """
    kind, read = _apart(key)
    number = read[-1] if isinstance(read[-1], int) else 0
    return Key(key, kind, str(read[0]), key.rpartition("/")[0], number)


def called(key: str) -> str:
    """Return what people know the name at a key by, as `agent@v2`; raises as `parse`."""
    kind, read = _apart(key)
    return kind.called.format(*read)


def _apart(key: str) -> tuple[Kind, list[str | int]]:
    parts = key.split("/")
    kind = _OF.get(parts[0])
    if kind is None:
        raise ValueError(f"{key!r} is in no directory of names")
    found = list(_joined(parts[1:]))
    if len(found) != len(kind.parts):
        raise ValueError(f"{key!r} has not as many parts as a name in {kind.directory}/ has")
    return kind, [_READ[what](text) for what, text in zip(kind.parts, found, strict=True)]


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
    key.kind.check(key, fields, where)
    if not all(layout.is_object_id(value) for value in reached(key, fields)):
        raise Damaged(where, "names what is no value's id")
    return fields
