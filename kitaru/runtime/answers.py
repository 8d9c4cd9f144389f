"""An answer checked against the recorded JSON schema of its wait, where the type itself is not at hand.

Owns: the part of JSON Schema 2020-12 that pydantic writes, as far as a value can be checked by it. `pattern` and
`format` are left to the run, which validates with the real type: a pattern from a store is not executed here.
"""

from __future__ import annotations

import json
import operator
from typing import TYPE_CHECKING, Any

from kitaru.errors import InvalidAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PROBLEMS = 10
_MAX_DEPTH = 100
_MAX_TOLD = 2
_MAX_STEPS = 100_000
_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}
_WORDS = {"true": True, "yes": True, "y": True, "on": True, "false": False, "no": False, "n": False, "off": False}


def validate_answer_json(schema: dict[str, Any], value: object, *, text: bool = False) -> object:
    """Return the plain JSON value of an answer that fits a recorded schema.

    Args:
        schema: a JSON schema, as `kitaru.runtime.schema.wait_schema` returns it.
        value: a JSON value, or what was typed.
        text: it was typed: JSON first, or plain text where the schema is a string.

    Raises:
        InvalidAnswer: all problems on one line, each with the field's name.
    """
    fits, found = fitting(schema, value, text=text)
    if not found:
        return fits
    shown = [*found[:MAX_PROBLEMS], *([f"and {len(found) - MAX_PROBLEMS} more"] if len(found) > MAX_PROBLEMS else [])]
    raise InvalidAnswer(f"the answer does not fit: {'; '.join(shown)}", hint=f"it must be {describe(schema)}")


def fitting(schema: dict[str, Any], value: object, *, text: bool = False, place: str = "") -> tuple[object, list[str]]:
    """Return what of a value, or of the readings of a typed one, fits a recorded schema; or the value, and why not.

    Args:
        schema, value, text: as of `validate_answer_json`.
        place: as of `misfits`.
    """
    found: list[str] = []
    for candidate in _readings(schema, str(value)) if text else [value]:
        problems = misfits(schema, candidate, place)
        if not problems:
            return candidate, []
        found = found or problems
    return value, found


def misfits(schema: dict[str, Any], value: object, place: str = "") -> list[str]:
    """Return why a JSON value does not fit a recorded schema; nothing where it does.

    Each begins with its place where it has one: `address.city: Field required`, `items[2]: Input should be text`.

    Args:
        place: what the value itself is called; nothing by default.
    """
    try:
        return _Check(schema).problems(schema, value, place, 0)
    except (TypeError, AttributeError, ValueError, RecursionError):
        return ["the recorded schema is malformed, so that nothing can fit it"]


def _readings(schema: dict[str, Any], text: str) -> list[object]:
    """Return what typed text may mean, the likelier first."""
    if schema.get("type") == "string":
        return [text]
    if schema.get("type") == "boolean" and text.strip().lower() in _WORDS:
        return [_WORDS[text.strip().lower()]]
    try:
        return [json.loads(text, parse_constant=str), text]
    except (ValueError, RecursionError):
        return [text]


def describe(schema: dict[str, Any]) -> str:
    """Return a schema in a few words: `true or false`, `one of "fast", "slow"`, `an object with url (text), …`."""
    return described(schema)


def described(root: Mapping[str, Any], part: Any = None) -> str:  # noqa: ANN401 - recorded JSON, of any shape
    """Return a schema, or a part of it, in a few words; what is recorded may be malformed.

    Args:
        root: the whole schema, which holds the definitions.
        part: a schema inside it; all of it by default.
    """
    try:
        return _described(_Check(dict(root)), root if part is None else part, 0)
    except (TypeError, AttributeError, ValueError, RecursionError):
        return "as the schema says"


def resolve(root: Mapping[str, Any], part: Any = None) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Return a schema, or a part of it, with a reference at its top followed; empty where it leads nowhere."""
    return _Check(dict(root)).resolve(dict(root) if part is None else part)


def _described(check: _Check, schema: Any, depth: int) -> str:  # noqa: ANN401 - as above
    schema = check.resolve(schema)
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(item, ensure_ascii=False) for item in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    options = schema.get("anyOf") or schema.get("oneOf")
    if options and depth < _MAX_TOLD:
        return " or ".join(dict.fromkeys(_described(check, option, depth + 1) for option in options))
    kind = schema.get("type")
    if kind == "object" and isinstance(schema.get("properties"), dict):
        return f"an object with {_fields(check, schema, depth)}"
    if kind == "array" and isinstance(schema.get("items"), dict) and depth < _MAX_TOLD:
        return f"a list, each {_described(check, schema['items'], depth + 1)}"
    words = {"boolean": "true or false", "integer": "an integer", "number": "a number", "string": "text"}
    words |= {"array": "a list", "object": "an object", "null": "null"}
    return words.get(str(kind), "as the schema says") + _bounds(schema)


def _fields(check: _Check, schema: dict[str, Any], depth: int) -> str:
    """Return the names of an object's fields, each with its type and whether it may be left out while that is short."""
    if depth >= _MAX_TOLD:
        return ", ".join(map(str, schema["properties"]))
    told = []
    for name, part in schema["properties"].items():
        optional = "" if name in schema.get("required", []) else ", optional"
        told.append(f"{name} ({_described(check, part, depth + 1)}{optional})")
    return ", ".join(told)


