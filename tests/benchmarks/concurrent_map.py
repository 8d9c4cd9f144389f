"""A map of trivial calls: on threads, and async on one event loop; with what a run beside it costs taken off.

Usage: concurrent_map.py [CALLS] [WORKERS] [ROUNDS]
"""

from __future__ import annotations

import sys
import time

from kitaru import checkpoint, flow
from tests.benchmarks.measuring import directory, project, say

seconds: list[float] = []


@checkpoint
def double(n: int) -> int:
    return 2 * n


@checkpoint
async def double_async(n: int) -> int:
    return 2 * n


@flow
def on_threads(calls: int) -> int:
    began = time.perf_counter()
    found = double.map(range(calls)).results()
    seconds.append(time.perf_counter() - began)
    return sum(found)


@flow
async def on_a_loop(calls: int) -> int:
    began = time.perf_counter()
    found = await double_async.map(range(calls))
    seconds.append(time.perf_counter() - began)
    return sum(found)


@flow
async def gathered(calls: int) -> int:
    import asyncio

    began = time.perf_counter()
    found = await asyncio.gather(*(double_async(n) for n in range(calls)))
    seconds.append(time.perf_counter() - began)
    return sum(found)


def measure(durability: str, calls: int, workers: int) -> None:
    for body in (on_threads, on_a_loop, gathered):
        with directory() as root:
            made = project(root / "project", durability)
            chosen = body.with_options(max_workers=workers)
            made.run(chosen, {"calls": 10}, foreground=True).get()
            assert made.run(chosen, {"calls": calls}, foreground=True).get() == calls * (calls - 1)
        say(
            f"map, {body.name}, {durability}",
            calls=calls,
            workers=workers,
            calls_per_s=round(calls / seconds[-1]),
            us_per_call=round(seconds[-1] / calls * 1e6, 1),
        )


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    calls, workers, rounds = numbers + [1000, 8, 3][len(numbers) :]
    for _ in range(rounds):
        measure("power-loss", calls, workers)
        measure("process-crash", calls, workers)
