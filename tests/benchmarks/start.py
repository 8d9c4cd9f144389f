"""Starting the command line: `kitaru --help` over `python -c pass`, and single verbs, bytecode compiled.

Usage: start.py PYTHON [ROUNDS], where PYTHON is that of a virtual environment made with `pip install .` from this
directory. An installation in place, or another typer, measures something else.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.measuring import directory, say


def took(words: list[str], cwd: Path) -> float:
    began = time.perf_counter()
    subprocess.run(words, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def measure(python: str, rounds: int) -> None:
    kitaru = str(Path(python).with_name("kitaru"))
    commands = {
        "pass": [python, "-c", "pass"],
        "import": [python, "-c", "import kitaru"],
        "help": [kitaru, "--help"],
        "status": [kitaru, "status"],
        "log": [kitaru, "log"],
    }
    with directory() as root:
        subprocess.run([kitaru, "init"], cwd=root, check=True, capture_output=True)
        times: dict[str, list[float]] = {name: [] for name in commands}
        for round_ in range(rounds + 1):
            for name, words in commands.items():
                seconds = took(words, root)
                if round_:  # the first compiles and warms
                    times[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    say(
        "start",
        rounds=rounds,
        help_over_pass=round(medians["help"] / medians["pass"], 2),
        **{f"{name}_ms": round(value * 1000, 1) for name, value in medians.items()},
        fastest_ms={name: round(min(values) * 1000, 1) for name, values in times.items()},
        measured=_versions(python),
    )


def _versions(python: str) -> dict[str, str]:
    script = "import json; from importlib.metadata import version as v; print(json.dumps({n: v(n) for n in %r}))"
    names = ("kitaru", "typer", "rich", "pydantic")
    out = subprocess.run([python, "-c", script % (names,)], check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(out.stdout)
    return found


if __name__ == "__main__":
    measure(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 30)
