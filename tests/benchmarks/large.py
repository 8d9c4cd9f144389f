"""One large value: recorded as a call's result, and read back, against a file of the same bytes with one fsync.

A value of SIZE MB is bytes; one of a tenth of that is a numpy array too, where numpy is installed. The file and the
value take turns. Memory is the highest resident size above what there was with the value itself already made; of
reading, less the value, but with the files that are mapped meanwhile, which the system may drop at any time.
Usage: large.py [SIZE] [ROUNDS]
"""

from __future__ import annotations

import contextlib
import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kitaru import checkpoint, flow
from kitaru.project import Project
from tests.benchmarks.measuring import directory, project, say

CHUNK = 1 << 20
given: list[object] = []
took: dict[str, list[float]] = {}


@checkpoint
def large() -> object:
    return given[0]


@flow
def giving() -> int:
    with timed("store"):
        large()
    return 1


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    took.setdefault(what, []).append(time.perf_counter() - began)


def file(path: Path, raw: memoryview) -> None:
    """Write a file and sync it once; read it into new memory."""
    with timed("file_write"):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        for at in range(0, len(raw), CHUNK):
            os.write(fd, raw[at : at + CHUNK])
        os.fsync(fd)
        os.close(fd)
    with timed("file_read"), path.open("rb", buffering=0) as opened:
        opened.readinto(bytearray(len(raw)))  # as much as there is, or up to 2 GB
    path.unlink()


def memory_mb(do: Callable[[], object]) -> float:
    """Return how far resident memory rose at most (Linux; elsewhere 0)."""
    gc.collect()
    status = Path("/proc/self/status")
    if not status.exists():
        do()
        return 0.0
    Path("/proc/self/clear_refs").write_text("5")
    before = _kb(status, "VmRSS")
    do()
    return (_kb(status, "VmHWM") - before) / 1024


def _kb(status: Path, field: str) -> int:
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field))


def load(made: Project, run: str) -> object:
    """Read the value back, by an instance that has read nothing yet."""
    fresh = Project.open(made.root)
    (call,) = fresh.state(run).calls.values()
    assert call.record is not None
    assert call.record.output is not None
    with timed("load"):
        return fresh.value(call.record.output, run)


def once(make: Callable[[int], object], view: Callable[[object], memoryview], mb: int) -> tuple[float, float]:
    """Write and read a value, and a file of it; return how far memory rose for each."""
    given[:] = [make(mb << 20)]
    raw = view(given[0])
    with directory() as root:
        made = project(root / "project")
        file(root / "file", raw)
        runs: list[str] = []
        stored = memory_mb(lambda: runs.append(made.run(giving, {}, foreground=True).exec_id))
        read: list[object] = []
        loaded = memory_mb(lambda: read.append(load(made, runs[0])))
        assert view(read[0]) == raw
    return stored, loaded - mb


def measure(kind: str, make: Callable[[int], object], view: Callable[[object], memoryview], mb: int, n: int) -> None:
    took.clear()
    rises = [once(make, view, mb) for _ in range(n)]
    medians = {name: statistics.median(values) for name, values in took.items()}
    say(
        f"large, {kind}",
        mb=mb,
        rounds=n,
        **{f"{name}_s": round(value, 3) for name, value in medians.items()},
        each={name: [round(value, 3) for value in values] for name, values in took.items()},
        speed_of_file=round(medians["file_write"] / medians["store"], 2),
        store_memory_mb=round(max(stored for stored, _ in rises)),
        load_memory_mb_less_value=round(max(loaded for _, loaded in rises)),
    )


def main(mb: int, rounds: int) -> None:
    measure("bytes", os.urandom, memoryview, mb, rounds)  # type: ignore[arg-type]  # it was made by urandom
    with contextlib.suppress(ImportError):
        import numpy as np

        def array(size: int) -> object:
            return np.frombuffer(os.urandom(size), dtype=np.float64).copy()

        measure("array", array, lambda value: memoryview(value).cast("B"), max(1, mb // 10), rounds)  # type: ignore[arg-type]  # as above


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(*(numbers + [1024, 5][len(numbers) :]))
