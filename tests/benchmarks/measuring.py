"""What every benchmark needs: a project of its own, medians, and a JSON line that says under which conditions.

`BENCH_DIR` in the environment says where data goes (the file system matters; a temporary directory otherwise).
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kitaru.config import assign
from kitaru.project import Project


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kitaru-bench-", dir=os.environ.get("BENCH_DIR")) as made:
        yield Path(made)


def project(root: Path, durability: str = "power-loss") -> Project:
    root.mkdir(exist_ok=True)
    Project.init(root)
    assign(root / ".kitaru" / "config.toml", "durability", durability)
    return Project.open(root)


def small(i: int) -> dict[str, object]:
    """Return a dict that is about 200 bytes of JSON, another for each i."""
    text = (f"result {i} " * 20)[:110]
    return {"i": i, "tool": "search", "ok": True, "args": {"q": f"query number {i}"}, "text": text}


def median_us(seconds: Sequence[float]) -> float:
    return round(statistics.median(seconds) * 1e6, 1)


def spread_us(seconds: Sequence[float]) -> list[float]:
    """Return the 10th and the 90th percentile."""
    tenths = statistics.quantiles(seconds, n=10)
    return [round(tenths[0] * 1e6, 1), round(tenths[-1] * 1e6, 1)]


def say(benchmark: str, **figures: object) -> None:
    """Print one line of JSON: what was measured, and under which conditions."""
    print(json.dumps({"benchmark": benchmark, **figures, **_conditions()}), flush=True)


def _conditions() -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("kitaru", "zstandard", "pydantic", "typer")},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "load": [round(x, 2) for x in os.getloadavg()],
        "directory": os.environ.get("BENCH_DIR", tempfile.gettempdir()),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "source"
