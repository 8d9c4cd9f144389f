"""The flows that are measured; in a file of their own, for a run's code is snapshot with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from kitaru import checkpoint, flow
from tests.benchmarks.measuring import small

between: list[Callable[[], object]] = []
"""What a body does after each call, apart from the call's time: the bare append, in the same run."""

call_s: list[float] = []
between_s: list[float] = []
body_s: list[float] = []


@checkpoint
def step(i: int) -> dict:  # type: ignore[type-arg] - as users write it
    return small(i)


@flow
def sequential(calls: int) -> int:
    """Time each call, and what is done after it."""
    began = time.perf_counter()
    now = time.perf_counter
    for i in range(calls):
        t0 = now()
        step(i)
        t1 = now()
        call_s.append(t1 - t0)
        for do in between:
            do()
            between_s.append(now() - t1)
    body_s.append(now() - began)
    return calls


@flow
def dies_at_the_end(calls: int) -> int:
    """Make all calls, and fail unless `forgiven`: such a run can be resumed."""
    began = time.perf_counter()
    for i in range(calls):
        step(i)
    body_s.append(time.perf_counter() - began)
    if not forgiven:
        raise RuntimeError("the benchmark lets this run fail once")
    return calls


forgiven: list[bool] = []


@checkpoint
def content(path: str) -> bytes:
    return Path(path).read_bytes()


@flow
def reads(path: str) -> int:
    """Record a file's bytes as one value."""
    return len(content(path))


@flow
def trivial() -> int:
    """One call, as of a store with thousands of runs."""
    return int(step(1)["i"])


def forget() -> None:
    """Begin a new measurement."""
    for measured in (between, call_s, between_s, body_s, forgiven):
        measured.clear()  # type: ignore[attr-defined] - lists of different types
