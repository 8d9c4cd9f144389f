"""From values to objects: the encoder, and which exact types it takes.

Owns: dispatch. Types of Python itself are in `basics`; everything else is resolved once per class, by modules loaded
when such a class is first met.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Container
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from kitaru.errors import UnknownObject
from kitaru.model.encoding import basics, registry, session
from kitaru.model.encoding.classes import class_name, is_model, is_namedtuple
from kitaru.model.encoding.refusal import Refused
from kitaru.model.encoding.state import EncodeFn, State
from kitaru.model.encoding.wire import NONE, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.model.encoding.wire import Part

_STANDARD = frozenset({"datetime", "decimal", "uuid", "pathlib", "pathlib._local", "zoneinfo"})
_NONE_KNOWN: frozenset[str] = frozenset()


class Encoded(NamedTuple):
    """An encoded value.

    Attributes:
        id: hex SHA-256 of the root object's bytes.
        objects: id and bytes of every object not known before, children before parents, the root last. In place of
            the bytes of a large part of a text beyond 32 MiB stands a `Part`, which has a length, makes bytes by
            `bytes()`, and is written by the store as it lies in memory; with a sink, these are not among them.
    """

    id: str
    objects: list[tuple[str, bytes]]


class _Table(dict[type, EncodeFn]):
    """The encoder of each exact type; a type met for the first time is resolved, and a refusal is not remembered."""

    def __init__(self, name_of: Callable[[type], str]) -> None:
        super().__init__(basics.ENCODERS)
        self._name_of = name_of

    def __missing__(self, cls: type) -> EncodeFn:
        found = _resolve(cls, self._name_of)
        self[cls] = found
        return found


class Encoder:
    """Encodes values into content-addressed objects. Threads may share one; keep it, since it learns classes.

    Args:
        name_of: how a class is named in the data.
        fetch: returns the bytes of an object that is known, or raises UnknownObject: to see how often a value that
            repeats such objects repeats what is below them.
    """

    def __init__(
        self, *, name_of: Callable[[type], str] = class_name, fetch: Callable[[str], bytes] | None = None
    ) -> None:
        self._name_of, self._fetch = name_of, fetch
        self._table = _Table(name_of)
        self._generation = registry.generation()

    def encode(
        self,
        value: object,
        known: Container[str] = _NONE_KNOWN,
        *,
        path: str = "value",
        sink: Callable[[str, Part], None] | None = None,
    ) -> Encoded:
        """Encode a value.

        Args:
            value: what to encode.
            known: ids of objects that exist already and need not be returned; where an object exists, all that it
                refers to must exist.
            path: what the value is called in an error.
            sink: is given id and content of each large part of a text beyond 32 MiB that is not known, as soon as
                it is hashed, by several threads at once: so one part can be written while the next is hashed, and no
                more than a few are in memory beside the value. What it raises ends the encoding.

        Raises:
            Unencodable: a part of the value cannot be stored; the message says where it is and why.
        """
        item = basics.small(value)
        if item is not None:
            object_id = sha256(item).hexdigest()
            return Encoded(object_id, [] if object_id in known else [(object_id, item)])
        state = State(self._current(), known, keep=True, sink=sink)
        encoded = Encoded(_root(value, state, path), state.objects)
        if state.again > session.REPEAT_BUDGET // 2:
            self._check_repeats(value, encoded, path)
        return encoded

    def _check_repeats(self, value: object, encoded: Encoded, path: str) -> None:
        """Refuse a value that could not be read back."""
        from kitaru.model.encoding.expansion import repeated_bytes  # which few values ever want

        made = dict(encoded.objects)

        def fetch(object_id: str) -> bytes:
            if object_id in made:
                return bytes(made[object_id])
            try:
                return self._fetch(object_id) if self._fetch is not None else NONE
            except UnknownObject:  # it is on its way to the store, as large parts are, which hold no others
                return NONE

        if repeated_bytes(fetch(encoded.id), fetch) > session.REPEAT_BUDGET:
            why = f"it repeats its parts over and over: read back, more than {session.REPEAT_BUDGET >> 20} MiB of them"
            raise Refused(value, why).as_error(path)

    def digest(self, value: object, *, path: str = "value") -> str:
        """Return the id that `encode` would give, keeping no objects.

        Raises:
            Unencodable: as `encode`.
        """
        return _root(value, State(self._current(), _NONE_KNOWN, keep=False), path)

    def _current(self) -> _Table:
        generation = registry.generation()
        if self._generation != generation:
            self._table = _Table(self._name_of)
            self._generation = generation
        return self._table


def _root(value: object, state: State, path: str) -> str:
    try:
        item = state.table[type(value)](value, state, 0)
    except Refused as refused:
        raise refused.as_error(path) from refused.__cause__
    except RecursionError:
        why = "it is nested deeper than this thread's call stack has room for"
        raise Refused(value, why).as_error(path) from None
    if item[:1] == REFERENCE:
        return item[1:].hex()
    object_id = sha256(item).hexdigest()
    state.add(object_id, item)
    return object_id


def _resolve(cls: type, name_of: Callable[[type], str]) -> EncodeFn:
    serializer = registry.for_type(cls)
    if serializer is not None:
        return registry.encoder(serializer)
    found = _structure(cls, name_of) or _foreign(cls)
    if found is None:
        raise Refused(cls, _why_not(cls))
    return found


def _structure(cls: type, name_of: Callable[[type], str]) -> EncodeFn | None:
    if issubclass(cls, BaseException):
        from kitaru.model.encoding import exceptions

        return exceptions.encoder(cls, name_of)
    if is_model(cls):
        from kitaru.model.encoding import models

        return models.encoder(cls, name_of)
    if issubclass(cls, enum.Enum) or dataclasses.is_dataclass(cls) or is_namedtuple(cls):
        from kitaru.model.encoding import structures

        return structures.encoder(cls, name_of)
    return None


def _foreign(cls: type) -> EncodeFn | None:
    module = cls.__module__
    if module in _STANDARD:
        from kitaru.model.encoding import standard

        return standard.ENCODERS.get(cls)
    from kitaru.model.encoding import extensions

    return extensions.encoder(cls)


def _why_not(cls: type) -> str:
    bases = [base for base in cls.__mro__[1:] if base in basics.ENCODERS]
    if bases:
        return f"it is a subclass of {bases[0].__name__}, and would come back as another type"
    return ""
