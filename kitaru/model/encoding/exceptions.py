"""Exceptions: recorded so that `except RateLimitError` works on resume, and rebuilt without running their code.

Owns: which state of an exception is kept: `args`, `__dict__` (with `__notes__`), slots, the members of its builtin
base, `__cause__`. What cannot be stored of it is kept as text rather than failing. Tracebacks and `__context__` are
not values.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kitaru.model.encoding import wire
from kitaru.model.encoding.basics import ABSENT, string, tuple_
from kitaru.model.encoding.classes import class_name as plain_name
from kitaru.model.encoding.classes import find
from kitaru.model.encoding.recorded import RecordedError
from kitaru.model.encoding.refusal import Refused, too_deep
from kitaru.model.encoding.session import enter, read, read_as
from kitaru.model.encoding.structures import extra_slots, read_mapping, read_slot, restore_extras
from kitaru.model.encoding.wire import MAX_DEPTH, Malformed

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.model.encoding.session import ReadFn, Session
    from kitaru.model.encoding.state import EncodeFn, State

_TEXT_LIMIT = 4000
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")

# State that builtin exceptions keep outside `args` and `__dict__`. AttributeError.obj is left out: a live object.
_MEMBERS: dict[type[BaseException], tuple[str, ...]] = {
    OSError: ("errno", "strerror", "filename", "filename2"),
    ImportError: ("msg", "name", "path"),
    AttributeError: ("name",),
    NameError: ("name",),
    SystemExit: ("code",),
    StopIteration: ("value",),
    SyntaxError: (
        *("msg", "filename", "lineno", "offset", "text", "end_lineno", "end_offset"),
        "print_file_and_line",
    ),
    UnicodeDecodeError: ("encoding", "object", "start", "end", "reason"),
    UnicodeEncodeError: ("encoding", "object", "start", "end", "reason"),
    UnicodeTranslateError: ("object", "start", "end", "reason"),
}


def _member_names(cls: type) -> tuple[type[BaseException], tuple[str, ...]] | None:
    for base in cls.__mro__:
        if base in _MEMBERS:
            return base, _MEMBERS[base]
    return None


def encoder(cls: type[BaseException], name_of: Callable[[type], str]) -> EncodeFn:
    """Return the encoder of an exception class, which need not be findable: its bases stand in for it."""
    class_name = name_of(cls)
    bases = tuple(name_of(base) for base in cls.__mro__[1:] if issubclass(base, BaseException))
    members = _member_names(cls)
    slots = tuple(extra_slots(cls, ()))

    def encode(value: BaseException, state: State, depth: int) -> bytes:
        if depth >= MAX_DEPTH or id(value) in state.active:
            raise too_deep(value)
        state.active.add(id(value))
        try:
            parts = (
                _or_text(_arguments(value), state, depth + 1),
                _attributes(_members(value, members), state, depth + 1),
                _attributes(_own_attributes(value, slots), state, depth + 1),
                _cause(value, state, depth + 1),
            )
        finally:
            state.active.discard(id(value))
        named = string(class_name, state, depth) + tuple_(bases, state, depth + 1)
        text = string(_safely(str, value), state, depth)
        suppressed = wire.TRUE if value.__suppress_context__ else wire.FALSE
        return state.item(wire.EXCEPTION + named + text + b"".join(parts) + suppressed)

    return encode


def _safely(show: Callable[[Any], str], value: object) -> str:
    """Return what `str` or `repr` says of a value, whatever its class does."""
    try:
        text = show(value)
    except Exception:
        return f"<{type(value).__qualname__}>"
    shown = str.__str__(text) if type(text) is str else str.__str__(str.__getitem__(text, slice(None)))
    return shown if show is str else _ADDRESS.sub("", shown[:_TEXT_LIMIT])


def _or_text(value: Any, state: State, depth: int) -> bytes:  # noqa: ANN401 - any value
    """Return the item of a value, or of its text where it cannot be stored; a tuple keeps what it can."""
    mark = len(state.objects)
    try:
        return state.table[type(value)](value, state, depth)
    except (Refused, RecursionError):
        state.drop_since(mark)
    if type(value) is not tuple:
        return string(_safely(repr, value), state, depth)
    return state.sequence(wire.TUPLE, [_or_text(part, state, depth + 1) for part in value])


def _attributes(found: dict[str, Any], state: State, depth: int) -> bytes:
    if not found:
        return wire.NONE
    pairs = [string(name, state, depth) + _or_text(part, state, depth + 1) for name, part in found.items()]
    return state.sequence(wire.DICT, pairs)


def _cause(value: BaseException, state: State, depth: int) -> bytes:
    mark = len(state.objects)
    cause = value.__cause__
    try:
        return state.table[type(cause)](cause, state, depth)
    except (Refused, RecursionError):
        state.drop_since(mark)
        return wire.NONE


def _arguments(value: BaseException) -> tuple[Any, ...]:
    args = value.args
    if isinstance(value, BaseExceptionGroup):  # its members are kept apart; of the second argument only the kind
        return (value.message, () if len(args) > 1 and type(args[1]) is tuple else [])
    return args


def _members(value: BaseException, members: tuple[type[BaseException], tuple[str, ...]] | None) -> dict[str, Any]:
    if isinstance(value, BaseExceptionGroup):
        return {"exceptions": value.exceptions}
    if members is None:
        return {}
    base, names = members
    found = {name: _get(base, name, value) for name in names}
    return {name: part for name, part in found.items() if part is not None and part is not ABSENT}


def _get(base: type, name: str, value: object) -> Any:  # noqa: ANN401 - any attribute
    try:
        return vars(base)[name].__get__(value)
    except (AttributeError, TypeError):
        return ABSENT


def _own_attributes(value: BaseException, slots: tuple[str, ...]) -> dict[str, Any]:
    found = {name: part for name in slots if (part := read_slot(value, name)) is not ABSENT}
    found.update((name, part) for name, part in value.__dict__.items() if type(name) is str)
    return found


def _read_exception(data: bytes, pos: int, session: Session, depth: int) -> tuple[BaseException, int]:
    depth = enter(depth)
    name, pos = read_as(str, data, pos, session, depth)
    bases, pos = read_as(tuple, data, pos, session, depth)
    text, pos = read_as(str, data, pos, session, depth)
    args, pos = read_as(tuple, data, pos, session, depth)
    members, pos = read_mapping(data, pos, session, depth)
    attributes, pos = read_mapping(data, pos, session, depth)
    cause, pos = read(data, pos, session, depth)
    suppressed, pos = read_as(bool, data, pos, session, depth)
    if not (cause is None or isinstance(cause, BaseException)) or any(type(base) is not str for base in bases):
        raise Malformed("something that is not an exception where one belongs")
    made = _rebuild((name, *bases), text, args, members or {}, session)
    if made is None:
        made = RecordedError(text, class_name=name, original_args=args)
    restore_extras(made, attributes, tuple(extra_slots(type(made), ())) if attributes else ())
    _set(made, "__cause__", cause)
    _set(made, "__suppress_context__", suppressed)
    return made, pos


def _set(made: BaseException, name: str, value: object) -> None:
    """Set one of BaseException's own attributes, past any `__setattr__` or property of the class."""
    vars(BaseException)[name].__set__(made, value)


