"""Values as people and JSON programs see them: never exact, always showable.

Owns: the plain JSON form of any value of a store, and its bounded text. The exact form is the store's own, which
`kitaru cat-object --raw` prints. Runs no method of a user's class.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import sys
from enum import Enum
from typing import Any

from kitaru.cli.text import one_line
from kitaru.model.encoding import Opaque, RecordedError

MAX_LINES = 40
"""Lines of one value on a page about something larger."""


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON form of a value.

    Tuples and sets become lists, dataclasses and models become objects of their fields, bytes base64, times ISO 8601,
    enum members their value, numbers that JSON lacks their name, and what has no better form its `repr`.
    """
    if value is None or isinstance(value, (bool, str)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    return _container(value)


def brief(value: object) -> str:
    """Return a value on one line, bounded: a text as it is, anything else as JSON."""
    return one_line(value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False))


def _container(value: Any) -> Any:  # noqa: ANN401 - any value to JSON
    if isinstance(value, dict):
        return _mapping(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: plain(item) for name, item in zip(value._fields, value, strict=True)}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return [plain(item) for item in sorted(value, key=repr)]
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    return _leaf(value)


def _leaf(value: Any) -> Any:  # noqa: ANN401 - any value to JSON
    if isinstance(value, Opaque):
        return _mapping(value.fields)
    if _is_model(value):
        extra = getattr(value, "__pydantic_extra__", None) or {}
        return _mapping({**value.__dict__, **extra})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name, None)) for f in dataclasses.fields(value)}
    return _text_leaf(value)


def _text_leaf(value: Any) -> Any:  # noqa: ANN401 - any value to JSON
    if isinstance(value, RecordedError):
        return {"type": value.class_name.rpartition(":")[2], "args": plain(value.original_args)}
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, BaseException):
        return {"type": type(value).__qualname__, "args": plain(value.args)}
    if type(value).__module__ in ("decimal", "uuid", "pathlib", "datetime"):
        return str(value)
    return repr(value)


def _is_model(value: object) -> bool:
    pydantic = sys.modules.get("pydantic")  # a model cannot be here without it, and importing it costs 0.1 s
    return pydantic is not None and isinstance(value, pydantic.BaseModel)


def _mapping(value: dict[Any, Any]) -> Any:  # noqa: ANN401 - JSON
    names = [key if isinstance(key, str) else str(plain(key)) for key in value]
    if len(set(names)) < len(names):
        return [[plain(key), plain(item)] for key, item in value.items()]
    return {name: plain(item) for name, item in zip(names, value.values(), strict=True)}


def pretty(value: object, max_lines: int | None = None) -> str:
    """Return a value as text: a string as it is, anything else as indented JSON.

    Args:
        value: anything.
        max_lines: cut after so many lines, saying how many were left out.
    """
    text = value if isinstance(value, str) else json.dumps(plain(value), indent=2, ensure_ascii=False)
    if max_lines is None:
        return text
    lines = [line if len(line) <= 2000 else f"{line[:2000]}…" for line in text.split("\n")]
    if len(lines) > max_lines:
        lines[max_lines:] = [f"… {len(lines) - max_lines} more lines"]
    return "\n".join(lines)
