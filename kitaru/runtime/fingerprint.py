"""What a function computes with, as one digest: its code and the project's code and constants that it reaches.

Owns: which functions, classes and values a function reaches by the names in its code, and what of each counts. It
looks at what is loaded, never at source that may have been edited since, and calls nothing of it. Knows nothing of
stores, runs or caches.

Counted are: the code that Python executes (so neither comments nor layout), defaults, constants and docstrings of a
function; whatever of the project its names lead to, transitively: functions, classes with their methods and fields,
attributes of modules, plain data; the classes of the project in its annotations; the methods of its own class that it
names. A module that is used as a whole, or imported inside a function, counts with all its source and with that of
what it imports. A library counts by name only. Not seen is what no name in the code leads to: `getattr` with a computed
name, the class of an argument that no annotation tells, the inside of an object that is no plain data, and data changed
in place after the first look.

The digest depends on the Python release too, for the code that it compiles to does.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable
from enum import Enum, EnumMeta
from typing import TYPE_CHECKING, Any

from kitaru.errors import CodeUnloadable, Unencodable
from kitaru.runtime.compiled import code_json, codes_in, global_names, import_statements
from kitaru.runtime.decorators import Checkpoint, Flow
from kitaru.runtime.sources import imported_sources, is_library, project_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_MAX_DEPTH = 30
_MEMO = "_kitaru_fingerprint"

_Watched = list[tuple["Mapping[str, Any]", str, object]]


def fingerprint_of(fn: Callable[..., Any], root: Path, digest: Callable[[object], str]) -> str:
    """Return the fingerprint of a function or checkpoint, 64 hex digits.

    It is worked out once and kept with the function, until one of the names that it goes by leads elsewhere.

    Args:
        fn: a function or a checkpoint.
        root: the project's directory.
        digest: returns the id of a value that can be stored; raises `Unencodable` for others.
    """
    kept = vars(fn).get(_MEMO)  # with the object, not in a table: what it watches may lead back to the object
    if kept is not None and kept[0] == root and all(names.get(name) is value for names, name, value in kept[2]):
        return str(kept[1])
    walk = _Walk(root, digest)
    found = walk.fingerprint(fn)
    vars(fn)[_MEMO] = (root, found, walk.watched)
    return found


class _Walk:
    """One look at everything that a function reaches."""

    def __init__(self, root: Path, digest: Callable[[object], str]) -> None:
        self._root, self._digest = root, digest
        self._numbers: dict[int, int] = {}
        self._queue: list[Any] = []
        self.watched: _Watched = []

    def fingerprint(self, fn: Any) -> str:  # noqa: ANN401 - a function, or what decorates one
        """Return the digest of all that `fn` reaches."""
        if isinstance(fn, (Checkpoint, Flow)):
            self.watched.append((vars(fn), "fn", fn.fn))
            fn = fn.fn
        bare = self._unwrapped(fn)
        self._number(bare)
        parts: list[Any] = []
        while len(parts) < len(self._queue):
            item = self._queue[len(parts)]
            parts.append(self._class(item) if isinstance(item, type) else self._function(item))
        told = [sys.implementation.cache_tag, self._item(bare), parts]
        return hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).hexdigest()

    # -- anything ------------------------------------------------------------------------------------------------

    def _item(self, item: Any, depth: int = 0) -> Any:  # noqa: ANN401 - whatever a name leads to, as JSON
        """Return what counts of an object: code by its number, data by its content, anything else by its type."""
        inner = _parts(item)
        if depth > _MAX_DEPTH:
            return ["deep"]
        if inner is not None:
            return [type(item).__name__, *[self._item(part, depth + 1) for part in inner]]
        if isinstance(item, types.FunctionType):
            item = self._unwrapped(item)
        if isinstance(item, (types.FunctionType, type)):
            return self._number(item) if id(item) in self._numbers or self._is_own(item) else _library(item)
        if isinstance(item, types.ModuleType):
            return self._module(item)
        return self._data(item, depth)

    def _data(self, item: Any, depth: int) -> Any:  # noqa: ANN401 - as above
        own = [self._item(type(item), depth + 1)] if self._is_own(type(item)) else []
        try:
            return [self._digest(item), *own]
        except Unencodable:
            pass
        if isinstance(item, dict):
            return [[self._item(key, depth + 1), self._item(value, depth + 1)] for key, value in item.items()]
        if isinstance(item, (list, tuple)):
            return [type(item).__name__, *[self._item(part, depth + 1) for part in item]]
        if isinstance(item, (set, frozenset)):
            return [type(item).__name__, *sorted(json.dumps(self._item(part, depth + 1)) for part in item)]
        return own or _library(type(item))

    def _unwrapped(self, fn: Any) -> Any:  # noqa: ANN401 - a function, mostly
        """Return the project's function behind the wrappers that a library put around it."""
        while "__wrapped__" in vars(fn) and not (isinstance(fn, types.FunctionType) and self._is_own(fn)):
            fn = fn.__wrapped__
        return fn

    def _number(self, item: types.FunctionType | type) -> list[int]:
        number = self._numbers.setdefault(id(item), len(self._queue))
        if number == len(self._queue):
            self._queue.append(item)
        return [number]

    def _is_own(self, item: types.FunctionType | type) -> bool:
        """Tell whether a function or class is the user's: of the project, of files beside it, or typed at a prompt."""
        if isinstance(item, type):
            module = sys.modules.get(item.__module__)
            return module is not None and self._is_project(module)
        file = item.__code__.co_filename
        if file.startswith("<"):
            return not file.startswith("<frozen")
        return not is_library(file, self._root)

    def _is_project(self, module: types.ModuleType) -> bool:
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            return not is_library(file, self._root)
        return module.__name__ == "__main__"

    def _module(self, module: types.ModuleType) -> Any:  # noqa: ANN401 - as JSON
        """Return a module that is used as a whole: by its source and all that it imports."""
        file = getattr(module, "__file__", None)
        own = project_source(file, self._root) if isinstance(file, str) else None
        return self._sources(f"import {module.__name__}", own) if own else ["module", module.__name__]

    def _sources(self, statement: str, file: str) -> Any:  # noqa: ANN401 - as JSON
        try:
            found = imported_sources(statement.encode("utf-8", "surrogatepass"), file, self._root)
        except CodeUnloadable:
            return ["unreadable", statement]
        return [[path, hashlib.sha256(data).hexdigest()] for path, data in found.items()]

    # -- a function ----------------------------------------------------------------------------------------------

    def _function(self, fn: types.FunctionType) -> Any:  # noqa: ANN401 - as JSON
        codes = list(codes_in(fn.__code__))
        wrapped = fn.__dict__.get("__wrapped__")
        return [
            [code_json(code) for code in codes],
            self._item(fn.__defaults__),
            self._item(fn.__kwdefaults__),
            [[name, self._annotation(told, fn.__globals__)] for name, told in fn.__annotations__.items()],
            [[".".join(chain), self._reached(chain, fn.__globals__)] for chain in sorted(global_names(codes))],
            [[name, self._cell(cell)] for name, cell in _cells(fn) if name != "__class__"],
            [[name, self._item(value)] for name, value in self._of_owner(fn, codes)],
            self._imports(fn, codes),
            None if wrapped is None else self._item(wrapped),
        ]

    def _reached(self, chain: tuple[str, ...], names: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as JSON
        """Return what a dotted name leads to: through modules of the project, as far as they go."""
        found = self._look(names, chain[0])
        for attribute in chain[1:]:
            if not isinstance(found, types.ModuleType) or not self._is_project(found):
                break
            found = self._look(vars(found), attribute)
        return ["missing"] if found is _MISSING else self._item(found)

    def _look(self, names: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - whatever is there
        found = names.get(name, _MISSING)
        if found is _MISSING:
            builtins = names.get("__builtins__", {})
            return (builtins if isinstance(builtins, dict) else vars(builtins)).get(name, _MISSING)
        self.watched.append((names, name, found))
        return found

    def _cell(self, cell: types.CellType) -> Any:  # noqa: ANN401 - as JSON
        try:
            return self._item(cell.cell_contents)
        except ValueError:
            return ["empty"]

    def _annotation(self, told: object, names: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as JSON
        """Return an annotation, with the classes of the project that it names."""
        if isinstance(told, str):
            chains = [tuple(found.split(".")) for found in _NAME.findall(told)]
            return [told, [self._reached(chain, names) for chain in chains if self._leads_to_class(chain, names)]]
        if isinstance(told, type) and not isinstance(told, types.GenericAlias):
            return self._item(told)
        parts = typing.get_args(told)
        if not parts:
            return _ADDRESS.sub("", repr(told))
        return [str(typing.get_origin(told)), *[self._annotation(part, names) for part in parts]]

    def _leads_to_class(self, chain: tuple[str, ...], names: Mapping[str, Any]) -> bool:
        found = names.get(chain[0])
        for attribute in chain[1:]:
            found = vars(found).get(attribute) if isinstance(found, types.ModuleType) else None
        return isinstance(found, type) and self._is_own(found)

    def _of_owner(self, fn: types.FunctionType, codes: list[types.CodeType]) -> Iterator[tuple[str, Any]]:
        """Yield what a method names of its own class: `self.helper()`, `cls.LIMIT`, `super().run()`."""
        owner = _owner(fn)
        if owner is None:
            return
        for name in sorted({name for code in codes for name in code.co_names}):
            for cls in owner.__mro__:
                if name in vars(cls) and self._is_own(cls):
                    self.watched.append((vars(cls), name, vars(cls)[name]))
                    yield f"{cls.__qualname__}.{name}", vars(cls)[name]

    def _imports(self, fn: types.FunctionType, codes: list[types.CodeType]) -> Any:  # noqa: ANN401 - as JSON
        """Return what a function imports itself: it may not be loaded yet, and is not imported for this."""
        file = project_source(fn.__code__.co_filename, self._root) or "-.py"
        return [[statement, self._sources(statement, file)] for code in codes for statement in import_statements(code)]

    # -- a class -------------------------------------------------------------------------------------------------

    def _class(self, cls: type) -> Any:  # noqa: ANN401 - as JSON
        names = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
        members: Any = vars(cls)
        if isinstance(cls, EnumMeta):
            members = {k: v for k, v in members.items() if not isinstance(v, Enum) and not _is_sunder(k)}
            members |= {f"{name}=": cls.__members__[name].value for name in cls.__members__}
        return [
            [self._item(base) for base in cls.__bases__],
            self._item(type(cls)),
            [[name, self._annotation(told, names)] for name, told in inspect.get_annotations(cls).items()],
            [[name, self._item(members[name])] for name in sorted(members) if _counts(name, members[name])],
            [[name, self._field(field)] for name, field in _fields(cls)],
        ]

    def _field(self, field: Any) -> Any:  # noqa: ANN401 - of a dataclass or of pydantic, as JSON
        factory = getattr(field, "default_factory", None)
        default = getattr(field, "default", None)
        told = _ADDRESS.sub("", repr(getattr(field, "metadata", None)))
        return [self._item(default), self._item(factory), told, str(getattr(field, "description", None))]


_MISSING = object()


_PARTS: tuple[tuple[type, Callable[[Any], Iterable[Any]]], ...] = (
    (Checkpoint, lambda item: (item.fn,)),
    (Flow, lambda item: (item.fn,)),
    (functools.partial, lambda item: (item.func, item.args, item.keywords)),
    (functools.cached_property, lambda item: (item.func,)),
    (functools._lru_cache_wrapper, lambda item: (item.__wrapped__,)),
    (types.MethodType, lambda item: (item.__func__, item.__self__)),
    (staticmethod, lambda item: (item.__func__,)),
    (classmethod, lambda item: (item.__func__,)),
    (property, lambda item: (item.fget, item.fset, item.fdel)),
    (re.Pattern, lambda item: (item.pattern, item.flags)),
)


def _parts(item: object) -> Iterable[Any] | None:
    """Return what an object consists of that stands for a function, or data that no value can be; None for others."""
    return next((parts(item) for kind, parts in _PARTS if isinstance(item, kind)), None)


def _library(item: Any) -> list[str]:  # noqa: ANN401 - a function or class
    return [f"{item.__module__}:{item.__qualname__}"]


def _cells(fn: types.FunctionType) -> Iterator[tuple[str, types.CellType]]:
    return zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True)


def _owner(fn: types.FunctionType) -> type | None:
    """Return the class that a function was defined in, if a name leads to it."""
    *path, _ = fn.__qualname__.split(".")
    owner: Any = fn.__globals__.get(path[0]) if path else None
    for part in path[1:]:
        owner = vars(owner).get(part) if isinstance(owner, type) else None
    return owner if isinstance(owner, type) else None


def _is_sunder(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _counts(name: str, value: object) -> bool:
    """Tell whether an attribute of a class is what somebody wrote, and not what Python or a library added."""
    if not (name.startswith("__") and name.endswith("__")):
        return name != "_abc_impl"
    if name == "__doc__":
        return isinstance(value, str)
    return isinstance(value, (types.FunctionType, staticmethod, classmethod, property)) and name != "__class_getitem__"


def _fields(cls: type) -> list[tuple[str, Any]]:
    if dataclasses.is_dataclass(cls):
        return [(field.name, field) for field in dataclasses.fields(cls)]
    found = vars(cls).get("__pydantic_fields__")
    return list(found.items()) if isinstance(found, dict) else []
