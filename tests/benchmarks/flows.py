"""`kitaru flow list` as a whole process, in a store of many flows with many versions, routes and runs.

Usage: flows.py [--flows N] [--versions N] [--runs N] [--python PYTHON] [--rounds N], where PYTHON is as for start.py
(this interpreter otherwise). Versions are names alone, for a listing reads nothing else of them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from kitaru import flow
from kitaru.project import Project
from kitaru.store.routes import Destination, RouteEntry, add_entry
from tests.benchmarks.measuring import directory, project, say

REPO = Path(__file__).parents[2]


def fill(made: Project, flows: int, versions: int, runs: int) -> None:
    """Record versions, a route of each flow, and runs that go round the flows."""
    for n in range(flows):
        name = f"flow_{n:03}"
        for v in range(versions // flows):
            digest = hashlib.sha256(f"{n} {v}".encode()).hexdigest()
            made.repo.add_version(name, id=digest, digest=digest, at=made.services.clock_us(), by="bench")
        to = (Destination(digest, versions // flows, 1),)
        add_entry(
            made.repo.blobs, RouteEntry(name, "stable", 1, to, 0, made.services.clock_us(), "bench", "", "0" * 24)
        )

    def body() -> int:
        return 1

    started = [flow(name=f"flow_{n:03}")(body) for n in range(min(flows, runs))]
    for n in range(runs):
        made.run(started[n % len(started)], {}, foreground=True).get()


def listing(python: str, root: Path) -> float:
    """Return how long a whole `kitaru flow list` takes."""
    env = os.environ | ({"PYTHONPATH": str(REPO)} if python == sys.executable else {})
    began = time.perf_counter()
    words = [python, "-m", "kitaru.cli", "flow", "list"]
    subprocess.run(words, cwd=root, env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def measure(root: Path, flows: int, versions: int, runs: int, python: str, rounds: int) -> None:
    fill(project(root, "process-crash"), flows, versions, runs)
    first = listing(python, root)
    listing(python, root)
    warm = [listing(python, root) for _ in range(rounds)]
    say(
        "flows",
        flows=flows,
        versions=versions,
        runs=runs,
        rounds=rounds,
        index_ms=round(first * 1000, 1),
        warm_ms=round(statistics.median(warm) * 1000, 1),
        fastest_ms=round(min(warm) * 1000, 1),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--flows", type=int, default=200)
    parser.add_argument("--versions", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    with directory() as made_root:
        measure(made_root / "store", given.flows, given.versions, given.runs, given.python, given.rounds)
