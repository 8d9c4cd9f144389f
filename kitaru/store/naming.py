"""Which values a record names.

Owns: that list, for who checks a store, brings runs from one to another, or looks for what one lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.model.records import Answer, Call, End, Note, Resumed, Start, Wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kitaru.model.records import Record

ASKED = ("prompt_id", "response_id")
"""Fields of a request to a language model that name values."""


def named_by(record: Record) -> Iterator[str]:
    """Yield the ids of the values that a record names."""
    match record:
        case Start():
            yield record.version["id"]
            yield from record.inputs.values()
            for chosen in record.overrides.values():
                if isinstance(chosen, dict):
                    yield from (value for value in chosen.values() if isinstance(value, str))
        case Resumed():
            yield record.version["id"]
        case Call():
            yield from _given(record.key, record.output, record.logs, record.metadata, _value_of(record.error))
            yield from record.args.values()
            yield from record.saved.values()
            for asked in record.llm:
                yield from _given(*(value for name in ASKED if isinstance(value := asked.get(name), str)))
        case Wait():
            yield from _given(record.metadata, record.default)
            yield from record.shown.values()
        case Answer():
            yield record.value
        case End():
            yield from _given(record.output, _value_of(record.error))
        case Note() if record.about == "metadata":
            yield from _given(_value_of(record.data))


def _given(*ids: str | None) -> Iterator[str]:
    yield from (object_id for object_id in ids if object_id)


def _value_of(described: dict[str, object] | None) -> str | None:
    value = (described or {}).get("value")
    return value if isinstance(value, str) else None
