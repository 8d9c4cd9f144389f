"""Classes by name: how one is named in the data, how it is found again, and what stands in when it is not.

Owns: which classes data may name at all. Never imports anything, and never runs code to look a
class up.
"""

from __future__ import annotations

import dataclasses
import enum
import sys
from typing import TYPE_CHECKING, Any

from kitaru.errors import SchemaChanged
from kitaru.model.encoding.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Callable


def class_name(cls: type) -> str:
    """Return how a class is named in the data: `module:qualname`."""
    return f"{cls.__module__}:{cls.__qualname__}"


def loaded_class(name: str) -> type | None:
    """Return the class of that name from the modules loaded already, or None. Runs no code and imports nothing."""
    module_name, _, qualname = name.partition(":")
    found: Any = sys.modules.get(module_name)
    for part in qualname.split("."):
        try:
            found = vars(found).get(part)
        except TypeError:
            return None
    return found if isinstance(found, type) else None


def is_model(cls: type) -> bool:
    """Tell whether a class is a pydantic model, without importing pydantic."""
    pydantic = sys.modules.get("pydantic.main")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel)


def is_namedtuple(cls: type) -> bool:
    """Tell whether a class was made by `NamedTuple` or `namedtuple`, or derives from such a one."""
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple) and hasattr(cls, "_make")


def is_structure(cls: type) -> bool:
    """Tell whether data may name this class: a pydantic model, dataclass, Enum, NamedTuple or exception."""
    return (
        issubclass(cls, enum.Enum | BaseException)
        or dataclasses.is_dataclass(cls)
        or is_namedtuple(cls)
        or is_model(cls)
    )


def check_findable(cls: type) -> None:
    """Refuse a class whose values could be written but never read back, because its name does not lead to it.

    Raises:
        Refused: saying what to do.
    """
    if "<locals>" in cls.__qualname__:
        raise Refused(
            cls, "its class is defined inside a function, where it cannot be found again; move it to the module"
        )
    if loaded_class(class_name(cls)) is not cls:
        raise Refused(
            cls, f"{cls.__module__}.{cls.__qualname__} is not this class; bind it to its own name in its module"
        )


def find(name: str, class_of: Callable[[str], type | None]) -> type | None:
    """Return the class of that name if it is loaded and of a kind that data may name."""
    cls = class_of(name)
    return cls if cls is not None and is_structure(cls) else None


def missing(name: str) -> SchemaChanged:
    """Return the error for a value whose class is not there."""
    return SchemaChanged(
        f"a recorded value is a {name.replace(':', '.')}, which is not a class of the loaded code",
        hint="restore or rename the class, or import its module before resuming",
    )


def changed(name: str, what: str) -> SchemaChanged:
    """Return the error for a value whose class has changed in a way it does not fit."""
    return SchemaChanged(
        f"a recorded {name.replace(':', '.')} no longer fits its class: {what}",
        hint="give new fields a default, keep recorded ones, or replay from before this value was made",
    )


class Opaque:
    """A recorded value whose class is not here: its name and its fields, to look at.

    Args:
        class_name: `module:qualname`, or the name of a registered serializer.
        fields: what was recorded, by field name.
    """

    __slots__ = ("class_name", "fields")

    def __init__(self, class_name: str, fields: dict[str, Any]) -> None:
        self.class_name = class_name
        self.fields = fields

    def __eq__(self, other: object) -> bool:
        if type(other) is not Opaque:
            return NotImplemented
        return self.class_name == other.class_name and self.fields == other.fields

    def __hash__(self) -> int:
        return hash((self.class_name, *self.fields))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"<{self.class_name.rpartition(':')[2]} {inside}>" if inside else f"<{self.class_name}>"
