"""A thread of the body that is blocked until something comes from outside, while other work goes on. Loops: `parking`.

Owns: looking for what it waits for, and letting the process go once nothing else is at work: no call in flight, none
submitted that is not over. Knows nothing of questions and sleeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from kitaru.runtime.stopping import in_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.errors import KitaruError
    from kitaru.runtime.engine import Engine

T = TypeVar("T")

POLL_US = 200_000
"""How often a process that stays looks for what is waited for."""

FIRST_LOOK_S, LOOK_EVERY_S = 0.005, 0.2
"""How soon, and then at most how seldom, it is looked whether other work is over."""


def block(engine: Engine, came: Callable[[], T | None], until_us: int, reason: Callable[[], KitaruError]) -> T:
    """Block this thread until something came; return it.

    On an event loop nothing else could go on meanwhile: the run stops at once there.

    Args:
        came: looks for it; None for not yet.
        until_us: until when the process stays although nothing else is at work.
        reason: why the run stops, where it does.

    Raises:
        RunStopped: the run stops: nothing else is at work, or something else stopped it.
    """
    look_s = FIRST_LOOK_S
    while (found := came()) is None:
        left_us = until_us - engine.now()
        if left_us > 0:
            engine.pause(min(left_us, POLL_US))
        elif engine.is_busy and not in_event_loop():
            engine.rest(look_s)
            look_s = min(2 * look_s, LOOK_EVERY_S)
        else:
            raise engine.stop(reason())
    return found
