"""What a compiled function says: what it computes, which names it reads, what it imports.

Owns: reading code objects and their instructions. Looks nothing up, and calls nothing.
"""

from __future__ import annotations

import dis
import hashlib
import inspect
import json
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_FILLING = frozenset({"EXTENDED_ARG", "CACHE", "NOP"})


_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})


def compiled_digest(fn: Callable[..., Any]) -> str:
    """Return a digest of what a function does as it was compiled here, 16 hex digits; its file may be another by now.

    Its name, comments and layout are no part of it, plain defaults are. Another Python release compiles to other code.
    """
    function = inspect.unwrap(fn)
    told = [code_json(code) for code in codes_in(function.__code__)]
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    told.append([_const(value) if type(value) in _PLAIN else type(value).__name__ for value in defaults])
    return hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).hexdigest()[:16]


def codes_in(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield a function's code and that of the functions inside it."""
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from codes_in(const)


def code_json(code: types.CodeType) -> list[Any]:
    """Return, as JSON, what of a code object decides what it does: not where it stands, nor what it is called."""
    return [
        code.co_code.hex(),
        code.co_exceptiontable.hex(),
        code.co_flags,
        [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount],
        [list(code.co_names), list(code.co_varnames), list(code.co_freevars), list(code.co_cellvars)],
        [_const(const) for const in code.co_consts],
    ]


def _const(const: object) -> Any:  # noqa: ANN401 - as JSON
    if isinstance(const, types.CodeType):
        return "code"
    if isinstance(const, tuple):
        return [_const(part) for part in const]
    if isinstance(const, frozenset):
        return {"set": sorted(json.dumps(_const(part)) for part in const)}
    return f"{type(const).__name__} {const!r}"


def global_names(codes: Iterable[types.CodeType]) -> set[tuple[str, ...]]:
    """Return the global names that code loads, with the attributes that it takes from them at once."""
    found = set()
    for code in codes:
        chain: tuple[str, ...] = ()
        for step in _steps(code):
            if step.opname in _ATTRIBUTES and chain:
                chain = (*chain, step.argval)
                continue
            if chain:
                found.add(chain)
            chain = (step.argval,) if step.opname in _LOADS else ()
        if chain:
            found.add(chain)
    return found


def _steps(code: types.CodeType) -> list[dis.Instruction]:
    return [step for step in dis.get_instructions(code) if step.opname not in _FILLING]


def import_statements(code: types.CodeType) -> Iterator[str]:
    """Yield the import statements in code, without the names that it gives to what it imports."""
    steps = _steps(code)
    for n, step in enumerate(steps):
        if step.opname == "IMPORT_NAME":
            level, names = steps[n - 2].argval, steps[n - 1].argval
            module = "." * (level or 0) + step.argval
            yield f"from {module} import {', '.join(names)}" if names else f"import {module}"
