"""A hit of the result cache against a plain recorded call, the two taking turns in one run.

Both give a 200-byte dict. The first hit of a process is told apart: it opens the cache, works out the checkpoint's
fingerprint and reads the run that the results came from. Usage: cache.py [CALLS] [ROUNDS]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from kitaru import checkpoint, flow
from kitaru.project import Project
from kitaru.runtime.fingerprint import fingerprint_of
from tests.benchmarks.measuring import directory, median_us, project, say, small, spread_us

cached_s: list[float] = []
plain_s: list[float] = []


@checkpoint
def plain(i: int) -> dict:  # type: ignore[type-arg] - as users write it
    return small(i)


@checkpoint(cache=True)
def cached(i: int) -> dict:  # type: ignore[type-arg] - as users write it
    return small(i)


@flow
def taking_turns(calls: int) -> int:
    now = time.perf_counter
    for i in range(calls):
        t0 = now()
        plain(i)
        t1 = now()
        cached(i)
        t2 = now()
        plain_s.append(t1 - t0)
        cached_s.append(t2 - t1)
    return calls


def measure(durability: str, calls: int) -> None:
    with directory() as root:
        made = project(root / "project", durability)
        executed = _run(made, calls)
        hit = _run(Project.open(root / "project"), calls)
        say(
            f"cache hit, {durability}",
            calls=calls,
            hit_us=hit[0],
            hit_us_10_90=hit[1],
            first_hit_us=hit[2],
            plain_us=hit[3],
            over_plain_us=round(hit[0] - hit[3], 1),
            miss_us=executed[0],
            miss_over_plain_us=round(executed[0] - executed[3], 1),
        )


def _run(made: Project, calls: int) -> tuple[float, list[float], float, float]:
    """Return the median, the spread and the first of the cached calls' times, and the median of the plain ones'."""
    cached_s.clear()
    plain_s.clear()
    made.run(taking_turns, {"calls": calls}, foreground=True).get()
    return median_us(cached_s), spread_us(cached_s), round(cached_s[0] * 1e6, 1), median_us(plain_s)


def fingerprints(times: int) -> None:
    """Measure the first look at a checkpoint, and those after it."""
    root, digest = Path(__file__).parents[2], "{}".format
    first, again = [], []
    for _ in range(times):
        fresh = checkpoint(measure, name="measure")
        t0 = time.perf_counter()
        fingerprint_of(fresh, root, digest)
        t1 = time.perf_counter()
        fingerprint_of(fresh, root, digest)
        first.append(t1 - t0)
        again.append(time.perf_counter() - t1)
    say("fingerprint", first_us=median_us(first), again_us=median_us(again))


if __name__ == "__main__":
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 3):
        measure("power-loss", calls)
        measure("process-crash", calls)
    fingerprints(50)
