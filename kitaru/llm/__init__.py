"""`kitaru.llm`: one tracked model call, aliases, secrets, cost. The module itself is what is called.

Owns: the public names of this floor. Each is imported when it is first used, and litellm at the first request.

::

    kitaru.llm("Name three tides.")                        text
    kitaru.llm(messages, model="fast", response_format=Plan)    an instance of Plan
    kitaru.llm.full(messages, tools=[...])                 a `Reply`, with its usage
    for piece in kitaru.llm("...", stream=True): ...        the text as it comes
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

_HOMES = {
    "allm": "kitaru.llm.front",
    "full": "kitaru.llm.front",
    "afull": "kitaru.llm.front",
    "track": "kitaru.llm.tracking",
    "Reply": "kitaru.llm.replies",
    "has_default": "kitaru.llm.asked",
}


class _CalledModule(ModuleType):
    """A module that is a function, too."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - typed where it is defined, in `front`
        from kitaru.llm.front import llm as ask

        return ask(*args, **kwargs)


sys.modules[__name__].__class__ = _CalledModule


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public name
    if name == "llm":
        return sys.modules[__name__]
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value
