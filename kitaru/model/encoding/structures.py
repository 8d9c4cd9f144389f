"""Enums, dataclasses and named tuples: taken apart by field, and put together again without running their code.

Owns: what of an instance is its state: fields, further slots, and further entries of `__dict__` (such as a
`cached_property`). An instance comes back by `object.__new__` and `object.__setattr__`; no `__init__`, no validator.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from kitaru.model.encoding import wire
from kitaru.model.encoding.basics import ABSENT, fields, string
from kitaru.model.encoding.classes import Opaque, changed, check_findable, find, is_namedtuple, missing
from kitaru.model.encoding.refusal import Refused, too_deep
from kitaru.model.encoding.session import enter, read, read_as
from kitaru.model.encoding.wire import MAX_DEPTH, Malformed, read_length

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.model.encoding.session import ReadFn, Session
    from kitaru.model.encoding.state import EncodeFn, State


class Plan(NamedTuple):
    """What of a class's instances is state."""

    names: tuple[str, ...]
    slots: tuple[str, ...]


_plans: WeakKeyDictionary[type, Plan] = WeakKeyDictionary()


def plan_of(cls: type, names: tuple[str, ...]) -> Plan:
    """Return which fields a class has, and which slots beside them."""
    plan = _plans.get(cls)
    if plan is None:
        plan = Plan(names, tuple(extra_slots(cls, names)))
        _plans[cls] = plan
    return plan


def name_items(cls: type, names: tuple[str, ...]) -> list[tuple[bytes, str]]:
    """Return the item of each field's name, and the name.

    Raises:
        Refused: a name is too long to stand beside its value.
    """
    encoded = [name.encode("utf-8", "surrogatepass") for name in names]
    items = [wire.head(wire.STR, len(text)) + text for text in encoded]
    if any(len(item) > wire.INLINE_MAX for item in items):
        raise Refused(cls, "the name of one of its fields is longer than 250 letters")
    return list(zip(items, names, strict=True))


def extra_slots(cls: type, names: tuple[str, ...]) -> list[str]:
    """Return the slots of a class and its bases that are not among `names`, as attribute names."""
    found = []
    for base in cls.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            mangled = f"_{base.__name__.lstrip('_')}{name}" if name.startswith("__") and name[-2:] != "__" else name
            if mangled not in names and name not in ("__dict__", "__weakref__"):
                found.append(mangled)
    return found


def read_slot(value: object, name: str) -> Any:  # noqa: ANN401 - any attribute
    """Return an attribute by way of `object`, so that no `__getattr__` of the class runs; ABSENT if not set."""
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        return ABSENT


def extras_of(value: object, plan: Plan) -> dict[str, Any] | None:
    """Return what an instance holds beside its fields, or None."""
    extras = {name: part for name in plan.slots if (part := read_slot(value, name)) is not ABSENT}
    own = read_slot(value, "__dict__")
    if own is not ABSENT and len(own) > 0:
        extras.update((name, part) for name, part in own.items() if name not in plan.names)
    return extras or None


def encode_extras(extras: dict[str, Any] | None, state: State, depth: int) -> bytes:
    """Return the item of what an instance holds beside its fields; a path into it reads as an attribute."""
    if extras is None:
        return wire.NONE
    try:
        return state.table[dict](extras, state, depth + 1)
    except Refused as refused:
        if refused.steps:
            refused.steps[-1] = "." + refused.steps[-1][2:-2]  # ["name"] of the dict is .name of the instance
        raise


def restore_extras(made: object, extras: dict[str, Any] | None, slots: tuple[str, ...]) -> None:
    """Give an instance back what it held beside its fields."""
    for name, part in (extras or {}).items():
        if name in slots:
            object.__setattr__(made, name, part)
        elif isinstance(own := read_slot(made, "__dict__"), dict):
            own[name] = part
        else:
            raise changed(f"{type(made).__module__}:{type(made).__qualname__}", f"it has no place for {name!r} now")


def encoder(cls: type, name_of: Callable[[type], str]) -> EncodeFn:
    """Return the encoder of an Enum, dataclass or NamedTuple class.

    Raises:
        Refused: the class cannot be found again by name, or holds state that cannot be seen.
    """
    check_findable(cls)
    if issubclass(cls, enum.Enum):
        return _enum_encoder(cls, name_of)
    if is_namedtuple(cls):
        return _namedtuple_encoder(cls, name_of)
    return _dataclass_encoder(cls, name_of)


