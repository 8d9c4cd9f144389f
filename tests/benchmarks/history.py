"""Steps that each take a list of 1 KB messages and return it with one more: what agents do with their history.

Usage: history.py [STEPS ...]
"""

from __future__ import annotations

import random
import statistics
import sys
import time

from kitaru import checkpoint, flow
from tests.benchmarks.measuring import directory, project, say

WORDS = [
    "".join(
        random.Random(i).choice("bcdfghklmnprstvw") + random.Random(i + 9999).choice("aeiou") for _ in range(1 + i % 4)
    )
    + format(i, "x")
    for i in range(4000)
]
step_cpu_s: list[float] = []


def message(i: int, size: int = 1000) -> dict[str, str]:
    """Return about 1 KB of varied text, the same for each i."""
    chosen = random.Random(i)
    text = ""
    while len(text) < size:
        text += chosen.choice(WORDS) + " "
    return {"role": "assistant" if i % 2 else "user", "id": f"m{i:06d}", "content": text[:size]}


@checkpoint
def append(history: list[dict[str, str]], i: int) -> list[dict[str, str]]:
    return [*history, message(i)]


@flow
def grow(steps: int) -> int:
    history: list[dict[str, str]] = []
    for i in range(steps):
        began = time.process_time()
        history = append(history, i)
        step_cpu_s.append(time.process_time() - began)
    return len(history)


def measure(steps: int) -> None:
    step_cpu_s.clear()
    with directory() as root:
        made = project(root / "project")
        began = time.perf_counter()
        made.run(grow, {"steps": steps}, foreground=True).get()
        total = time.perf_counter() - began
        store = sum(path.stat().st_size for path in (root / "project" / ".kitaru").rglob("*") if path.is_file())
    say(
        "history",
        steps=steps,
        total_s=round(total, 3),
        store_mb=round(store / 1e6, 3),
        last_steps_cpu_ms=round(statistics.median(step_cpu_s[-30:]) * 1000, 2),
    )


if __name__ == "__main__":
    for word in sys.argv[1:] or ["300", "300", "300"]:
        measure(int(word))
