"""The workloads of the peers' benches, here: each line has the fields that theirs have. `peers.py` runs it.

Usage: ours.py {A|B|C|E} N [DURABILITY]: A is N sequential trivial calls, B a run of N calls resumed at its last, C N
steps with a growing message history, E eight runs of N trivial calls at once, in threads.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

began = time.perf_counter()
import kitaru  # noqa: E402 - its time is taken

import_s = time.perf_counter() - began

from kitaru.project import Project  # noqa: E402 - as above
from tests.benchmarks import history, workload  # noqa: E402 - as above
from tests.benchmarks.concurrency import threads  # noqa: E402 - as above
from tests.benchmarks.measuring import directory, project  # noqa: E402 - as above


def sequential(root: Path, steps: int, durability: str) -> float:
    made = project(root, durability)
    made.run(workload.sequential, {"calls": 3}, foreground=True).get()
    began = time.perf_counter()
    made.run(workload.sequential, {"calls": steps}, foreground=True).get()
    return time.perf_counter() - began


def resumed(root: Path, steps: int, durability: str) -> float:
    """Resume a run that failed after its last call; no call is made again. Reading the run is part of the time."""
    made = project(root, durability)
    run = made.run(workload.dies_at_the_end, {"calls": steps}, foreground=True).exec_id
    workload.forgiven.append(True)
    fresh = Project.open(root)
    began = time.perf_counter()
    fresh.resume(run, foreground=True).get()
    return time.perf_counter() - began


def growing(root: Path, steps: int, durability: str) -> float:
    made = project(root, durability)
    began = time.perf_counter()
    made.run(history.grow, {"steps": steps}, foreground=True).get()
    return time.perf_counter() - began


def at_once(root: Path, steps: int, durability: str) -> float:
    return threads(root, steps)


WORKLOADS: dict[str, Callable[[Path, int, str], float]] = {"A": sequential, "B": resumed, "C": growing, "E": at_once}


def measure(test: str, steps: int, durability: str) -> dict[str, object]:
    with directory() as root:
        total = WORKLOADS[test](root / "project", steps, durability)
        store = root / "project" / ".kitaru"
        size = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    made = {"peer": "kitaru", "test": test, "N": steps, "durability": durability, "import_s": round(import_s, 4)}
    figures = {"total_s": round(total, 4), "ms_per_step": round(total / steps * 1000, 4), "disk_bytes": size}
    return {**made, **figures, "steps_per_s": round(8 * steps / total, 1)} if test == "E" else {**made, **figures}


if __name__ == "__main__":
    assert kitaru.__name__
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), (sys.argv[3:] or ["power-loss"])[0])))
