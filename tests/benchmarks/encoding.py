"""One step of a message history: encoding and hashing the whole list, one message longer than what was encoded before.

Flat messages, messages with nested tool calls, and pydantic models. Usage: encoding.py [MESSAGES ...]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel

from kitaru.model.encoding import Encoder
from tests.benchmarks.history import message
from tests.benchmarks.measuring import say

STEPS = 30


class Message(BaseModel):
    role: Literal["user", "assistant"]
    id: str
    content: str


def nested(i: int) -> dict[str, Any]:
    """Return a message with a tool call in it, as the APIs of models give them."""
    arguments = {"query": f"query number {i}", "limit": i % 10, "filters": ["a", "b", {"since": None}]}
    call = {"id": f"call_{i}", "type": "function", "function": {"name": "search", "arguments": arguments}}
    return {**message(i, 700), "tool_calls": [call], "usage": {"input": i, "output": 2 * i}}


def model(i: int) -> Message:
    return Message.model_validate(message(i))


def measure(kind: str, make: Callable[[int], object], messages: int) -> None:
    encoder = Encoder()
    history = [make(i) for i in range(messages)]
    known: set[str] = set()
    times = []
    for i in range(STEPS):
        history = [*history, make(messages + i)]
        began = time.perf_counter()
        encoded = encoder.encode(history, known)
        times.append(time.perf_counter() - began)
        known.update(object_id for object_id, _ in encoded.objects)
    say(
        f"encode, {kind}",
        steps=messages,
        step_ms=round(statistics.median(times[5:]) * 1000, 3),
        fastest_ms=round(min(times) * 1000, 3),
        first_ms=round(times[0] * 1000, 2),
    )


if __name__ == "__main__":
    for word in sys.argv[1:] or ["300", "3000"]:
        for kind, make in (("flat", message), ("nested", nested), ("pydantic", model)):
            measure(kind, make, int(word))
