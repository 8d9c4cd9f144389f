"""What a source file imports, found by parsing it.

Owns: reading import statements, and calls of `import_module` and `__import__`, out of Python source. It executes
nothing and looks nothing up: which file an import leads to is `runtime.finder`.
"""

from __future__ import annotations

import ast
import functools
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERYTHING = "*/"
"""In place of what is taken from a package: a name that the code computes, so that it may be any module of it."""

_IMPORTING = (ast.Import, ast.ImportFrom, ast.Call)
_CALLS = frozenset({"import_module", "__import__"})
_FORGIVEN = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module: `level` dots, its dotted name, and what is taken from it.

    Attributes:
        line: where it stands; one place, where the same is imported several times.
    """

    level: int
    parts: tuple[str, ...]
    names: tuple[str, ...] = ()
    line: int = 0

    def __str__(self) -> str:
        return "." * self.level + ".".join(self.parts)


ImportsOf = Callable[[bytes], Iterable[Import]]
"""What `imports_of` is."""


@functools.lru_cache(maxsize=1024)
def imports_of(source: bytes) -> tuple[Import, ...]:
    """Return what a file imports, each once; nothing where it cannot be parsed, for then it cannot be imported either.

    Cached by content, not by time and size, which an edit within a clock tick can leave as they were.
    """
    found: dict[tuple[int, tuple[str, ...], tuple[str, ...]], Import] = {}
    for node in _nodes(source):
        for item in _imports(node) if isinstance(node, _IMPORTING) else ():
            found.setdefault((item.level, item.parts, item.names), item)
    return tuple(found.values())


def defined_in(source: bytes) -> set[str]:
    """Return the names of all functions that a file defines, wherever they stand in it."""
    return {node.name for node in _nodes(source) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def computed_lines(source: bytes) -> list[int]:
    """Return the lines of functions that import by a name of which parsing tells nothing."""
    functions = [node for node in _nodes(source) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    calls = {
        node.lineno for fn in functions for node in ast.walk(fn) if _imports_by_name(node) and not [*_imports(node)]
    }
    return sorted(calls)


def optional_lines(source: bytes) -> frozenset[int]:
    """Return the lines of imports that the code can do without: it catches that they fail, or never executes them."""
    bodies = [
        node.body for node in _nodes(source) if isinstance(node, (ast.Try, ast.With, ast.If)) and _is_lenient(node)
    ]
    return frozenset(line for body in bodies for line in _lines(body))


def _nodes(source: bytes) -> Iterator[ast.AST]:
    tree = _parsed(source)
    return ast.walk(tree) if tree else iter(())


def _parsed(source: bytes) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


# -- what one node imports -------------------------------------------------------------------------------------------


def _imports(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(0, tuple(alias.name.split(".")), line=node.lineno)
    elif isinstance(node, ast.ImportFrom):
        parts = tuple(node.module.split(".")) if node.module else ()
        yield Import(node.level, parts, tuple(alias.name for alias in node.names), node.lineno)
    elif _imports_by_name(node):
        yield from _by_name(node)


def _imports_by_name(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and _last_name(node.func) in _CALLS and bool(node.args)


def _by_name(call: ast.Call) -> Iterator[Import]:
    """Yield what `import_module("tools.web")` imports, or `import_module(f"tools.{name}")`: any module of `tools`."""
    known, whole = _constant_beginning(call.args[0])
    name = known.lstrip(".")
    level = len(known) - len(name)
    parts = tuple(name.split(".")) if name else ()
    if not whole:
        parts = parts[:-1]  # what stands behind the last dot is only the beginning of a name
        if not parts and not level:
            return
    if all(parts) and (parts or level):
        yield Import(level, parts, () if whole else (EVERYTHING,), call.lineno)


def _constant_beginning(node: ast.expr) -> tuple[str, bool]:
    """Return how a text begins that the code computes, as far as it stands there, and whether that is all of it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value, True
    if isinstance(node, ast.JoinedStr) and node.values:
        return _constant_beginning(node.values[0])[0], False
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, whole = _constant_beginning(node.left)
        right = _constant_beginning(node.right) if whole else ("", False)
        return left + right[0], right[1]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return _constant_beginning(node.left)[0].partition("%")[0], False
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return _constant_beginning(node.func.value)[0].partition("{")[0], False
    return "", False


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_lenient(node: ast.Try | ast.With | ast.If) -> bool:
    if isinstance(node, ast.Try):
        return any(_forgives(handler) for handler in node.handlers)
    if isinstance(node, ast.With):
        return any(_suppresses(item.context_expr) for item in node.items)
    return _last_name(node.test) == "TYPE_CHECKING"


def _forgives(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or _last_name(kind) in _FORGIVEN for kind in kinds)


def _suppresses(context: ast.expr) -> bool:
    if not isinstance(context, ast.Call) or _last_name(context.func) != "suppress":
        return False
    return any(_last_name(kind) in _FORGIVEN for kind in context.args)


def _lines(body: list[ast.stmt]) -> Iterator[int]:
    for statement in body:
        yield from range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
