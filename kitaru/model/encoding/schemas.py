"""Types as text and as data: the fingerprint of a model's fields, and the arguments of a generic model.

Owns: a description of annotations that is the same in every process: no addresses, no hash order, classes by their
own names. Knows no pydantic.
"""

from __future__ import annotations

import builtins
import datetime as dt
import types
import typing
from functools import reduce
from hashlib import sha256
from operator import or_
from typing import TYPE_CHECKING, Any

from kitaru.model.encoding.refusal import Refused
from kitaru.model.encoding.wire import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable

_LIMIT = 16
_PLAIN = (int, str, float, bool, bytes, type(None))
_BUILTIN_NAMES = (
    *("int", "str", "float", "bool", "bytes", "complex", "bytearray"),
    *("object", "list", "dict", "tuple", "set", "frozenset"),
)
_BUILTINS: dict[str, Any] = {f"builtins:{name}": getattr(builtins, name) for name in _BUILTIN_NAMES}
_KNOWN: dict[str, Any] = {
    **_BUILTINS,
    **{f"datetime:{name}": getattr(dt, name) for name in ("datetime", "date", "time", "timedelta")},
    "builtins:NoneType": type(None),
    "typing:Any": Any,
    "builtins:ellipsis": ...,
}
_KNOWN_NAMES = {id(value): name for name, value in _KNOWN.items()}


def type_text(annotation: Any, level: int = 0) -> str:  # noqa: ANN401 - any annotation
    """Return an annotation as text that is equal in every process."""
    if annotation is None or annotation is ... or isinstance(annotation, str):
        return repr(annotation)
    if level > _LIMIT:
        return "…"
    origin = typing.get_origin(annotation)
    if origin is not None:
        return _alias_text(origin, annotation, level)
    if isinstance(annotation, type):
        return annotation.__qualname__
    if isinstance(annotation, typing.ForwardRef):
        return repr(annotation.__forward_arg__)
    name = getattr(annotation, "__name__", None) or getattr(annotation, "_name", None)
    return name if type(name) is str else f"<{type(annotation).__qualname__}>"


def _alias_text(origin: Any, annotation: Any, level: int) -> str:  # noqa: ANN401
    args = typing.get_args(annotation)
    if origin is typing.Literal:
        return f"Literal[{', '.join(constant_text(arg) for arg in args)}]"
    if origin is typing.Annotated:
        inner = type_text(args[0], level + 1)
        return f"Annotated[{inner}, {', '.join(constant_text(arg) for arg in args[1:])}]"
    parts = [
        f"[{', '.join(type_text(part, level + 1) for part in arg)}]"
        if isinstance(arg, list)
        else type_text(arg, level + 1)
        for arg in args
    ]
    named = "Union" if origin in (typing.Union, types.UnionType) else type_text(origin, level + 1)
    return f"{named}[{', '.join(parts)}]"


def constant_text(value: object) -> str:
    """Return a constraint or literal as text: plain values by content, others by class and their plain attributes."""
    if type(value) in _PLAIN:
        return repr(value)
    attributes = getattr(value, "__dict__", None) or {
        name: getattr(value, name) for name in getattr(value, "__dataclass_fields__", ()) if hasattr(value, name)
    }
    plain = [f"{name}={part!r}" for name, part in sorted(attributes.items()) if type(part) in _PLAIN]
    return f"{type(value).__qualname__}({', '.join(plain)})"


def fingerprint(fields: dict[str, Any]) -> bytes:
    """Return eight bytes that change when the fields of a pydantic model do.

    Args:
        fields: name to FieldInfo.
    """
    lines = [
        f"{name}: {type_text(info.annotation)} {', '.join(constant_text(m) for m in info.metadata)}"
        for name, info in fields.items()
    ]
    return sha256("\n".join(lines).encode("utf-8", "surrogatepass")).digest()[:8]


def type_data(annotation: Any, name_of: Callable[[type], str]) -> object:  # noqa: ANN401 - any type argument
    """Return a type argument as a plain value: a name, or a tuple of an origin and its arguments.

    Raises:
        Refused: it cannot be found again from data.
    """
    known = _KNOWN_NAMES.get(id(annotation))
    if known is not None:
        return known
    if annotation is None:
        return "builtins:NoneType"
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):  # two kinds before Python 3.14, and pydantic tells them apart
        return ("Union" if origin is typing.Union else "|", *(type_data(arg, name_of) for arg in args))
    if origin is typing.Literal and all(type(arg) in _PLAIN for arg in args):
        return ("=", *args)
    if origin is not None and id(origin) in _KNOWN_NAMES:
        return (_KNOWN_NAMES[id(origin)], *(type_data(arg, name_of) for arg in args))
    generic = generic_data(annotation, name_of) if isinstance(annotation, type) else None
    if generic is None:
        raise Refused(type(annotation), f"the type argument {annotation!r:.80} cannot be found again from data")
    return generic


def generic_data(cls: Any, name_of: Callable[[type], str]) -> object:  # noqa: ANN401 - a class, perhaps of pydantic
    """Return how a class is named: its name, or for a parametrized pydantic model a tuple of origin and arguments."""
    from kitaru.model.encoding.classes import check_findable, is_structure

    metadata = getattr(cls, "__pydantic_generic_metadata__", None)
    if metadata and metadata["origin"] is not None:
        check_findable(metadata["origin"])
        return (name_of(metadata["origin"]), *(type_data(arg, name_of) for arg in metadata["args"]))
    if not is_structure(cls):
        return None
    check_findable(cls)
    return name_of(cls)


def type_from(data: object, find: Callable[[str], Any], level: int = 0) -> Any:  # noqa: ANN401 - any type argument
    """Return the type that `type_data` described, or None if a class of it is missing.

    Args:
        data: the description; untrusted.
        find: returns a loaded class that data may name, or None.
        level: of nesting.

    Raises:
        Malformed: not a description.
    """
    if level > _LIMIT:
        raise Malformed("a type is nested too deep")
    if type(data) is str:
        return _KNOWN[data] if data in _KNOWN else find(data)
    if type(data) is not tuple or len(data) < 2:
        raise Malformed("not a type")
    kind, *rest = data
    if kind == "=" and all(type(arg) in _PLAIN for arg in rest):
        return typing.Literal.__getitem__(tuple(rest))
    args = tuple(type_from(arg, find, level + 1) for arg in rest)
    if any(arg is None for arg in args):
        return None
    if kind == "Union":
        return typing.Union.__getitem__(args)
    if kind == "|":
        return reduce(or_, args)
    origin = type_from(kind, find, level + 1)
    return None if origin is None else _parametrized(origin, args)


def _parametrized(origin: Any, args: tuple[Any, ...]) -> Any:  # noqa: ANN401 - a type
    try:
        return origin[args if len(args) > 1 else args[0]]
    except (TypeError, AttributeError):
        return None


def shown_name(data: object) -> str:
    """Return a class's description as people read it: `module:Box[int]`."""
    if type(data) is str:
        return data
    if type(data) is not tuple or not data:
        return "?"
    if data[0] in ("Union", "|"):
        return " | ".join(shown_name(part).rpartition(":")[2] for part in data[1:])
    if data[0] == "=":
        return f"Literal[{', '.join(map(repr, data[1:]))}]"
    inner = [shown_name(part).rpartition(":")[2] if type(part) in (str, tuple) else repr(part) for part in data[1:]]
    return f"{shown_name(data[0])}[{', '.join(inner)}]"
