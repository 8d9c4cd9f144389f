"""What a run tells whoever watches it: small events, for live views and `--events`.

Owns: the event type and the services that a run takes from outside (clock, randomness, who and where).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

MODEL_TEXT = "llm"
"""The stream, beside `stdout`, `stderr` and `log`, of what a model writes."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run. `data` is JSON-able; docs/cli/run.md lists the kinds and their fields."""

    kind: str
    run: str
    data: dict[str, Any] = field(default_factory=dict)


Observer: TypeAlias = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Services:
    """What a run takes from the world, injected so that tests can fix it.

    Attributes:
        clock_us: microseconds since 1970 UTC.
        random_bytes: n unpredictable bytes.
        delay: told how many seconds a run is to let pass, returns how many of them it really waits. A test moves its
            clock instead, and returns 0.
    """

    clock_us: Callable[[], int]
    random_bytes: Callable[[int], bytes]
    user: str = ""
    host: str = ""
    pid: int = 0
    delay: Callable[[float], float] = float

    @property
    def origin(self) -> dict[str, Any]:
        """Who and where, as recorded."""
        return {"user": self.user, "host": self.host, "pid": self.pid}
