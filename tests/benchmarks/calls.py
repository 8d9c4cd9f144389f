"""One sequential call returning a 200-byte dict, in both durabilities, against a bare append of 400 bytes.

The append (with `fdatasync` for `power-loss`) takes turns with the calls, in one run. Usage: calls.py [CALLS] [ROUNDS]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.benchmarks import workload
from tests.benchmarks.measuring import directory, median_us, project, say, spread_us


def measure(durability: str, calls: int) -> None:
    with directory() as root:
        made = project(root / "project", durability)
        fd = os.open(root / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        line = os.urandom(400)

        def bare() -> None:
            os.write(fd, line)
            if durability == "power-loss":
                os.fdatasync(fd)

        workload.forget()
        workload.between.append(bare)
        made.run(workload.sequential, {"calls": calls}, foreground=True).get()
        os.close(fd)
        call, append = median_us(workload.call_s), median_us(workload.between_s)
        say(
            f"call, {durability}",
            calls=calls,
            call_us=call,
            call_us_10_90=spread_us(workload.call_s),
            bare_us=append,
            bare_us_10_90=spread_us(workload.between_s),
            ratio=round(call / append, 2),
            overhead_us=round(call - append, 1),
            store_bytes_per_call=round(_size(root / "project" / ".kitaru") / calls),
        )


def _size(store: Path) -> int:
    return sum(path.stat().st_size for path in store.rglob("*") if path.is_file())


if __name__ == "__main__":
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 3):
        measure("power-loss", calls)
        measure("process-crash", calls)
