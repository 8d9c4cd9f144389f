"""Kitaru and its peers side by side: the same workloads, taking turns, on one file system. Prints JSON lines.

Usage: peers.py [FOLDER] [ROUNDS] [WORKLOAD ...], where FOLDER (or KITARU_PEERS in the environment) holds the benches of
the peers: `NAME/bench.py`, each with a virtual environment in `NAME/venv`. A peer without one is left out, and named.
Workloads are `calls`, `resume`, `history`, `runs`. `BENCH_DIR` says where data goes, as everywhere.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.measuring import say

REPO = Path(__file__).parents[2]

DBOS = "SQLite, rollback journal, synchronous=FULL: each step synced before it returns"
BURR = "SQLite, rollback journal, synchronous=FULL: each step synced before the next"
LANGGRAPH = "SQLite, WAL, synchronous=FULL, in a thread behind: the next step starts before the last is durable"
LANGGRAPH_SYNC = "the same: what tasks return is written behind; only checkpoints, between supersteps, are waited for"
POWER_LOSS = "append and fdatasync: each call synced before it returns"
PROCESS_CRASH = "append without sync: survives the process, not the machine"

DISTRIBUTIONS = {
    "kitaru": ("kitaru",),
    "burr": ("burr",),
    "dbos": ("dbos",),
    "langgraph": ("langgraph", "langgraph-checkpoint-sqlite"),
}


@dataclass(slots=True)
class Entry:
    """One side of a comparison.

    Attributes:
        peer: the folder of its bench.
        way: how it was used, where it can be used in several ways.
        words: what its bench is called with.
        durability: what is on the disk when.
        lines: what it printed, once a round.
    """

    peer: str
    way: str
    words: list[str]
    durability: str
    lines: list[dict[str, float]] = field(default_factory=list)


def workloads() -> dict[str, tuple[str, list[Entry]]]:
    """Return for each workload the figure that matters, and who takes part."""
    functional, graph = "functional API", "StateGraph"
    return {
        "calls": (
            "ms_per_step",
            [
                Entry("kitaru", "power-loss", ["A", "1000", "power-loss"], POWER_LOSS),
                Entry("kitaru", "process-crash", ["A", "1000", "process-crash"], PROCESS_CRASH),
                Entry("burr", "SQLitePersister", ["A", "1000"], BURR),
                Entry("langgraph", functional, ["A_fn", "1000", "sqlite", "async"], LANGGRAPH),
                Entry("langgraph", f"{functional}, sync", ["A_fn", "1000", "sqlite", "sync"], LANGGRAPH_SYNC),
                Entry("langgraph", graph, ["A_graph", "1000", "sqlite", "async"], LANGGRAPH),
                Entry("dbos", "SQLite", ["A", "1000", "sqlite"], DBOS),
            ],
        ),
        "resume": (
            "ms_per_step",
            [
                Entry("kitaru", "power-loss", ["B", "1000", "power-loss"], POWER_LOSS),
                Entry("burr", "SQLitePersister", ["B", "1000"], BURR),
                Entry("langgraph", functional, ["B_fn", "1000", "sqlite", "async"], LANGGRAPH),
                Entry("dbos", "SQLite", ["B", "1000", "sqlite"], DBOS),
            ],
        ),
        "history": (
            "disk_bytes",
            [
                Entry("kitaru", "power-loss", ["C", "300", "power-loss"], POWER_LOSS),
                Entry("burr", "state.append", ["C", "300"], BURR),
                Entry("langgraph", f"{graph}, add_messages", ["C_graph", "300", "sqlite", "async"], LANGGRAPH),
                Entry("langgraph", f"{graph}, DeltaChannel", ["C_graph_delta", "300", "sqlite"], LANGGRAPH),
                Entry("langgraph", functional, ["C_fn_hist", "300", "sqlite", "async"], LANGGRAPH),
                Entry("dbos", "SQLite", ["C_hist", "300", "sqlite"], DBOS),
            ],
        ),
        "runs": (
            "steps_per_s",
            [
                Entry("kitaru", "8 threads, power-loss", ["E", "100"], POWER_LOSS),
                Entry("burr", "8 threads", ["E", "100"], BURR),
                Entry("langgraph", f"{functional}, 8 threads", ["E_fn", "100", "sqlite", "async"], LANGGRAPH),
                Entry("dbos", "start_workflow", ["E", "100", "sqlite"], DBOS),
            ],
        ),
    }


def command(entry: Entry, folder: Path) -> list[str]:
    if entry.peer == "kitaru":
        return [sys.executable, "-m", "tests.benchmarks.ours", *entry.words]
    return [str(python(entry.peer, folder)), str(folder / entry.peer / "bench.py"), *entry.words]


def python(peer: str, folder: Path) -> Path:
    return folder / peer / "venv" / "bin" / "python"


def run(entry: Entry, folder: Path) -> None:
    """Run one bench once, with a directory of its own for data."""
    with tempfile.TemporaryDirectory(prefix="kitaru-peers-", dir=os.environ.get("BENCH_DIR")) as data:
        env = os.environ | {"DIR": data, "PEERS": str(folder), "LANGSMITH_TRACING": "false", "DO_NOT_TRACK": "1"}
        done = subprocess.run(command(entry, folder), cwd=REPO, env=env, capture_output=True, text=True, timeout=600)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"{entry.peer} {entry.words} printed nothing:\n{done.stderr[-2000:]}")
    entry.lines.append(json.loads(lines[-1]))


def version(peer: str, folder: Path) -> str:
    names = DISTRIBUTIONS[peer]
    script = f"from importlib.metadata import version as v; print(*(n + ' ' + v(n) for n in {names!r}), sep=', ')"
    interpreter = sys.executable if peer == "kitaru" else str(python(peer, folder))
    done = subprocess.run([interpreter, "-c", script], capture_output=True, text=True)
    return done.stdout.strip() or peer


def compare(name: str, folder: Path, rounds: int) -> None:
    figure, entries = workloads()[name]
    absent = sorted({e.peer for e in entries if e.peer != "kitaru" and not python(e.peer, folder).exists()})
    entries = [entry for entry in entries if entry.peer not in absent]
    for _ in range(rounds):
        for entry in entries:
            run(entry, folder)
    ours = statistics.median(line[figure] for line in entries[0].lines)
    for entry in entries:
        medians = {
            key: round(statistics.median(line[key] for line in entry.lines), 4)
            for key in ("total_s", "ms_per_step", "disk_bytes", "steps_per_s", "import_s")
            if key in entry.lines[0]
        }
        say(
            f"peers, {name}",
            peer=version(entry.peer, folder),
            way=entry.way,
            durability=entry.durability,
            rounds=rounds,
            **medians,
            over_kitaru=round(medians[figure] / ours, 3),
            each=[line[figure] for line in entry.lines],
            reexecuted=max(line.get("reexecuted_steps", 0) for line in entry.lines),
            absent=absent,
        )


if __name__ == "__main__":
    words = sys.argv[1:]
    folder = Path(words.pop(0) if words and not words[0].isdigit() else os.environ.get("KITARU_PEERS", ""))
    if not (folder / "common.py").exists():
        raise SystemExit(f"no benches of peers in {folder}; give their folder, or set KITARU_PEERS")
    rounds = int(words.pop(0)) if words else 3
    for name in words or list(workloads()):
        compare(name, folder.resolve(), rounds)
