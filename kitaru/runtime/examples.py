"""What an answer looks like, told from the recorded JSON schema of its wait: an example, its fields, the choices.

Owns: the words for it. What is recorded may be malformed or cyclic, so that every walk is bounded; whether an answer
fits, `kitaru.runtime.answers` says.
"""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.errors import InvalidAnswer
from kitaru.runtime.answers import described, resolve, validate_answer_json

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FIELDS = 30
_MAX_DEPTH = 4
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00",
    "duration": "PT1H",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "email": "name@example.org",
    "uri": "https://example.org/",
}
_MALFORMED = (TypeError, AttributeError, ValueError, KeyError, IndexError, RecursionError)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an answer that is an object.

    Attributes:
        name: with dots, where it lies inside another: `address.city`.
        what: its type or choices in words.
        required: whether an answer must have it.
        default: what it is where it is left out, as JSON; empty where that is not known.
    """

    name: str
    what: str
    required: bool
    default: str

    @property
    def told(self) -> str:
        """Type, then whether it may be left out: `one of "fast", "slow", default "fast"`."""
        if self.required:
            return f"{self.what}, required"
        return f"{self.what}, default {self.default}" if self.default else f"{self.what}, optional"


def example_text(schema: Mapping[str, Any]) -> str:
    """Return an example of an answer, quoted for a shell to be typed as it stands; `VALUE` where none is known."""
    text = example_json(schema)
    quoted = shlex.quote(text)
    return f"-- {quoted}" if text.startswith("-") else quoted


def example_json(schema: Mapping[str, Any]) -> str:
    """Return an example of an answer as a person types it where no shell reads it."""
    try:
        return _as_typed(dict(schema), _example(schema, schema, 0))
    except _MALFORMED:
        return "VALUE"


def choices(schema: Mapping[str, Any]) -> list[str]:
    """Return every text that may be typed where the answer is one of a few, in order; none where it is not."""
    try:
        resolved = resolve(schema)
        if resolved.get("type") == "boolean" and not {"enum", "const"} & resolved.keys():
            return ["true", "false"]
        members = resolved.get("enum") or ([resolved["const"]] if "const" in resolved else [])
        return [_as_typed(dict(schema), member) for member in members]
    except _MALFORMED:
        return []


def beside(schema: Mapping[str, Any]) -> str:
    """Return what stands beside an example: `(or false)`, `(one of: red, blue)`, `(text)`; empty for an object."""
    found = choices(schema)
    if found == ["true", "false"]:
        return "(or false)"
    if found:
        return f"(one of: {', '.join(found)})" if len(found) > 1 else ""
    return "" if fields(schema) else f"({described(schema)})"


def fields(schema: Mapping[str, Any]) -> list[Field]:
    """Return the fields of an answer that is an object, at most `MAX_FIELDS`; none where it is no object."""
    try:
        found: list[Field] = []
        _gather(found, schema, schema, "", 0)
    except _MALFORMED:
        return []
    return found[:MAX_FIELDS]


def _gather(found: list[Field], root: Mapping[str, Any], schema: Any, place: str, depth: int) -> None:  # noqa: ANN401 - recorded JSON, of any shape
    resolved = resolve(root, schema)
    properties = resolved.get("properties", {})
    if depth > _MAX_DEPTH or resolved.get("type") != "object":
        return
    for name, part in properties.items():
        if len(found) >= MAX_FIELDS:
            return
        required = name in resolved.get("required", [])
        default = json.dumps(part["default"], ensure_ascii=False) if "default" in part else ""
        found.append(Field(f"{place}{name}", described(root, part), required, default))
        _gather(found, root, part, f"{place}{name}.", depth + 1)


def _as_typed(schema: dict[str, Any], value: object) -> str:
    """Return the text that is read as this value: a text as it is where that is not taken for something else."""
    whole = json.dumps(value, ensure_ascii=False)
    for text in [value, whole] if isinstance(value, str) else [whole]:
        try:
            if validate_answer_json(schema, text, text=True) == value:
                return text
        except InvalidAnswer:
            continue
    return whole


def _example(root: Mapping[str, Any], schema: Any, depth: int) -> Any:  # noqa: ANN401 - recorded JSON in, JSON out
    found = resolve(root, schema)
    if depth > _MAX_DEPTH:
        return {}
    for known in ("const", "default"):
        if known in found:
            return found[known]
    listed = found.get("enum") or found.get("examples")
    if listed:
        return listed[0]
    options = found.get("anyOf") or found.get("oneOf") or found.get("allOf")
    if options:
        some = [part for part in options if resolve(root, part).get("type") != "null"]
        return _example(root, (some or options)[0], depth + 1)
    return _of_kind(root, found, depth)


def _of_kind(root: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> Any:  # noqa: ANN401 - as above
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _example(root, properties.get(name, {}), depth + 1) for name in schema.get("required", [])}
    if kind == "array":
        parts = schema.get("prefixItems") or [schema.get("items", {})] * max(1, min(int(schema.get("minItems", 1)), 9))
        return [_example(root, part, depth + 1) for part in parts]
    if kind in ("integer", "number"):
        return _number(schema, 1 if kind == "integer" else 1.5)
    if kind == "string":
        text = _FORMATS.get(str(schema.get("format")), "TEXT")
        return text.ljust(min(int(schema.get("minLength", 0)), 80), "T")[: schema.get("maxLength")]
    return True if kind == "boolean" else None if kind == "null" else "TEXT"


def _number(schema: Mapping[str, Any], usual: float) -> Any:  # noqa: ANN401 - an int or a float, as the bounds are
    """Return a number within the bounds, the usual one if it is."""
    low = schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else schema.get("minimum", -math.inf)
    high = schema["exclusiveMaximum"] - 1 if "exclusiveMaximum" in schema else schema.get("maximum", math.inf)
    return max(low, min(high, usual))