def _enum_encoder(cls: type[enum.Enum], name_of: Callable[[type], str]) -> EncodeFn:
    class_name = name_of(cls)
    members = cls._member_map_

    def encode(value: enum.Enum, state: State, depth: int) -> bytes:
        if depth >= MAX_DEPTH:
            raise too_deep(value)
        name, inner = value._name_, value._value_
        named = name is not None and members.get(name) is value
        if not named and type(inner) is not int:
            raise Refused(value, "it is not a member of its class")
        try:
            shown = state.table[type(inner)](inner, state, depth + 1)
        except Refused:
            shown = wire.UNSET
        parts = string(class_name, state, depth) + (string(name, state, depth) if named else wire.NONE)
        return state.item(wire.ENUM + parts + shown)

    return encode


def _namedtuple_encoder(cls: Any, name_of: Callable[[type], str]) -> EncodeFn:  # noqa: ANN401 - typing has no name for it
    class_name = name_of(cls)
    plan = plan_of(cls, tuple(cls._fields))
    if plan.slots:
        raise Refused(cls, "a named tuple with slots of its own")
    paired = name_items(cls, plan.names)

    def encode(value: tuple[Any, ...], state: State, depth: int) -> bytes:
        if depth >= MAX_DEPTH:
            raise too_deep(value)
        if len(value) != len(plan.names):
            raise Refused(value, "it has not as many values as its class has fields")
        # tuple.__iter__: a subclass may iterate differently.
        pairs = [(item, name, part) for (item, name), part in zip(paired, tuple.__iter__(value), strict=True)]
        body = fields(pairs, state, depth)
        extras = encode_extras(extras_of(value, plan), state, depth)
        return state.item(wire.NAMEDTUPLE + string(class_name, state, depth) + body + extras)

    return encode


def _dataclass_encoder(cls: Any, name_of: Callable[[type], str]) -> EncodeFn:  # noqa: ANN401 - a dataclass
    try:
        object.__new__(cls)
    except TypeError:
        raise Refused(cls, "it is a dataclass that derives from a builtin with state of its own") from None
    class_name = name_of(cls)
    plan = plan_of(cls, tuple(field.name for field in dataclasses.fields(cls)))
    paired = name_items(cls, plan.names)

    def encode(value: object, state: State, depth: int) -> bytes:
        if depth >= MAX_DEPTH:
            raise too_deep(value)
        body = fields([(item, name, read_slot(value, name)) for item, name in paired], state, depth)
        extras = encode_extras(extras_of(value, plan), state, depth)
        return state.item(wire.DATACLASS + string(class_name, state, depth) + body + extras)

    return encode


def read_fields(data: bytes, pos: int, session: Session, depth: int) -> tuple[dict[str, Any], int]:
    """Read a count followed by names and values; a field that had no value is ABSENT."""
    count, pos = read_length(data, pos)
    found: dict[str, Any] = {}
    for _ in range(count):
        name, pos = read_as(str, data, pos, session, depth)
        if data[pos] == wire.UNSET[0]:
            found[name] = ABSENT
            pos += 1
        else:
            found[name], pos = read(data, pos, session, depth)
    if len(found) != count:
        raise Malformed("a field stands twice")
    return found, pos


def read_mapping(data: bytes, pos: int, session: Session, depth: int) -> tuple[dict[str, Any] | None, int]:
    """Read a dict of attributes, or None."""
    found, pos = read(data, pos, session, depth)
    if found is not None and (type(found) is not dict or any(type(name) is not str for name in found)):
        raise Malformed("something that is not a dict of attributes where one belongs")
    return found, pos


def opaque(name: str, *parts: dict[str, Any] | None) -> Opaque:
    """Return the stand-in for an instance whose class is missing."""
    return Opaque(name, {key: part for found in parts if found for key, part in found.items() if part is not ABSENT})


