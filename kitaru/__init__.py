"""Durable execution for Python agents: git for agent runs.

The public names are these. Each is imported when it is first used, so that `import kitaru` costs nothing.
Errors, all of them `KitaruError`, are in `kitaru.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kitaru.api import load, wait, wait_async
    from kitaru.errors import KitaruError
    from kitaru.llm.front import allm, llm
    from kitaru.llm.tracking import track
    from kitaru.model.encoding import Opaque, register_serializer
    from kitaru.model.history import Status
    from kitaru.project import Project
    from kitaru.runtime.artifacts import log, save
    from kitaru.runtime.context import current_call
    from kitaru.runtime.decorators import Checkpoint, Flow, checkpoint, flow
    from kitaru.runtime.futures import CallFuture, CallFutures
    from kitaru.runtime.handle import FlowHandle
    from kitaru.runtime.placement.isolated import Isolated
    from kitaru.runtime.primitives import now, progress, random, sleep, sleep_async, uuid4
    from kitaru.runtime.retry import Retry

__version__ = "0.1.0"

__all__ = [
    "CallFuture",
    "CallFutures",
    "Checkpoint",
    "Flow",
    "FlowHandle",
    "Isolated",
    "KitaruError",
    "Opaque",
    "Project",
    "Retry",
    "Status",
    "__version__",
    "allm",
    "checkpoint",
    "current_call",
    "flow",
    "llm",
    "load",
    "log",
    "now",
    "progress",
    "random",
    "register_serializer",
    "save",
    "sleep",
    "sleep_async",
    "track",
    "uuid4",
    "wait",
    "wait_async",
]

_HOMES = {
    "CallFuture": "kitaru.runtime.futures",
    "CallFutures": "kitaru.runtime.futures",
    "Checkpoint": "kitaru.runtime.decorators",
    "Flow": "kitaru.runtime.decorators",
    "FlowHandle": "kitaru.runtime.handle",
    "Isolated": "kitaru.runtime.placement.isolated",
    "KitaruError": "kitaru.errors",
    "Opaque": "kitaru.model.encoding",
    "Project": "kitaru.project",
    "Retry": "kitaru.runtime.retry",
    "Status": "kitaru.model.history",
    "allm": "kitaru.llm",
    "checkpoint": "kitaru.runtime.decorators",
    "current_call": "kitaru.runtime.context",
    "flow": "kitaru.runtime.decorators",
    "llm": "kitaru.llm",
    "load": "kitaru.api",
    "log": "kitaru.runtime.artifacts",
    "now": "kitaru.runtime.primitives",
    "progress": "kitaru.runtime.primitives",
    "random": "kitaru.runtime.primitives",
    "register_serializer": "kitaru.model.encoding",
    "save": "kitaru.runtime.artifacts",
    "sleep": "kitaru.runtime.primitives",
    "sleep_async": "kitaru.runtime.primitives",
    "track": "kitaru.llm.tracking",
    "uuid4": "kitaru.runtime.primitives",
    "wait": "kitaru.api",
    "wait_async": "kitaru.api",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public name
    if name not in _HOMES:
        raise AttributeError(f"module 'kitaru' has no attribute {name!r}")
    from importlib import import_module

    home: Any = import_module(_HOMES[name])
    if name in ("flow", "Flow"):
        home.start_flow, home.deploy_flow = _start, _deploy
    value = globals()[name] = getattr(home, name)
    return value


def _start(flow: Any, inputs: Any) -> Any:  # noqa: ANN401 - typed where it is called, in Flow.run
    from kitaru.project import Project

    return Project.start(flow, inputs)


def _deploy(flow: Any, **how: Any) -> Any:  # noqa: ANN401 - as above, in Flow.deploy
    from kitaru.project import Project

    return Project.of_flow(flow).deploy(flow, **how)


def __dir__() -> list[str]:
    return sorted(__all__)
