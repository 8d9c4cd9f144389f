"""Any decoded value as plain JSON data, for `-o json` and for showing.

Owns: how each type is rendered, and the bounds. One way only: what comes out cannot be read back as the value.
"""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

from kitaru.model.encoding import Opaque

MAX_DEPTH = 60
MAX_ITEMS = 100_000
MAX_REPR = 2_000
_MAX_INT_BITS = 4096  # Python refuses to print integers far beyond, and JSON readers give up long before


def to_plain(value: object, *, max_items: int = MAX_ITEMS, max_text: int = 16 * 1024 * 1024) -> Any:  # noqa: ANN401 - JSON data
    """Return a value as JSON-able data.

    Args:
        value: any value, such as the decoder returns.
        max_items: how many elements are rendered in all; what is left out is counted in a last `… N more`.
        max_text: how many characters of one string, or bytes of one bytes object, are rendered.
    """
    return _Renderer(max_items, max_text).render(value, 0)


class _Renderer:
    def __init__(self, items: int, text: int) -> None:
        self._left = items
        self._text = text

    def render(self, value: Any, depth: int) -> Any:  # noqa: ANN401 - any value to JSON data
        if isinstance(value, (str, int, float, bytes, bytearray, type(None))) and not isinstance(value, Enum):
            return self._scalar(value)
        if depth > MAX_DEPTH:
            return "…"
        if isinstance(value, Enum):
            return self.render(value.value, depth + 1)
        fields = value if isinstance(value, Mapping) else fields_of(value)
        if fields is not None:
            return self._mapping(fields, depth)
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._sequence(value, depth)
        return _text_of(value)

    def _scalar(self, value: Any) -> Any:  # noqa: ANN401 - as above
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return str(value) if len(value) <= self._text else f"{value[: self._text]}… {len(value) - self._text} more"
        if isinstance(value, int):
            return int(value) if value.bit_length() <= _MAX_INT_BITS else hex(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(float(value))
        shown = {"$bytes": base64.b64encode(value[: self._text]).decode("ascii")}
        return shown if len(value) <= self._text else {**shown, "size": len(value)}

    def _take(self, wanted: int) -> int:
        taken = max(0, min(wanted, self._left))
        self._left -= taken
        return taken

    def _sequence(self, value: Any, depth: int) -> list[Any]:  # noqa: ANN401 - as above
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else list(value)
        taken = self._take(len(items))
        found = [self.render(item, depth + 1) for item in items[:taken]]
        return found if taken == len(items) else [*found, f"… {len(items) - taken} more"]

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Any:  # noqa: ANN401 - as above
        taken = self._take(len(value))
        pairs = [(self._key(k), self.render(v, depth + 1)) for k, v in list(value.items())[:taken]]
        found = dict(pairs)
        if len(found) < len(pairs):  # 1 and "1" are two keys
            return [[repr(k), v] for k, (_, v) in zip(value, pairs, strict=False)]
        return found if taken == len(value) else {**found, "…": f"{len(value) - taken} more"}

    def _key(self, key: object) -> str:
        if isinstance(key, Enum):
            key = key.value
        return key if isinstance(key, str) else _text_of(key)


def fields_of(value: Any) -> dict[str, Any] | None:  # noqa: ANN401 - any value
    """Return the parts of a dataclass, model, named tuple or exception by name."""
    found: dict[str, Any] | None = None
    if isinstance(value, type):
        pass
    elif isinstance(value, Opaque):
        found = value.fields
    elif dataclasses.is_dataclass(value):
        found = {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
    elif hasattr(type(value), "model_fields") and hasattr(type(value), "model_dump"):
        names = [*type(value).model_fields, *(getattr(value, "__pydantic_extra__", None) or {})]
        found = {name: getattr(value, name, None) for name in names}
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        found = dict(zip(value._fields, value, strict=False))
    elif isinstance(value, BaseException):
        found = {"type": _class_name(value), "message": _text_of(value)}
    return found


def _class_name(error: BaseException) -> str:
    return getattr(error, "class_name", "") or f"{type(error).__module__}:{type(error).__qualname__}"


def _text_of(value: object) -> str:
    try:
        # What has a text of its own (a date, a path, a Decimal) is shown by it; object's is its repr.
        text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    except Exception as error:
        text = f"<{type(value).__qualname__}: {type(error).__name__} while showing it>"
    return text if len(text) <= MAX_REPR else f"{text[:MAX_REPR]}… {len(text) - MAX_REPR} more"
