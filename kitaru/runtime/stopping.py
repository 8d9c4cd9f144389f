"""How a run's body is unwound, and how exceptions hang together.

Owns: the exception that unwinds a body, and the walk over an exception's causes. Knows nothing else.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class RunStopped(BaseException):
    """Unwinds the flow's body, as `GeneratorExit` does; no `Exception`, so that `except Exception` lets it pass."""


def in_event_loop() -> bool:
    """Tell whether an asyncio event loop runs this code, without importing one."""
    native = sys.modules.get("_asyncio")
    return native is not None and native._get_running_loop() is not None


def behind(error: BaseException, wanted: Callable[[BaseException], bool]) -> list[BaseException]:
    """Return the nearest wanted exceptions: an exception itself, or among its causes, contexts and members of groups.

    What is behind a wanted one is not looked at: a failure in whose handler another one happened was survived.
    """
    found: list[BaseException] = []
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        if wanted(current):
            found.append(current)
            continue
        todo += [current.__context__, current.__cause__]
        if isinstance(current, BaseExceptionGroup):
            todo += reversed(current.exceptions)
    return found
