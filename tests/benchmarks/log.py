"""`kitaru log` in a store of many runs, warm: in a process of its own as a user has it, and inside one.
Usage: log.py [RUNS] [PYTHON] [ROUNDS], where PYTHON is as for start.py (this interpreter otherwise).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from kitaru.project import Project
from tests.benchmarks import workload
from tests.benchmarks.measuring import directory, project, say

REPO = Path(__file__).parents[2]


def fill(made: Project, runs: int) -> float:
    began = time.perf_counter()
    for _ in range(runs):
        made.run(workload.trivial, {}, foreground=True).get()
    return time.perf_counter() - began


def command(python: str, root: Path) -> float:
    env = os.environ | ({"PYTHONPATH": str(REPO)} if python == sys.executable else {})
    began = time.perf_counter()
    subprocess.run([python, "-m", "kitaru.cli", "log"], cwd=root, env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def measure(runs: int, python: str, rounds: int) -> None:
    with directory() as root:
        made = project(root, "process-crash")
        filled_s = fill(made, runs)
        cold_s = command(python, root)
        command(python, root)
        warm = [command(python, root) for _ in range(rounds)]
        inside = []
        for _ in range(rounds):
            fresh = Project.open(root)
            began = time.perf_counter()
            assert len(fresh.log()) == runs
            inside.append(time.perf_counter() - began)
    say(
        "log",
        runs=runs,
        rounds=rounds,
        warm_ms=round(statistics.median(warm) * 1000, 1),
        fastest_ms=round(min(warm) * 1000, 1),
        cold_ms=round(cold_s * 1000, 1),
        inside_ms=round(statistics.median(inside) * 1000, 1),
        run_us=round(filled_s / runs * 1e6),
    )


if __name__ == "__main__":
    words = sys.argv[1:]
    defaults = ["5000", sys.executable, "15"]
    count, python, rounds = words + defaults[len(words) :]
    measure(int(count), python, int(rounds))
