"""Types of numpy, pandas and PIL, which Kitaru knows but never imports first.

Owns: which modules may be imported to read a value: a fixed list of ours, never the data's word. How each type is
taken apart is in `arrays`, `frames` and `images`, as plain values under a name.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from kitaru.errors import KitaruError
from kitaru.model.encoding import wire
from kitaru.model.encoding.basics import string
from kitaru.model.encoding.classes import Opaque
from kitaru.model.encoding.refusal import Refused, too_deep
from kitaru.model.encoding.session import enter, read, read_as
from kitaru.model.encoding.wire import MAX_DEPTH, Malformed

if TYPE_CHECKING:
    from kitaru.model.encoding.session import ReadFn, Session
    from kitaru.model.encoding.state import EncodeFn, State


class Extension(NamedTuple):
    """One type of a library, as a plain value.

    Attributes:
        name: under which it is stored; part of the format.
        take: returns the plain value; raises Refused for what it does not cover.
        make: rebuilds from the plain value; a ValueError or TypeError is damage.
        keeps_bytes: long bytes in the plain value are given to `make` as `Lent`. It has no value of a user's in it.
    """

    name: str
    take: Callable[[Any], object]
    make: Callable[[Any], object]
    keeps_bytes: bool = False


_MODULES = {"numpy": "arrays", "pandas": "frames", "PIL": "images"}
_EXTRAS = {"numpy": "numpy", "pandas": "pandas", "PIL": "images"}


def encoder(cls: type) -> EncodeFn | None:
    """Return the encoder of a library's exact type, or None if it has none."""
    module = _MODULES.get(cls.__module__.partition(".")[0])
    if module is None:
        return None
    own = import_module(f"kitaru.model.encoding.{module}")
    found = cast("Extension | None", own.extension_of(cls))
    return None if found is None else _encoder(found)


def _encoder(extension: Extension) -> EncodeFn:
    def encode(value: Any, state: State, depth: int) -> bytes:  # noqa: ANN401 - any type of the library
        if depth >= MAX_DEPTH:
            raise too_deep(value)
        payload = extension.take(value)
        try:
            item = state.table[type(payload)](payload, state, depth + 1)
        except Refused as refused:
            refused.steps[:] = [" (an element)"]  # steps through the plain value would lead nowhere
            raise
        return state.item(wire.EXTENSION + string(extension.name, state, depth) + item)

    return encode


def _find(name: str) -> Extension:
    library = name.partition(".")[0]
    if library not in _MODULES:
        raise Malformed(f"no extension is called {name[:40]!r}")
    try:
        own = import_module(f"kitaru.model.encoding.{_MODULES[library]}")
    except ImportError as error:
        raise KitaruError(
            f"a recorded value is a {name}, and {library} is not installed here",
            hint=f'pip install "kitaru[{_EXTRAS[library]}]"',
        ) from error
    found = cast("Extension | None", own.EXTENSIONS.get(name))
    if found is None:
        raise Malformed(f"no extension is called {name[:40]!r}")
    return found


def _read_extension(data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
    depth = enter(depth)
    name, pos = read_as(str, data, pos, session, depth)
    try:
        extension = _find(name)
    except KitaruError:
        if not session.opaque:
            raise
        payload, pos = read(data, pos, session, depth)
        return Opaque(name, {"value": payload}), pos
    payload, pos = _payload(extension, data, pos, session, depth)
    try:
        return extension.make(payload), pos
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, MemoryError) as error:
        raise Malformed(f"not a {name}: {error}") from error


def _payload(extension: Extension, data: bytes, pos: int, session: Session, depth: int) -> tuple[Any, int]:
    if not extension.keeps_bytes:
        return read(data, pos, session, depth)
    session.lends = True
    try:
        return read(data, pos, session, depth)
    finally:
        session.lends = False


TAG_READERS: dict[bytes, ReadFn] = {wire.EXTENSION: _read_extension}
