"""Scopes: in which line of a run's work a call is made, so that lines at once are told apart on resume.

Owns: paths and their counting. A scope's path comes from where it was begun and how many of its name were begun there
before, never from what finished first. Knows nothing of calls or records.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kitaru.model.records import Call


class Scope:
    """One line of work: the body, an asyncio task of it, a submitted call that waits for its inputs, a map.

    Attributes:
        path: empty for the body; else its parent's, a slash, its name, and which of that name it is.
        shown: the record of the last call whose result came here: what a wait shows.
    """

    __slots__ = ("_begun", "path", "shown", "task")

    def __init__(self, path: str = "", task: object = None) -> None:
        self.path, self.task = path, task
        self._begun: Counter[str] = Counter()
        self.shown: Call | None = None

    def child(self, name: str, task: object = None) -> Scope:
        """Begin a line of work in this one."""
        self._begun[name] += 1
        return Scope(f"{self.path}/{name}#{self._begun[name]}", task)


current_scope: ContextVar[Scope | None] = ContextVar("kitaru_scope", default=None)


def scope_here(root: Scope) -> Scope:
    """Return the scope of the code at hand; `root` is the body's.

    A task that the run did not see begin (of an event loop that the body runs itself) has a scope from its first call
    on, counted in the order of these first calls.
    """
    scope = current_scope.get() or root
    task = task_here()
    if task is None or scope.task is task:
        return scope
    scope = scope.child(task_name(task.get_coro()), task)
    current_scope.set(scope)
    return scope


def task_name(coroutine: Any) -> str:  # noqa: ANN401 - a coroutine, or whatever a task is made of
    """Return the name that a task is counted under: its coroutine function's own."""
    return str(getattr(coroutine, "__name__", type(coroutine).__name__))


def task_here() -> Any:  # noqa: ANN401 - an asyncio.Task, a type that must not be imported for nothing
    """Return the task of the event loop that executes this code; None where there is none."""
    native = sys.modules.get("_asyncio")  # a program without it runs no loop, and need not pay for the import
    if native is None or native._get_running_loop() is None:
        return None
    from asyncio import current_task

    return current_task()
