"""Isolated calls: cold, warm, and with a large array that goes in and comes out.

`over_inline_ms` is what an isolated call takes beyond the same call inline, each with its record and the sync of that.
The array is compared with files: it is saved, synced, loaded, and so is the result, as two processes would that hand
them over so. Both are said with and without syncs, for these alone differ by ten times between disks.

Usage: isolated.py [MEGABYTES] [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kitaru import flow
from kitaru.project import Project
from kitaru.runtime.placement.registry import find
from tests.benchmarks.isolated_calls import halved, here, there
from tests.benchmarks.measuring import directory, project, say, spread_us


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def calls(made: Project, warm: int) -> None:
    took: dict[str, list[float]] = {"cold": [], "isolated": [], "inline": []}

    @flow
    def many() -> None:
        there(-1)
        for n in range(warm):
            took["isolated"].append(timed(lambda n=n: there(n)))
            took["inline"].append(timed(lambda n=n: here(n)))

    @flow
    def once(n: int) -> None:
        took["cold"].append(timed(lambda: there(n)))

    for n in range(7):
        find("isolated").pool.end_idle()
        made.run(once, {"n": n}, foreground=True).get()
    made.run(many, {}, foreground=True).get()
    over = [a - b for a, b in zip(took["isolated"], took["inline"], strict=True)]
    say(
        "isolated calls",
        cold_ms=round(statistics.median(took["cold"]) * 1e3, 1),
        worst_cold_ms=round(max(took["cold"]) * 1e3, 1),
        warm_ms=round(statistics.median(took["isolated"]) * 1e3, 2),
        over_inline_ms=round(statistics.median(over) * 1e3, 2),
        over_inline_us_10_90=spread_us(over),
        calls=warm,
    )


def through_a_file(array: np.ndarray, path: Path, *, durable: bool) -> None:
    """Write an array and read it back."""
    with path.open("wb") as file:
        np.save(file, array)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    loaded = np.load(path)
    assert loaded.shape == array.shape
    path.unlink()


def array(root: Path, megabytes: int, rounds: int, *, durable: bool) -> None:
    made = project(root / f"durable-{durable}", "power-loss" if durable else "process-crash")
    random = np.random.default_rng(1)
    isolated, files = [], []

    @flow
    def one(seed: int) -> None:
        value = random.random(megabytes * 125_000)
        halved(value[:1000])
        isolated.append(timed(lambda: halved(value)))

    for n in range(rounds):
        made.run(one, {"seed": n}, foreground=True).get()
        value = random.random(megabytes * 125_000)
        files.append(timed(lambda v=value: [through_a_file(v, root / "array", durable=durable) for _ in range(2)]))
    say(
        f"isolated array, {'power-loss' if durable else 'process-crash'}",
        megabytes=megabytes,
        in_and_out_ms=round(statistics.median(isolated) * 1e3),
        files_ms=round(statistics.median(files) * 1e3),
        times=round(statistics.median(isolated) / statistics.median(files), 2),
        best_ms=round(min(isolated) * 1e3),
        best_files_ms=round(min(files) * 1e3),
    )


if __name__ == "__main__":
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with directory() as root:
        calls(project(root / "calls"), 200)
        for durable in (True, False):
            array(root, megabytes, rounds, durable=durable)
