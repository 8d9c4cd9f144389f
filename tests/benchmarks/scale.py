"""A store of many finished runs: `kitaru log`, its index, gc, du and fsck, before packing and after.

Usage: scale.py [--runs N] [--python PYTHON] [--rounds N] [--store DIRECTORY], where PYTHON is as for start.py (this
interpreter otherwise). DIRECTORY keeps the store for the next time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from kitaru.project import Project
from tests.benchmarks import workload
from tests.benchmarks.measuring import directory, project, say

REPO = Path(__file__).parents[2]


def fill(root: Path, runs: int) -> float:
    """Execute the runs, in one process; return how long it took."""
    made = project(root, "process-crash")
    began = time.perf_counter()
    for _ in range(runs):
        made.run(workload.trivial, {}, foreground=True).get()
    return time.perf_counter() - began


def log(python: str, root: Path) -> float:
    """Return how long a whole `kitaru log` takes."""
    env = os.environ | ({"PYTHONPATH": str(REPO)} if python == sys.executable else {})
    began = time.perf_counter()
    subprocess.run([python, "-m", "kitaru.cli", "log"], cwd=root, env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def took(root: Path, act: Callable[[Project], object]) -> float:
    """Return how long something takes a project that was just opened."""
    made = Project.open(root)
    began = time.perf_counter()
    act(made)
    return round(time.perf_counter() - began, 2)


def look(root: Path, python: str, rounds: int) -> dict[str, object]:
    """Measure what only reads."""
    shutil.rmtree(root / ".kitaru/cache", ignore_errors=True)
    index_s = log(python, root)
    log(python, root)
    warm = [log(python, root) for _ in range(rounds)]
    files = [path.stat() for path in (root / ".kitaru").rglob("*") if path.is_file()]
    return {
        "index_s": round(index_s, 2),
        "warm_ms": round(statistics.median(warm) * 1000, 1),
        "fastest_ms": round(min(warm) * 1000, 1),
        "du_s": took(root, lambda made: made.usage()),
        "fsck_s": took(root, lambda made: made.check()),
        "files": len(files),
        "mb": round(sum(file.st_size for file in files) / 1e6, 1),
        "disk_mb": round(sum(file.st_blocks * 512 for file in files) / 1e6, 1),
    }


def measure(root: Path, runs: int, python: str, rounds: int) -> None:
    told: dict[str, object] = {}
    if not root.joinpath(".kitaru").is_dir():
        told["fill_s"] = round(fill(root, runs), 1)
    found = len(Project.open(root).log())
    before = look(root, python, rounds)
    first, second = (took(root, lambda made: made.gc(grace_us=0)) for _ in range(2))
    say(
        "scale",
        runs=found,
        rounds=rounds,
        **told,
        before=before,
        gc_s=[first, second],
        after=look(root, python, rounds),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--store", type=Path)
    given = parser.parse_args()
    if given.store:
        measure(given.store, given.runs, given.python, given.rounds)
    else:
        with directory() as made_root:
            measure(made_root / "store", given.runs, given.python, given.rounds)
