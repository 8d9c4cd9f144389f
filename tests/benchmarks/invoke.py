"""`kitaru invoke` over `kitaru run` of the same flow, as whole processes: code from the store, or the working tree.

Usage: invoke.py [--modules N] [--lines N] [--python PYTHON] [--rounds N], where PYTHON is as for start.py (this
interpreter otherwise). The flow makes one trivial call, and imports N modules of the project.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.measuring import directory, say

REPO = Path(__file__).parents[2]
FLOW = """
from kitaru import checkpoint, flow

@checkpoint
def say(word: str) -> str:
    return word

@flow
def talk(word: str) -> str:
    return say(word)
"""
FUNCTION = """
def part_{n}(word, times=1):
    found = [word * {n} for _ in range(times)]
    return {{"part": {n}, "found": found}} if found else f"{{word!r}} {n}"
"""


def write(root: Path, modules: int, lines: int) -> None:
    """Write the flow and the modules that it imports, no two of them alike."""
    functions = lines // FUNCTION.count("\n")
    for module in range(modules):
        body = "".join(FUNCTION.format(n=module * functions + n) for n in range(functions))
        (root / f"part_{module}.py").write_text(body)
    imports = "".join(f"import part_{module}\n" for module in range(modules))
    (root / "talk.py").write_text(imports + FLOW)


def took(python: str, root: Path, *words: str) -> float:
    env = os.environ | ({"PYTHONPATH": str(REPO)} if python == sys.executable else {})
    began = time.perf_counter()
    command = [python, "-m", "kitaru", *words, "word=hi", "-q"]
    subprocess.run(command, cwd=root, env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def measure(python: str, rounds: int, modules: int, lines: int) -> None:
    with directory() as root:
        subprocess.run([python, "-m", "kitaru", "-C", str(root), "init"], cwd=REPO, check=True, capture_output=True)
        write(root, modules, lines)
        ways = {"run": ["run", "talk.py:talk"], "invoke": ["invoke", "talk@v1"]}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for round_ in range(rounds + 1):
            for name, words in ways.items():
                seconds = took(python, root, *words)
                if round_:  # the first compiles, and records the version
                    times[name].append(seconds)
    medians = {name: statistics.median(values) * 1000 for name, values in times.items()}
    say(
        "invoke" if modules else "invoke, one file",
        rounds=rounds,
        modules=modules,
        lines=modules * lines,
        over_ms=round(medians["invoke"] - medians["run"], 1),
        **{f"{name}_ms": round(value, 1) for name, value in medians.items()},
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--modules", type=int, default=30)
    parser.add_argument("--lines", type=int, default=300)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    measure(given.python, given.rounds, 0, given.lines)
    measure(given.python, given.rounds, given.modules, given.lines)


if __name__ == "__main__":
    main()
