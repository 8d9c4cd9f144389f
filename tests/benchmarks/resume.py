"""Resuming a run with many completed calls: all of it, and what reading, folding and the body take of it.
Usage: resume.py [CALLS] [ROUNDS]
"""

from __future__ import annotations

import statistics
import sys
import time

from kitaru.errors import RunFailed
from kitaru.model.folding import fold
from kitaru.project import Project
from tests.benchmarks import workload
from tests.benchmarks.measuring import directory, project, say


def measure(calls: int, rounds: int) -> None:
    figures: dict[str, list[float]] = {"resume_s": [], "reading_s": [], "fold_s": [], "body_s": []}
    with directory() as root:
        project(root, "process-crash")
        for _ in range(rounds):
            _once(Project.open(root), calls, figures)
    medians = {name: statistics.median(values) for name, values in figures.items()}
    say(
        "resume",
        calls=calls,
        rounds=rounds,
        us_per_skipped_call=round(medians["resume_s"] / calls * 1e6, 2),
        **{name[:-2] + "_ms": round(value * 1000, 2) for name, value in medians.items()},
    )


def _once(made: Project, calls: int, figures: dict[str, list[float]]) -> None:
    workload.forget()
    handle = made.run(workload.dies_at_the_end, {"calls": calls}, foreground=True)
    assert isinstance(handle.outcome and handle.outcome.error, RunFailed)
    run = handle.exec_id
    fresh = Project.open(made.root)
    began = time.perf_counter()
    records = fresh.repo.records(run)
    read = time.perf_counter()
    fold(run, records, None)
    figures["reading_s"].append(read - began)
    figures["fold_s"].append(time.perf_counter() - read)
    workload.forget()
    workload.forgiven.append(True)
    fresh = Project.open(made.root)
    began = time.perf_counter()
    assert fresh.resume(run, foreground=True).get() == calls
    figures["resume_s"].append(time.perf_counter() - began)
    figures["body_s"].append(workload.body_s[0])


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    measure(*(numbers + [1000, 7][len(numbers) :]))
