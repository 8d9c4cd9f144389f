"""push and pull, as whole commands, with a real server of S3 on this machine.

Usage: remote.py [--runs N] [--calls N] [--known N] [--mb N] [--rounds N] [--python PYTHON], where PYTHON is as for
start.py (this interpreter otherwise). Beside the large artifact, s3fs puts and gets the same file at the same server,
taking turns. `calls` is of the runs that are pushed and pulled, `known` how many are on a remote with nothing new. Of
all rounds the lowest counts: the server needs much of the machine, and whatever else is done there only adds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks import workload
from tests.benchmarks.measuring import directory, project, say
from tests.servers.proxy import Proxy
from tests.servers.seaweed import Seaweed

REPO = Path(__file__).parents[2]


_S3FS = """
import sys, s3fs
getattr(s3fs.S3FileSystem(endpoint_url=sys.argv[1]), sys.argv[2])(*sys.argv[3:])
"""


class Bench:
    """Commands of one interpreter, and places on one server."""

    def __init__(self, python: str, server: Seaweed, root: Path) -> None:
        self.server, self.root = server, root
        self.python = python
        self.env = os.environ | server.writer.env | ({"PYTHONPATH": str(REPO)} if python == sys.executable else {})
        self.env.pop("PYTHONDONTWRITEBYTECODE", None)

    def kitaru(self, cwd: Path, *words: str) -> float:
        """Return how long a command takes, from its start to its end."""
        argv = [self.python, "-m", "kitaru.cli", *words]
        began = time.perf_counter()
        subprocess.run(argv, cwd=cwd, env=self.env, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began

    def s3fs(self, method: str, *words: str) -> float:
        """Return how long a process takes in which s3fs does one thing."""
        argv = [self.python, "-c", _S3FS, self.server.endpoint, method, *words]
        began = time.perf_counter()
        subprocess.run(argv, env=self.env, check=True)
        return time.perf_counter() - began

    def place(self, name: str) -> str:
        return f"s3://{self.server.bucket}/{name}"


def filled(root: Path, runs: int, calls: int) -> Path:
    """Make a project with so many finished runs."""
    made = project(root, "process-crash")
    for _ in range(runs):
        made.run(workload.sequential, {"calls": calls}, foreground=True).get()
    return root


def requests_of(bench: Bench, root: Path, name: str) -> int:
    """Return how many requests a push to an empty place takes, counted on the way."""
    with Proxy(bench.server.port) as proxy:
        bench.kitaru(root, "remote", "add", name, bench.place(name), "--endpoint-url", proxy.endpoint)
        bench.kitaru(root, "push", name, "-q")
        return len(proxy.requests)


def many(bench: Bench, runs: int, calls: int, rounds: int) -> None:
    root = filled(bench.root / "many", runs, calls)
    pushes, pulls = [], []
    for n in range(rounds):
        name = f"many{n}"
        bench.kitaru(root, "remote", "add", name, bench.place(name), "--endpoint-url", bench.server.endpoint)
        pushes.append(bench.kitaru(root, "push", name, "-q"))
        target = bench.root / f"pulled{n}"
        project(target)
        bench.kitaru(target, "remote", "add", "team", bench.place(name), "--endpoint-url", bench.server.endpoint)
        pulls.append(bench.kitaru(target, "pull", "-q"))
    say(
        "remote, many runs",
        runs=runs,
        calls=calls,
        rounds=rounds,
        push_s=round(min(pushes), 2),
        pull_s=round(min(pulls), 2),
        requests_per_run=round(requests_of(bench, root, "counted") / runs, 2),
    )


def nothing_new(bench: Bench, known: int, rounds: int) -> None:
    root = filled(bench.root / "known", known, 1)
    bench.kitaru(root, "remote", "add", "team", bench.place("known"), "--endpoint-url", bench.server.endpoint)
    first = bench.kitaru(root, "push", "-q")
    again = [bench.kitaru(root, "push", "-q") for _ in range(rounds)]
    say("remote, nothing new", runs=known, first_s=round(first, 2), push_s=round(min(again), 2))


def large(bench: Bench, megabytes: int, rounds: int) -> None:
    """Push and pull one artifact of noise; let s3fs put and get its file."""
    noise = bench.root / "noise"
    noise.write_bytes(os.urandom(megabytes << 20))
    took: dict[str, list[float]] = {name: [] for name in ("push", "put", "pull", "get")}
    for n in range(rounds):
        root, target, key = bench.root / f"large{n}", bench.root / f"large-pulled{n}", f"{bench.server.bucket}/put{n}"
        project(root, "process-crash").run(workload.reads, {"path": str(noise)}, foreground=True).get()
        project(target)
        for place in (root, target):
            bench.kitaru(
                place, "remote", "add", "team", bench.place(f"large{n}"), "--endpoint-url", bench.server.endpoint
            )
        took["push"].append(bench.kitaru(root, "push", "-q"))
        took["put"].append(bench.s3fs("put_file", str(noise), key))
        took["pull"].append(bench.kitaru(target, "pull", "-q"))
        took["get"].append(bench.s3fs("get_file", key, str(bench.root / "got")))
        shutil.rmtree(target)
    least = {name: min(seconds) for name, seconds in took.items()}
    say(
        "remote, large",
        mb=megabytes,
        **{f"{name}_s": round(seconds, 2) for name, seconds in least.items()},
        push_over_put=round(least["push"] / least["put"], 2),
        pull_over_get=round(least["pull"] / least["get"], 2),
        rounds=rounds,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--known", type=int, default=1000)
    parser.add_argument("--mb", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", default=sys.executable)
    given = parser.parse_args()
    with directory() as made_root, directory() as data, Seaweed(data) as seaweed:
        made = Bench(given.python, seaweed, made_root)
        many(made, given.runs, given.calls, given.rounds)
        nothing_new(made, given.known, given.rounds)
        large(made, given.mb, given.rounds)
