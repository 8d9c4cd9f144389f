"""What the store grows by for a trivial call: in one run of many, and in many runs of one. Usage: size.py [CALLS]"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks import workload
from tests.benchmarks.measuring import directory, project, say


def sizes(store: Path) -> tuple[int, int]:
    """Return bytes, and bytes of the blocks that hold them."""
    stats = [path.stat() for path in store.rglob("*") if path.is_file()]
    return sum(s.st_size for s in stats), sum(s.st_blocks * 512 for s in stats)


def measure(calls: int) -> None:
    with directory() as root:
        made = project(root)
        made.run(workload.sequential, {"calls": 1}, foreground=True).get()
        before = sizes(root / ".kitaru")
        made.run(workload.sequential, {"calls": calls}, foreground=True).get()
        after = sizes(root / ".kitaru")
        runs = max(1, calls // 10)
        for _ in range(runs):
            made.run(workload.trivial, {}, foreground=True).get()
        last = sizes(root / ".kitaru")
    say(
        "size",
        calls=calls,
        bytes_per_call=round((after[0] - before[0]) / calls),
        disk_bytes_per_call=round((after[1] - before[1]) / calls),
        bytes_per_run_of_one_call=round((last[0] - after[0]) / runs),
        disk_bytes_per_run_of_one_call=round((last[1] - after[1]) / runs),
    )


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
