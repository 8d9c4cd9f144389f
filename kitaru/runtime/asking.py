"""What a flow's body asks for: the arguments of `kitaru.wait`, checked, and what of the run a reviewer is shown.

Owns: what each argument may be. Matching and answering are `runtime.waits`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from kitaru.errors import InvalidAnswer, UsageError
from kitaru.model.ids import display_call, is_call_name, parse_call
from kitaru.model.moments import from_datetime
from kitaru.runtime.options import seconds
from kitaru.runtime.replies import plain_answer
from kitaru.runtime.schema import wait_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kitaru.model.records import Call
    from kitaru.runtime.engine import Engine

UNSET: Final[Any] = type("Unset", (), {"__repr__": lambda _: "..."})()
"""Stands for an argument that was not given, where None means something."""

_CHOICES = (str, int, bool, type(None))


@dataclass(frozen=True, slots=True)
class Question:
    """One question, as the body asks it.

    Attributes:
        schema: the type of the answer, and `json_schema`, what is recorded of it.
        timeout_us: how long the process stays for an answer.
        until_us, for_us: when the deadline passes: a moment, or a time from when it is first asked; or neither.
        default: JSON data, or UNSET.
        show: what a reviewer is to see; UNSET for the last call's output.
    """

    name: str
    text: str
    schema: Any
    json_schema: dict[str, Any]
    metadata: Mapping[str, Any] | None
    timeout_us: int
    until_us: int | None
    for_us: int | None
    default: Any
    show: Any

    def deadline(self, asked_us: int) -> int | None:
        """Return when the deadline of a question that is asked now passes."""
        return asked_us + self.for_us if self.for_us is not None else self.until_us


def asked(
    name: str | None,
    text: str | None,
    schema: Any,  # noqa: ANN401 - whatever pydantic validates
    *,
    choices: Sequence[Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    timeout: object = 0,
    deadline: object = None,
    default: Any = UNSET,  # noqa: ANN401 - a value of the schema
    show: Any = UNSET,  # noqa: ANN401 - labels, values, or a mapping
) -> Question:
    """Check what `kitaru.wait` was given.

    Raises:
        UsageError: a name that cannot be typed, a schema that cannot be asked for, a default that does not fit or that
            no deadline brings, a time that is none.
    """
    name = "answer" if name is None else name
    if not is_call_name(name):
        raise UsageError(f"{name!r} is no name for a wait", hint="use letters, digits, - and _, as in 'approve'")
    if choices is not None:
        if schema is not UNSET:
            raise UsageError(f"wait {name} has both schema= and choices=", hint="choices=['a', 'b'] says it all")
        schema = _literal(name, choices)
    schema = bool if schema is UNSET else schema
    json_schema = wait_schema(schema)
    until_us, for_us = _deadline(deadline)
    if default is not UNSET and deadline is None:
        raise UsageError(f"wait {name} has a default, and no deadline that brings it", hint="deadline='3d'")
    return Question(
        name,
        text or "",
        schema,
        json_schema,
        metadata,
        _microseconds(timeout, "timeout") if timeout else 0,
        until_us,
        for_us,
        UNSET if default is UNSET else _fitting(name, json_schema, default),
        show,
    )


def _literal(name: str, choices: Sequence[Any]) -> Any:  # noqa: ANN401 - a type
    if isinstance(choices, str) or not choices or not all(isinstance(choice, _CHOICES) for choice in choices):
        raise UsageError(f"wait {name} has no choices: {choices!r}", hint="choices=['ship', 'hold']: texts or integers")
    return Literal[tuple(choices)]


def _deadline(given: object) -> tuple[int | None, int | None]:
    """Return a moment, or a length of time, in microseconds."""
    if given is None:
        return None, None
    if isinstance(given, datetime):
        if given.tzinfo is None:
            raise UsageError(f"the deadline {given} has no time zone", hint="deadline=kitaru.now() + timedelta(days=3)")
        return from_datetime(given), None
    if isinstance(given, timedelta) and given <= timedelta():
        return None, 0  # a deadline that has passed is one, too
    return None, _microseconds(given, "deadline")


def _microseconds(length: object, option: str) -> int:
    return int((seconds(length, option) or 0) * 1_000_000)


def _fitting(name: str, json_schema: dict[str, Any], default: object) -> object:
    try:
        return plain_answer(json_schema, default)
    except InvalidAnswer as error:
        raise UsageError(f"the default of wait {name}: {error.message}", hint=error.hint) from None


# -- what is shown ---------------------------------------------------------------------------------------------------

Objects = list[tuple[str, bytes]]


@dataclass(slots=True)
class Shown:
    """What a reviewer is to see.

    Attributes:
        labels: label to value id.
        bound: the same for the digest: a value under its place, for of several calls with one result another may be
            the first on resume.
        objects: what of it is new.
    """

    labels: dict[str, str] = field(default_factory=dict)
    bound: dict[str, str] = field(default_factory=dict)
    objects: Objects = field(default_factory=list)

    def add(self, label: str, object_id: str, bound: str = "") -> None:
        """Add one."""
        self.labels[label] = self.bound[bound or label] = object_id


def shown(engine: Engine, last: Call | None, show: Any) -> Shown:  # noqa: ANN401 - as given
    """Return what a reviewer is to see.

    Args:
        last: the call whose output reached this line of work last.
        show: UNSET for its output; a label, a name that the run saved something under, or a value; several of these;
            or a mapping of labels of one's own to values.

    Raises:
        UsageError: a text that names nothing here.
    """
    found = Shown()
    if show is UNSET:
        if last is not None:
            found.add(display_call(last.name, last.occurrence), last.output or "")
        return found
    for place, (label, item) in enumerate(_items(engine, show), 1):
        named = _named(engine, item) if label is None and isinstance(item, str) else None
        if named is not None:
            found.add(*named)
            continue
        encoded = engine.values.encode(item, engine.writer.known, label or "show")
        found.objects += encoded.objects
        own = f"shown-{place}"
        found.add(label or engine.results.outputs.get(encoded.id) or _unnamed(item, own), encoded.id, label or own)
    return found


def _items(engine: Engine, show: Any) -> Iterable[tuple[str | None, Any]]:  # noqa: ANN401 - as given
    """Return labels, where they are given, and values; what a call gave is one value, a dict or list though it be."""
    if isinstance(show, (Mapping, list, tuple)) and engine.values.encoder.digest(show) in engine.results.outputs:
        return [(None, show)]
    if isinstance(show, Mapping):
        return [(str(label), value) for label, value in show.items()]
    many = isinstance(show, (list, tuple)) and not hasattr(show, "_fields")
    return [(None, item) for item in (show if many else [show])]


def _named(engine: Engine, text: str) -> tuple[str, str] | None:
    """Return the call's output, or the artifact, that a text names."""
    if text in engine.results.saved:
        return text, engine.results.saved[text]
    if not is_call_name(text.partition("#")[0]):
        return None
    wanted = parse_call(text)
    for view in engine.state.calls.values():
        if view.name == wanted.name and view.occurrence == (wanted.nth or 1) and view.record and view.record.output:
            return view.label, view.record.output
    return None


def _unnamed(item: object, place: str) -> str:
    """Return the label of a value that no call gave."""
    if isinstance(item, str) and is_call_name(item.partition("#")[0]):
        raise UsageError(
            f"show={item!r} names no call that has ended, and nothing that was saved",
            hint="a text of your own: show={'draft': text}",
        )
    return place