def _read_enum(data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
    depth = enter(depth)
    class_name, pos = read_as(str, data, pos, session, depth)
    name, pos = read(data, pos, session, depth)
    value: Any = ABSENT
    if data[pos] == wire.UNSET[0]:
        pos += 1
    else:
        value, pos = read(data, pos, session, depth)
    if type(name) not in (str, type(None)) or (name is None and type(value) is not int):
        raise Malformed("an enum member without a name")
    cls = find(class_name, session.class_of)
    if cls is None or not issubclass(cls, enum.Enum):
        if session.opaque:
            return opaque(class_name, {"name": name, "value": value}), pos
        raise missing(class_name)
    return _member(cls, class_name, name, value), pos


def _member(cls: type[enum.Enum], class_name: str, name: str | None, value: Any) -> enum.Enum:  # noqa: ANN401
    if name is not None:
        member = cls._member_map_.get(name)
        if member is None:
            raise changed(class_name, f"it has no member {name} now")
        return member
    known = cls._value2member_map_.get(value)
    if known is not None:
        return known
    if not issubclass(cls, enum.Flag):
        raise changed(class_name, f"it has no member of value {value!r} now")
    try:  # Flag's own, so that no `_missing_` of the class runs
        return vars(enum.Flag)["_missing_"].__func__(cls, value)  # type: ignore[no-any-return]  # of an untyped dict
    except ValueError as error:
        raise changed(class_name, f"{value} is no combination of its members now") from error


def _read_namedtuple(data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
    depth = enter(depth)
    class_name, pos = read_as(str, data, pos, session, depth)
    found, pos = read_fields(data, pos, session, depth)
    extras, pos = read_mapping(data, pos, session, depth)
    cls: Any = find(class_name, session.class_of)
    if cls is None or not is_namedtuple(cls):
        if session.opaque:
            return opaque(class_name, found, extras), pos
        raise missing(class_name)
    defaults = cls._field_defaults
    values = settle_fields(class_name, found, cls._fields, lambda name: defaults.get(name, ABSENT))
    made = tuple.__new__(cls, [values[name] for name in cls._fields])
    restore_extras(made, extras, ())
    return made, pos


def _read_dataclass(data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
    depth = enter(depth)
    class_name, pos = read_as(str, data, pos, session, depth)
    found, pos = read_fields(data, pos, session, depth)
    extras, pos = read_mapping(data, pos, session, depth)
    loaded = find(class_name, session.class_of)
    if loaded is None or not dataclasses.is_dataclass(loaded):
        if session.opaque:
            return opaque(class_name, found, extras), pos
        raise missing(class_name)
    cls: Any = loaded
    plan = plan_of(cls, tuple(field.name for field in dataclasses.fields(cls)))
    values = settle_fields(class_name, found, plan.names, lambda name: _dataclass_default(cls, name))
    made = _bare(cls, class_name)
    for name, value in values.items():
        if value is not ABSENT:
            object.__setattr__(made, name, value)
    restore_extras(made, extras, plan.slots)
    return made, pos


def _bare(cls: type, class_name: str) -> object:
    try:
        return object.__new__(cls)
    except TypeError as error:
        raise changed(class_name, str(error)) from error


def _dataclass_default(cls: Any, name: str) -> Any:  # noqa: ANN401 - a dataclass; any default
    pydantic_field = getattr(cls, "__pydantic_fields__", {}).get(name)
    if pydantic_field is not None:
        is_required = pydantic_field.is_required()
        return ABSENT if is_required else pydantic_field.get_default(call_default_factory=True)
    field = cls.__dataclass_fields__[name]
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return ABSENT if field.default is dataclasses.MISSING else field.default


def settle_fields(
    class_name: str, found: dict[str, Any], names: tuple[str, ...], default: Callable[[str], Any]
) -> dict[str, Any]:
    """Fit recorded fields to a class: a new field takes its default.

    Raises:
        SchemaChanged: a recorded field is gone, or a new one has no default.
    """
    gone = [name for name in found if name not in names]
    if gone:
        raise changed(class_name, f"it has no field {', '.join(gone)} now")
    settled = {}
    lacking = []
    for name in names:
        settled[name] = found[name] if name in found else default(name)
        if settled[name] is ABSENT and name not in found:
            lacking.append(name)
    if lacking:
        raise changed(class_name, f"its new field {', '.join(lacking)} has no default")
    return settled


TAG_READERS: dict[bytes, ReadFn] = {
    wire.ENUM: _read_enum,
    wire.DATACLASS: _read_dataclass,
    wire.NAMEDTUPLE: _read_namedtuple,
}
