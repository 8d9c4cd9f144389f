"""Pydantic models: restored as they were, without validators; validated only when the model has changed since.

Owns: which state of a model is kept: fields, which of them were set, extra and private attributes, and further entries
of `__dict__`. Loaded when the first model is met; imports pydantic, which is loaded then, or never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from kitaru.errors import SchemaChanged
from kitaru.model.encoding import wire
from kitaru.model.encoding.basics import ABSENT, fields
from kitaru.model.encoding.classes import changed, check_findable, find, is_model, missing
from kitaru.model.encoding.refusal import too_deep
from kitaru.model.encoding.schemas import fingerprint, generic_data, shown_name, type_from
from kitaru.model.encoding.session import enter, read, read_as, take
from kitaru.model.encoding.structures import (
    encode_extras,
    name_items,
    opaque,
    plan_of,
    read_fields,
    read_mapping,
    read_slot,
)
from kitaru.model.encoding.wire import MAX_DEPTH, Malformed

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.model.encoding.session import ReadFn, Session
    from kitaru.model.encoding.state import EncodeFn, State

_KEPT_APART = frozenset({"__pydantic_extra__", "__pydantic_private__"})

_marks: WeakKeyDictionary[type, bytes] = WeakKeyDictionary()


def encoder(cls: Any, name_of: Callable[[type], str]) -> EncodeFn:  # noqa: ANN401 - a pydantic model class
    """Return the encoder of a model class.

    Raises:
        Refused: the class cannot be found again by name.
    """
    described = generic_data(cls, name_of)
    if type(described) is str:
        check_findable(cls)
    plan = plan_of(cls, tuple(cls.model_fields))
    paired = name_items(cls, plan.names)
    mark = fingerprint_of(cls)

    def encode(value: Any, state: State, depth: int) -> bytes:  # noqa: ANN401 - a model
        if depth >= MAX_DEPTH:
            raise too_deep(value)
        own = read_slot(value, "__dict__")
        named = state.table[type(described)](described, state, depth)
        body = fields([(item, name, own.get(name, ABSENT)) for item, name in paired], state, depth)
        was_set = tuple(sorted(value.__pydantic_fields_set__))
        parts = (
            state.table[tuple](was_set, state, depth + 1),
            encode_extras(value.__pydantic_extra__, state, depth),
            encode_extras(value.__pydantic_private__, state, depth),
            encode_extras(_further(own, plan.names), state, depth),
        )
        return state.item(wire.MODEL + named + mark + body + b"".join(parts))

    return encode


def _further(own: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any] | None:
    if len(own) <= len(names) and all(name in names for name in own):
        return None
    return {name: part for name, part in own.items() if name not in names and name not in _KEPT_APART} or None


class _Parts(NamedTuple):
    """A recorded model, read but not yet rebuilt."""

    found: dict[str, Any]
    was_set: set[str]
    extra: dict[str, Any] | None
    private: dict[str, Any] | None
    further: dict[str, Any] | None


def _read_model(data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
    depth = enter(depth)
    described, pos = read(data, pos, session, depth)
    mark, pos = take(data, pos, 8)
    parts, pos = _read_parts(data, pos, session, depth)
    name = shown_name(described)
    cls: Any = type_from(described, lambda wanted: find(wanted, session.class_of))
    try:
        if not isinstance(cls, type) or not is_model(cls):
            raise missing(name)
        return _rebuilt(cls, name, mark, parts), pos
    except SchemaChanged:
        if session.opaque:
            return opaque(name, parts.found, parts.extra, parts.private, parts.further), pos
        raise


def _read_parts(data: bytes, pos: int, session: Session, depth: int) -> tuple[_Parts, int]:
    found, pos = read_fields(data, pos, session, depth)
    was_set, pos = read_as(tuple, data, pos, session, depth)
    if any(type(name) is not str for name in was_set):
        raise Malformed("something that is not the name of a field where one belongs")
    extra, pos = read_mapping(data, pos, session, depth)
    private, pos = read_mapping(data, pos, session, depth)
    further, pos = read_mapping(data, pos, session, depth)
    return _Parts(found, set(was_set), extra, private, further), pos


def _rebuilt(cls: Any, name: str, mark: bytes, parts: _Parts) -> object:  # noqa: ANN401 - a pydantic model class
    if mark == fingerprint_of(cls) and parts.found.keys() == cls.model_fields.keys():
        return _restored(cls, parts)
    return _validated(cls, name, parts)


def fingerprint_of(cls: Any) -> bytes:  # noqa: ANN401 - a pydantic model class
    """Return the fingerprint of a model class's fields, as far as they are resolved."""
    found = _marks.get(cls)
    if found is None:
        if not cls.__pydantic_complete__:
            cls.model_rebuild(raise_errors=False)
        found = fingerprint(cls.model_fields)
        if cls.__pydantic_complete__:
            _marks[cls] = found
    return found


def _restored(cls: Any, parts: _Parts) -> object:  # noqa: ANN401 - a pydantic model class
    made = object.__new__(cls)
    held = {name: value for name, value in parts.found.items() if value is not ABSENT}
    object.__setattr__(made, "__dict__", {**held, **(parts.further or {})})
    object.__setattr__(made, "__pydantic_fields_set__", parts.was_set)
    for name, value in (("__pydantic_extra__", parts.extra), ("__pydantic_private__", parts.private)):
        # A RootModel has no slots for these: a class attribute says None, and the instance's dict what differs.
        if value is not None or not cls.__pydantic_root_model__:
            object.__setattr__(made, name, value)
    return made


def _validated(cls: Any, name: str, parts: _Parts) -> object:  # noqa: ANN401 - a pydantic model class
    """Build an instance of a model that changed since: by its own validation, then with what else was recorded."""
    held = {_key(cls, field): value for field, value in parts.found.items() if value is not ABSENT}
    try:
        made: Any = cls.model_validate(held["root"] if cls.__pydantic_root_model__ else {**(parts.extra or {}), **held})
    except Exception as error:
        raise changed(name, " ".join(str(error).split("\n")[1:3]) or str(error)) from error
    object.__setattr__(made, "__pydantic_fields_set__", parts.was_set & cls.model_fields.keys())
    own = made.__pydantic_private__
    if own is not None:
        own.update((key, part) for key, part in (parts.private or {}).items() if key in cls.__private_attributes__)
    return made


def _key(cls: Any, field: str) -> str:  # noqa: ANN401 - a pydantic model class
    """Return the key under which validation expects a field: its alias, unless names are taken too."""
    info = cls.model_fields.get(field)
    alias = None if info is None else info.validation_alias
    if alias is None or cls.model_config.get("populate_by_name") or cls.model_config.get("validate_by_name"):
        return field
    if isinstance(alias, str):
        return alias
    return next((choice for choice in getattr(alias, "choices", ()) if isinstance(choice, str)), field)


TAG_READERS: dict[bytes, ReadFn] = {wire.MODEL: _read_model}
