"""How a run's body is unwound, and how exceptions hang together.

Owns: the exception that unwinds a body, and the walk over an exception's causes. Knows nothing else.
"""

from __future__ import annotations


class RunStopped(BaseException):
    """Unwinds the flow's body, as `GeneratorExit` does; no `Exception`, so that `except Exception` lets it pass."""


def chain(error: BaseException) -> list[BaseException]:
    """Return an exception, its causes, its contexts and the members of groups, each once."""
    seen: dict[int, BaseException] = {}
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop()
        if current is None or id(current) in seen:
            continue
        seen[id(current)] = current
        todo += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            todo += current.exceptions
    return list(seen.values())
