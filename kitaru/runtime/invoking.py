"""Inputs for recorded code, checked by the JSON schema that was recorded with it, before any of the code is imported.

Owns: what an invocation's inputs must be, and how what is wrong with them is told. What the code's own types make of
them is told when it is loaded. Knows nothing of stores; a schema is recorded data, and may be malformed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.errors import BadInput
from kitaru.runtime.answers import MAX_PROBLEMS, described, fitting

if TYPE_CHECKING:
    from collections.abc import Mapping


class EnvironmentNeeded(Exception):
    """A run is to go on in the environment that its version was recorded with, and this process is not in it.

    Attributes:
        version: the version's value.
    """

    def __init__(self, version: Mapping[str, Any]) -> None:
        super().__init__()
        self.version = version


def checked_inputs(
    name: str,
    schema: object,
    given: Mapping[str, Any],
    *,
    text: bool,
    documents: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return inputs that fit a recorded schema, as JSON data: a value of a parameter without a schema stays as it is.

    Args:
        name: how the version is called, for errors.
        schema: the JSON schema of the flow's parameters, as recorded.
        given: parameter name to value; these win over `documents`.
        text: the values were typed as `name=value`.
        documents: more inputs, read from JSON.

    Raises:
        BadInput: an input that is unknown, missing or wrong; its hint tells what the version takes.
    """
    parts = _Parts(schema)
    documents = {key: value for key, value in (documents or {}).items() if key not in given}
    _check_names(name, parts, [*documents, *given])
    found, wrong = {}, []
    for key, value in (*documents.items(), *given.items()):
        part = parts.schema_of(key)
        typed = text and key in given and isinstance(value, str)
        found[key], problems = fitting(part, value if typed else _json(value, part), text=typed, place=key)
        wrong += problems
    if wrong:
        more = [f"and {len(wrong) - MAX_PROBLEMS} more"] if len(wrong) > MAX_PROBLEMS else []
        told = "; ".join([*wrong[:MAX_PROBLEMS], *more])
        raise BadInput(f"wrong input for {name}: {told}", hint=parts.told())
    return found


def told_inputs(schema: object) -> str:
    """Return the inputs that a recorded schema speaks of, with their types, in a line."""
    return _Parts(schema).told()


class _Parts:
    """The parts of a recorded schema of inputs, which nobody vouches for."""

    def __init__(self, schema: object) -> None:
        known = schema if isinstance(schema, dict) else {}
        properties, required = known.get("properties"), known.get("required")
        self.properties: dict[str, Any] = properties if isinstance(properties, dict) else {}
        self.required = [key for key in required if isinstance(key, str)] if isinstance(required, list) else []
        self.takes_more = known.get("additionalProperties") is True
        self._root = known

    def schema_of(self, key: str) -> dict[str, Any]:
        part = self.properties.get(key)
        part = part if isinstance(part, dict) else {}
        definitions = self._root.get("$defs")
        return {**part, "$defs": definitions} if part and isinstance(definitions, dict) else part

    def told(self) -> str:
        """Return the inputs with their types, in a line."""
        if not self.properties:
            return "it takes no inputs"
        return f"its inputs are {', '.join(self._told(key, part) for key, part in self.properties.items())}"

    def _told(self, key: str, part: object) -> str:
        words = [described(self._root, part)] if isinstance(part, dict) and not _says_nothing(part) else []
        words += ["optional"] if key not in self.required else []
        return f"{key} ({', '.join(words)})" if words else key


def _check_names(name: str, parts: _Parts, given: list[str]) -> None:
    for key in given:
        if key not in parts.properties and not parts.takes_more:
            import difflib

            near = difflib.get_close_matches(key, parts.properties, 1)
            told = f"{name} has no input named {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            raise BadInput(told, hint=parts.told())
    missing = [key for key in parts.required if key not in given]
    if missing:
        raise BadInput(f"{name} has no value for {', '.join(missing)}", hint=parts.told())


def _json(value: object, part: Mapping[str, Any]) -> object:
    """Return a value as the JSON that a schema speaks of; as it is, where it is JSON, or has no such form."""
    if _says_nothing(part) or _is_json(value, 0):
        return value
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        return to_jsonable_python(value)
    except (PydanticSerializationError, ValueError):
        return value


def _says_nothing(part: Mapping[str, Any]) -> bool:
    return part.keys() <= {"title", "default", "description", "$defs"}


def _is_json(value: object, depth: int) -> bool:
    if value is None or type(value) in (bool, int, float, str):
        return True
    if depth > 100:
        return True
    if type(value) is list:
        return all(_is_json(item, depth + 1) for item in value)
    if type(value) is dict:
        return all(type(key) is str and _is_json(item, depth + 1) for key, item in value.items())
    return False