_TOO_GENERAL = frozenset(map(plain_name, (BaseException, Exception)))


def _rebuild(
    names: tuple[str, ...], text: str, args: tuple[Any, ...], members: dict[str, Any], session: Session
) -> BaseException | None:
    """Return an instance of the nearest recorded class that is loaded and can be made without its own code."""
    for name in names:
        if name != names[0] and (name in _TOO_GENERAL or session.opaque):
            break
        cls = find(name, session.class_of)
        if cls is not None and issubclass(cls, BaseException):
            exact = name == names[0]
            made = _made(cls, args if args or exact else (text,), members)
            if made is not None:
                return made
    return None


def _made(cls: type[BaseException], args: tuple[Any, ...], members: dict[str, Any]) -> BaseException | None:
    builtin: Any = next(base for base in cls.__mro__ if base.__module__ == "builtins")
    try:
        if issubclass(cls, BaseExceptionGroup):
            return _made_group(builtin, cls, args, members)
        if issubclass(cls, UnicodeError) and builtin is not UnicodeError:
            return _made_unicode(builtin, cls, args, members)
        made: BaseException = builtin.__new__(cls)
        _set(made, "args", args)
        found = _member_names(cls)
        for name in found[1] if found else ():
            if name in members:
                vars(found[0])[name].__set__(made, members[name])  # type: ignore[index]  # found is not None here
    except (TypeError, ValueError, AttributeError):
        return None
    return made


def _made_group(
    builtin: Any,  # noqa: ANN401 - a builtin exception class
    cls: type,
    args: tuple[Any, ...],
    members: dict[str, Any],
) -> BaseException | None:
    exceptions = members.get("exceptions")
    if type(exceptions) is not tuple or len(args) != 2 or type(args[1]) not in (list, tuple):
        return None
    return builtin.__new__(cls, args[0], type(args[1])(exceptions))  # type: ignore[no-any-return]  # of Any


def _made_unicode(
    builtin: Any,  # noqa: ANN401 - a builtin exception class
    cls: type,
    args: tuple[Any, ...],
    members: dict[str, Any],
) -> BaseException | None:
    """Rebuild a Unicode error by the builtin's `__init__`, which checks types; one that lies reads wild memory."""
    values = [members.get(name) for name in _MEMBERS[builtin]]
    subject, start, end = values[-4:-1]
    if not isinstance(subject, str | bytes) or type(start) is not int or type(end) is not int:
        return None
    if not 0 <= start <= end <= len(subject):
        return None
    made: BaseException = builtin.__new__(cls)
    builtin.__init__(made, *values)
    _set(made, "args", args)
    return made


TAG_READERS: dict[bytes, ReadFn] = {wire.EXCEPTION: _read_exception}
