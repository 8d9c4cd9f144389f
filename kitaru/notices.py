"""What is done beside what was asked for, in one line, as it begins: told to whoever watches, and he may be nobody.

Owns: who is told. The command line is, where it runs; a program that uses Kitaru as a library is told nothing unless it
asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_listeners: list[Callable[[str], None]] = []


def listen(listener: Callable[[str], None]) -> Callable[[], None]:
    """Have every notice of this process told, from any thread; return what ends it."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def notice(text: str) -> None:
    """Tell one line."""
    for listener in list(_listeners):
        listener(text)
