"""Runtimes by name: Kitaru's own, and those of installed packages.

Owns: the entry point group. Nothing is imported before the user's code asks for it by name: never on a store's word.
"""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING, cast

from kitaru.errors import BadConfig

if TYPE_CHECKING:
    from kitaru.runtime.placement.protocol import Runtime

GROUP = "kitaru.runtimes"
ISOLATED = "isolated"

_lock = threading.Lock()
_made: dict[str, Runtime] = {}


def find(name: str) -> Runtime:
    """Return the runtime of that name, of which a process has one.

    Raises:
        BadConfig: no installed package has one of that name, or it cannot be loaded.
    """
    with _lock:
        if name not in _made:
            _made[name] = _isolated() if name == ISOLATED else _third_party(name)
        return _made[name]


def _isolated() -> Runtime:
    from kitaru.runtime.placement.isolated import IsolatedRuntime

    runtime = IsolatedRuntime()
    atexit.register(runtime.pool.close)  # the warden would do it, a moment after this process is gone
    return runtime


def _third_party(name: str) -> Runtime:
    from importlib.metadata import entry_points

    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        names = ", ".join(["inline", ISOLATED, *sorted(found)])
        raise BadConfig(f"there is no runtime {name!r}", hint=f"use one of {names}, or install the package that has it")
    try:
        runtime = found[name].load()()
    except Exception as error:
        raise BadConfig(f"runtime {name!r}, {found[name].value}, cannot be loaded: {error}") from error
    if not callable(getattr(runtime, "execute", None)) or not callable(getattr(runtime, "options", None)):
        raise BadConfig(f"runtime {name!r}, {found[name].value}, has no execute() and options()")
    return cast("Runtime", runtime)