def _bounds(schema: dict[str, Any]) -> str:
    told = [f"{words} {schema[key]}" for key, _, words in _BOUNDS if key in schema]
    return f" ({', '.join(told)})" if told else f" ({schema['format']})" if "format" in schema else ""


class _Check:
    """One validation; what is recorded may be malformed or cyclic, and then only the limits end it."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._defs = schema.get("$defs", {})
        self._steps = 0

    def resolve(self, schema: Any) -> dict[str, Any]:  # noqa: ANN401 - recorded JSON, of any shape
        for _ in range(_MAX_DEPTH):
            if not isinstance(schema, dict):
                return {}
            if "$ref" not in schema:
                return schema
            schema = self._defs.get(str(schema["$ref"]).rpartition("/")[2], {})
        return {}

    def problems(self, schema: Any, value: Any, place: str, depth: int) -> list[str]:  # noqa: ANN401 - as above
        schema = self.resolve(schema)
        self._steps += 1
        if depth > _MAX_DEPTH or self._steps > _MAX_STEPS:
            return [f"{place or 'the answer'}: too large or nested too deeply"]
        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            return self._any_of(options, value, place, depth)
        found = _wrong_kind(schema, value)
        if found:
            return [f"{place}: {found}" if place else found]
        inner = [p for part in schema.get("allOf", []) for p in self.problems(part, value, place, depth + 1)]
        if isinstance(value, dict):
            return inner + self._object(schema, value, place, depth)
        if isinstance(value, list):
            return inner + self._array(schema, value, place, depth)
        return inner

    def _any_of(self, options: list[Any], value: Any, place: str, depth: int) -> list[str]:  # noqa: ANN401 - as above
        tried = [self.problems(option, value, place, depth + 1) for option in options]
        if not tried or [] in tried:
            return []
        # The option that got furthest is the one that was meant: its problems are inside, not of the value itself.
        return max(tried, key=lambda problems: min(p.partition(": ")[0].count(".") for p in problems))

    def _object(self, schema: dict[str, Any], value: dict[str, Any], place: str, depth: int) -> list[str]:
        properties = schema.get("properties", {})
        extra = schema.get("additionalProperties", True)
        found = [f"{_at(place, name)}: Field required" for name in schema.get("required", []) if name not in value]
        for name, item in value.items():
            if name in properties:
                found += self.problems(properties[name], item, _at(place, name), depth + 1)
            elif extra is False:
                found.append(f"{_at(place, name)}: Extra inputs are not permitted")
            elif isinstance(extra, dict):
                found += self.problems(extra, item, _at(place, name), depth + 1)
        return found

    def _array(self, schema: dict[str, Any], value: list[Any], place: str, depth: int) -> list[str]:
        prefix = schema.get("prefixItems", [])
        rest = schema.get("items", {})
        found = []
        for index, item in enumerate(value):
            part = prefix[index] if index < len(prefix) else rest
            found += self.problems(part, item, f"{place}[{index}]", depth + 1)
        return found


def _at(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _wrong_kind(schema: dict[str, Any], value: Any) -> str:  # noqa: ANN401 - any JSON value
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds or []
    if kinds and not any(_is(value, kind) for kind in kinds):
        return f"Input should be {' or '.join(describe({'type': kind}) for kind in kinds)}"
    if "enum" in schema and not any(_same(value, item) for item in schema["enum"]):
        return f"Input should be {describe({'enum': schema['enum']})}"
    if "const" in schema and not _same(value, schema["const"]):
        return f"Input should be {json.dumps(schema['const'])}"
    return _out_of_bounds(schema, value)


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, (object,)))


def _same(value: object, other: object) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)


_BOUNDS = (
    ("minimum", operator.ge, "at least"),
    ("maximum", operator.le, "at most"),
    ("exclusiveMinimum", operator.gt, "greater than"),
    ("exclusiveMaximum", operator.lt, "less than"),
)
_LENGTHS = (
    (str, "minLength", "maxLength", "characters"),
    (list, "minItems", "maxItems", "items"),
    (dict, "minProperties", "maxProperties", "entries"),
)


def _out_of_bounds(schema: dict[str, Any], value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        for key, holds, words in _BOUNDS:
            if key in schema and not holds(value, schema[key]):
                return f"Input should be {words} {schema[key]}"
    for kind, least, most, words in _LENGTHS:
        if isinstance(value, kind):
            if len(value) < schema.get(least, 0):
                return f"Input should have at least {schema[least]} {words}"
            if len(value) > schema.get(most, len(value)):
                return f"Input should have at most {schema[most]} {words}"
    return ""
