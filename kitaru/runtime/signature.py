"""The signature of a recorded flow, as its source has it.

Owns: finding a function in a source file and writing down what it takes. The source comes from a store: it is parsed,
never imported or executed.
"""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kitaru.runtime.entry import Entry

_Function: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef"


def recorded_signature(entry: Entry, files: Mapping[str, bytes]) -> str:
    """Return a recorded flow's signature, such as `agent(question: str, limit: int = 3) -> str`.

    Args:
        entry: where the flow begins.
        files: its version's files.

    Returns:
        The signature, or empty where the source does not tell it.
    """
    file = entry.file or ""
    sources = [files[file]] if file in files else list(files.values())
    *_, name = entry.qualname.rpartition(".")
    found = [function for source in sources for function in _functions(source) if function.name == name]
    return _text(found[-1]) if found else ""


def _functions(source: bytes) -> Iterator[_Function]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def _text(function: _Function) -> str:
    try:
        returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
        return f"{function.name}({', '.join(_parameters(function.args))}){returns}"
    except RecursionError:
        return ""


def _parameters(args: ast.arguments) -> Iterator[str]:
    """Yield the parameters that a flow can have: none is by position only, nor collects what is."""
    named = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [None] * (len(named) - len(args.defaults))
    defaults += args.defaults
    yield from map(_parameter, named, defaults)
    if args.kwonlyargs:
        yield "*"
    yield from map(_parameter, args.kwonlyargs, args.kw_defaults)
    if args.kwarg:
        yield f"**{_parameter(args.kwarg, None)}"


def _parameter(arg: ast.arg, default: ast.expr | None) -> str:
    annotation = f": {ast.unparse(arg.annotation)}" if arg.annotation else ""
    equals = " = " if annotation else "="
    return f"{arg.arg}{annotation}{f'{equals}{ast.unparse(default)}' if default else ''}"
