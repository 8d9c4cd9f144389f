"""Eight runs of trivial calls at once in one store: in threads of one process, and in processes of their own.

Usage: concurrency.py [CALLS] [ROUNDS]
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

from kitaru.project import Project
from tests.benchmarks import workload
from tests.benchmarks.measuring import directory, project, say

RUNS = 8


def threads(root: Path, calls: int) -> float:
    made = project(root)
    made.run(workload.sequential, {"calls": 3}, foreground=True).get()
    began = time.perf_counter()
    handles = [made.run(workload.sequential, {"calls": calls}) for _ in range(RUNS)]
    for handle in handles:
        handle.wait()
    return time.perf_counter() - began


def _process(root: Path, calls: int, ready: Barrier) -> None:
    made = Project.open(root)
    made.run(workload.sequential, {"calls": 3}, foreground=True).get()
    ready.wait(60)
    made.run(workload.sequential, {"calls": calls}, foreground=True).get()
    ready.wait(60)


def processes(root: Path, calls: int) -> float:
    project(root)
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(RUNS + 1)
    started = [context.Process(target=_process, args=(root, calls, ready)) for _ in range(RUNS)]
    for process in started:
        process.start()
    ready.wait(60)
    began = time.perf_counter()
    ready.wait(60)
    took = time.perf_counter() - began
    for process in started:
        process.join(60)
    return took


if __name__ == "__main__":
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 3):
        for how in (threads, processes):
            with directory() as root:
                took = how(root / "project", calls)
            say(f"concurrency, {how.__name__}", runs=RUNS, calls=calls, calls_per_s=round(RUNS * calls / took))
