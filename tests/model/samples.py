"""Short ways to write records down, for tests of what they add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.model.canonical import encode, record_id
from kitaru.model.records import (
    Answer,
    Begun,
    Call,
    End,
    Note,
    Record,
    Resumed,
    Start,
    Stored,
    Wait,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = {"n": 1, "id": "f" * 64}


def stored(records: Sequence[Record], parent: str | None = None) -> list[Stored]:
    """Chain records, as a journal would."""
    chained = []
    for record in records:
        made = record_id(encode(record, parent))
        chained.append(Stored(record, made, parent))
        parent = made
    return chained


def start(**fields: Any) -> Start:
    return Start(1, flow="agent", version=VERSION, inputs={}, **fields)


def call(order: int, name: str = "fetch", **fields: Any) -> Call:
    fields.setdefault("output", f"{order:064x}")
    fields.setdefault("args", {"x": f"{order + 100:064x}"})
    return Call(10 + order, name=name, order=order, began=9 + order, **fields)


def failed_call(order: int, name: str = "fetch", **fields: Any) -> Call:
    return call(order, name, output=None, error={"type": "builtins:ValueError", "message": "no"}, **fields)


def begun(order: int, name: str = "fetch", **fields: Any) -> Begun:
    return Begun(9, name=name, order=order, began=8, **fields)


def wait(order: int, name: str = "approve", **fields: Any) -> Wait:
    return Wait(10 + order, name=name, order=order, digest=f"{order:064d}", **fields)


def answer(asked: Stored, value: str = "a" * 64) -> Answer:
    return Answer(50, wait=asked.id, value=value, by="ada")


def note(about: str, **data: Any) -> Note:
    return Note(60, about, data)


def resumed(**fields: Any) -> Resumed:
    return Resumed(70, version=VERSION, **fields)


def end(status: str = "completed", **fields: Any) -> End:
    return End(99, status, **fields)


def branch_of(source: Sequence[Stored], cut: int | None, **fields: Any) -> Start:
    return start(source={"run": "source", "head": source[-1].id, "cut": cut}, **fields)
