"""The source of a flow that was typed in a notebook or REPL.

Owns: what can be told of such a flow, from its functions alone. Knows no project and no files.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def notebook_source(fn: Callable[..., Any]) -> dict[str, bytes]:
    """Return what can be told of a flow that was typed in a notebook or REPL: one pseudo-file, or nothing.

    It holds the source of the flow and of each function and class of the same session that it names, transitively.
    """
    fn = getattr(fn, "fn", fn)
    pieces: dict[object, str] = {}
    queue: list[Any] = [fn]
    while queue:
        item = queue.pop()
        item = getattr(item, "fn", item)
        if not (inspect.isfunction(item) or inspect.isclass(item)):  # a global list cannot even be looked for
            continue
        if item in pieces or item.__module__ != fn.__module__:
            continue
        try:
            pieces[item] = inspect.getsource(item)
        except (OSError, TypeError):
            continue
        if inspect.isfunction(item):
            queue.extend(item.__globals__[name] for name in _names_in(item.__code__) if name in item.__globals__)
    text = "\n\n".join(reversed(pieces.values()))
    return {f"{fn.__module__}.{fn.__qualname__}.py": text.encode("utf-8", "surrogatepass")} if pieces else {}


def _names_in(code: Any) -> Iterator[str]:  # noqa: ANN401 - a code object's constants are of any type
    yield from code.co_names
    for const in code.co_consts:
        if inspect.iscode(const):
            yield from _names_in(const)
