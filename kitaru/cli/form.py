"""An answer that is an object, asked for field by field.

Owns: the order of the fields and what is said of each. Whether a value fits, `kitaru.runtime.answers` says.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kitaru.errors import InvalidAnswer
from kitaru.runtime.answers import described, resolve, validate_answer_json
from kitaru.runtime.examples import choices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_DEPTH = 4
YES_NO = {"y": "true", "yes": "true", "true": "true", "n": "false", "no": "false", "false": "false"}
_NOTHING = object()


def understand(typed: str, schema: Mapping[str, Any]) -> str | None:
    """Return the answer that was meant, or None where it cannot be told."""
    listed = numbered(schema)
    if listed:
        if typed in listed:
            return typed
        return listed[int(typed) - 1] if typed.isdecimal() and 1 <= int(typed) <= len(listed) else None
    if resolve(schema).get("type") == "boolean":
        return YES_NO.get(typed.lower())
    return typed


def not_understood(schema: Mapping[str, Any]) -> str:
    """Return what is said where `understand` cannot tell."""
    many = len(numbered(schema))
    return f"answer 1 to {many}, or in full" if many else "answer y or n"


def numbered(schema: Mapping[str, Any]) -> list[str]:
    """Return the choices that are offered by number: true and false are asked for as y and n."""
    found = choices(schema)
    return [] if found == ["true", "false"] else found


def misfit(typed: str, schema: Mapping[str, Any]) -> str:
    """Return why an answer does not fit, and what would; empty where it does."""
    try:
        validate_answer_json(dict(schema), typed, text=True)
    except InvalidAnswer as error:
        return f"{error.message}\n{error.hint}"
    return ""


def has_fields(schema: Mapping[str, Any]) -> bool:
    """Tell whether an answer is an object with fields that are known."""
    found = resolve(schema)
    return found.get("type") == "object" and isinstance(found.get("properties"), dict) and bool(found["properties"])


class Form:
    """Asks for the fields of one answer.

    Args:
        schema: of the whole answer.
        read: returns what is typed behind a prompt.
        say: tells the person something.
    """

    def __init__(self, schema: Mapping[str, Any], read: Callable[[str], str], say: Callable[[str], object]) -> None:
        self._root, self._read, self._say = schema, read, say

    def fill(self) -> str:
        """Return the answer, as JSON; one that is typed whole where the first field is asked for is taken."""
        try:
            return json.dumps(self._object(self._root, "", 0), ensure_ascii=False)
        except _Whole as whole:
            return whole.text

    def _object(self, schema: Any, place: str, depth: int) -> dict[str, Any]:  # noqa: ANN401 - recorded JSON
        resolved, found = resolve(self._root, schema), {}
        for name, part in resolved["properties"].items():
            required = name in resolved.get("required", [])
            if required and depth < MAX_DEPTH and has_fields({**resolve(self._root, part), "$defs": self._defs}):
                found[name] = self._object(part, f"{place}{name}.", depth + 1)
            elif (value := self._field(f"{place}{name}", part, required)) is not _NOTHING:
                found[name] = value
        return found

    @property
    def _defs(self) -> Any:  # noqa: ANN401 - recorded JSON
        return self._root.get("$defs", {})

    def _field(self, label: str, part: Any, required: bool) -> Any:  # noqa: ANN401 - JSON of the field
        schema = {**resolve(self._root, part), "$defs": self._defs}
        prompt = f"  {label} ({described(self._root, part)}{_default(part, required)}): "
        while True:
            typed = self._read(prompt)
            if not typed and not required:
                return _NOTHING
            whole = misfit(typed, self._root) if typed.startswith("{") else ""
            if typed.startswith("{") and not whole:
                raise _Whole(typed)
            text = understand(typed, schema)
            if not typed:
                self._say("it must have a value; Ctrl-C leaves the question waiting")
            elif text is None:
                self._say(not_understood(schema))
            elif wrong := misfit(text, schema):
                self._say(whole or wrong)
            else:
                return validate_answer_json(schema, text, text=True)


def _default(part: Any, required: bool) -> str:  # noqa: ANN401 - recorded JSON
    if required:
        return ""
    if isinstance(part, dict) and "default" in part:
        return f"; empty for {json.dumps(part['default'], ensure_ascii=False)}"
    return "; may be empty"


class _Whole(Exception):
    """The whole answer was typed at once."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
