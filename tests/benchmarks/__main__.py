"""Run the benchmarks one after the other, and print the table of docs/performance.md. Takes some ten minutes.

    python -m tests.benchmarks [--only NAME ...] [--python PYTHON] [--peers FOLDER] [--lines FILE]

PYTHON is that of a virtual environment with Kitaru installed (README.md); FOLDER holds the peers' benches (`peers.py`).
FILE gets every JSON line as it comes; with `--only` and nothing after it, nothing is run and the table is made of FILE.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import FIGURES, Line

REPO = Path(__file__).parents[2]
WORDS = {"history": ["300", "300", "300", "3000"], "size": ["1000"]}


def scripts(python: str) -> dict[str, list[str]]:
    """Return what each script is called with, in the order in which the table speaks of them."""
    names = dict.fromkeys(figure.script for figure in FIGURES)
    given = {**WORDS, "start": [python], "scale": ["--python", python], "flows": ["--python", python]}
    given |= {"invoke": ["--python", python], "remote": ["--python", python]}
    return {name: given.get(name, []) for name in names}


def lines_of(module: str, words: Sequence[str]) -> Iterator[Line]:
    """Run a script, and yield what it says; what fails is told and left out."""
    argv = [sys.executable, "-m", f"tests.benchmarks.{module}", *words]
    done = subprocess.run(argv, cwd=REPO, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(f"{module} failed with status {done.returncode}", file=sys.stderr)
    for text in done.stdout.splitlines():
        if text.startswith("{"):
            yield json.loads(text)


def measured(only: Sequence[str], python: str, peers: str, keep: Path | None) -> list[Line]:
    wanted = {name: words for name, words in scripts(python).items() if name in only}
    if peers and "peers" in only:
        wanted["peers"] = [peers]
    found = []
    for module, words in wanted.items():
        print(f"{module} …", file=sys.stderr)
        for line in lines_of(module, words):
            found.append(line)
            if keep is not None:
                with keep.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    return found


def table(lines: Sequence[Line]) -> Iterator[str]:
    """Yield the figures as a table of Markdown."""
    yield "| what | figure | bar | | command |"
    yield "|---|---|---|---|---|"
    for figure in FIGURES:
        value = figure.of(lines)
        if value is not None:
            met = {True: "met", False: "**missed**", None: ""}[figure.met(value)]
            shown = f"{value:,.0f}" if value >= 1000 else f"{value:g}"
            yield f"| {figure.what} | {shown} {figure.unit} | {figure.bar} | {met} | `{figure.script}` |"


def comparison(lines: Sequence[Line]) -> Iterator[str]:
    """Yield the figures of the peers as tables of Markdown, one a workload."""
    for name in dict.fromkeys(line["benchmark"] for line in lines if line["benchmark"].startswith("peers")):
        yield f"\n{name.removeprefix('peers, ')}\n"
        yield "| | ms a step | steps/s | MB | durability |"
        yield "|---|---|---|---|---|"
        for line in (line for line in lines if line["benchmark"] == name):
            size = f"{line['disk_bytes'] / 1e6:.2f}" if "disk_bytes" in line else ""
            rate = f"{line['steps_per_s']:,.0f}" if "steps_per_s" in line else ""
            step = f"{line['ms_per_step']:.3f}" if "ms_per_step" in line and not rate else ""
            yield f"| {line['peer']}, {line['way']} | {step} | {rate} | {size} | {line['durability']} |"


def conditions(lines: Sequence[Line]) -> str:
    last: dict[str, Any] = lines[-1]
    loads = [line["load"][0] for line in lines]
    return (
        f"\nPython {last['python']}, {last['system']}, {last['cpus']} CPUs, load {min(loads)} to {max(loads)}, "
        + ", ".join(f"{name} {version}" for name, version in last["versions"].items())
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--only", nargs="*", metavar="NAME", default=[*scripts(""), "peers"])
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--peers", default=os.environ.get("KITARU_PEERS", ""))
    parser.add_argument("--lines", type=Path)
    given = parser.parse_args()
    lines = measured(given.only, given.python, given.peers, given.lines)
    if not given.only and given.lines:
        lines = [json.loads(text) for text in given.lines.read_text().splitlines()]
    if not lines:
        raise SystemExit("nothing was measured")
    print("\n".join([*table(lines), *comparison(lines), conditions(lines)]))


if __name__ == "__main__":
    main()
