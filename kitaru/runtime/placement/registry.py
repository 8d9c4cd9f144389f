"""Runtimes by name: Kitaru's own, and those of installed packages.

Owns: the entry point group. Nothing is imported before the user's code asks for it by name: never on a store's word.
"""

from __future__ import annotations

import atexit
import threading
from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

from kitaru.errors import BadConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def check_options(runtime: Any, options: Mapping[str, Any]) -> None:  # noqa: ANN401 - a name or an object
    """Check what a checkpoint is decorated with, for Kitaru's own runtimes; a third party's is loaded at a call.

    Raises:
        BadConfig: an option is unknown or has no sense.
    """
    if runtime == ISOLATED or getattr(runtime, "runtime", None) == ISOLATED:
        from kitaru.runtime.placement.isolated import Isolated

        Isolated.of(given_options(runtime, options))


def given_options(runtime: Any, options: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ANN401 - a name or an object
    """Return what a runtime is to check: `runtime_options=`, over those of an object given as `runtime=`."""
    if isinstance(runtime, str):
        return options
    return {**{field.name: getattr(runtime, field.name) for field in fields(runtime)}, **options}
