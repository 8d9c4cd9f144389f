"""The queue: invocations of a trivial flow, taken and finished by two workers, `kitaru work -j1` each.

All are queued before the workers are started. Counted is from the first run's start to the last one's end, as their
records tell, so that the start of Python and of the workers' own helpers before the first run is not; `whole_s` is from
the start of both processes to the end of the later one. Usage: queue.py [INVOCATIONS] [ROUNDS] [--workers N]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from kitaru.project import Project
from tests.benchmarks.measuring import directory, project, say

CODE = """
from kitaru import checkpoint, flow

@checkpoint
def double(n: int) -> int:
    return 2 * n

@flow
def doubling(n: int) -> int:
    return double(n)
"""


def once(root: Path, invocations: int, workers: int, durability: str) -> dict[str, float]:
    here = project(root, durability)
    (root / "flows.py").write_text(CODE)
    os.chdir(root)
    here.run("flows.py:doubling", {"n": 0}, foreground=True).wait()
    began = time.perf_counter()
    queued = [here.enqueue("doubling", {"n": n}).id for n in range(invocations)]
    enqueue_s = (time.perf_counter() - began) / invocations
    began = time.perf_counter()
    words = [sys.executable, "-m", "kitaru", "work", "--once", "-j", "1"]
    processes = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for _ in range(workers)]
    codes = [process.wait() for process in processes]
    whole_s = time.perf_counter() - began
    return {"enqueue_ms": enqueue_s * 1000, "whole_s": whole_s, "per_s": _rate(here, queued, codes)}


def _rate(here: Project, queued: list[str], codes: list[int]) -> float:
    runs = [summary for summary in here.log() if summary.run in set(queued)]
    done = [summary for summary in runs if summary.status == "completed"]
    if any(codes) or len(done) != len(queued):
        raise SystemExit(f"workers ended with {codes}, {len(done)} of {len(queued)} runs completed")
    return len(done) / (max(s.ended for s in runs) - min(s.started for s in runs)) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="queue.py")
    parser.add_argument("invocations", type=int, nargs="?", default=300)
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    for durability in ("power-loss", "process-crash"):
        rounds = []
        for _ in range(given.rounds):
            with directory() as root:
                rounds.append(once(root / "p", given.invocations, given.workers, durability))
                os.chdir("/")
        figures = {name: round(statistics.median(r[name] for r in rounds), 2) for name in rounds[0]}
        say(f"queue, {durability}", workers=given.workers, invocations=given.invocations, **figures)


if __name__ == "__main__":
    main()
