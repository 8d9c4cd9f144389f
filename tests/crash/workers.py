"""Worker processes for trials, and the project they work in.

Owns: starting them (by `zygote`), waiting for them, killing them by pid. Every wait has a limit, so that a hung worker
is a failed test and not a hung suite.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kitaru.project import Project

REPO = Path(__file__).parents[2]
LIMIT_S = 60.0
"""Nothing here takes more than a few seconds; a worker that is still alive then hangs."""


@dataclass
class Ended:
    """How a worker ended: exit status (negative: by that signal) and what it wrote."""

    code: int
    out: str
    err: str


@dataclass
class Worker:
    """A process at work; its number is its own, while its pid may become another's when it has ended."""

    pid: int
    number: int
    zygote: Zygote
    out: Path
    err: Path

    def wait(self, limit_s: float = LIMIT_S) -> Ended:
        code = self.zygote.ended(self.number, limit_s)
        return Ended(code, self.out.read_text(), self.err.read_text())

    def signal(self, number: int) -> None:
        if self.number not in self.zygote.ends:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> Ended:
        self.signal(signal.SIGKILL)
        return self.wait()


class Zygote:
    """Forks workers that have Kitaru loaded."""

    def __init__(self) -> None:
        self.ends: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        self._forked: list[int] = []
        self._count = itertools.count()
        self._ready = False
        self._rest = b""
        path = os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")])
        env = {k: v for k, v in os.environ.items() if not k.startswith(("KITARU", "PYTEST"))} | {"PYTHONPATH": path}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote"],
            cwd=REPO,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._listen(lambda: self._ready, LIMIT_S)

    def fork(self, entry: str, *args: Any, cwd: Path, env: dict[str, str], out: Path, err: Path) -> Worker:
        order = {"entry": entry, "args": args, "cwd": str(cwd), "env": env, "out": str(out), "err": str(err)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._listen(lambda: bool(self._forked), LIMIT_S)
        pid = self._forked.pop()
        return Worker(pid, self._numbers[pid], self, out, err)

    def ended(self, number: int, limit_s: float) -> int:
        self._listen(lambda: number in self.ends, limit_s)
        return self.ends[number]

    def first_of(self, workers: list[Worker]) -> Worker:
        """Wait until one of these has ended, and return which."""
        self._listen(lambda: any(worker.number in self.ends for worker in workers), LIMIT_S)
        return next(worker for worker in workers if worker.number in self.ends)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(LIMIT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _listen(self, until: Any, limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        while not until():
            readable, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise TimeoutError(f"nothing happened for {limit_s} s; still at work: see `ps`")
            chunk = os.read(fd, 1 << 16)
            if not chunk:
                raise RuntimeError("the process that forks workers has died")
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._hear(json.loads(line))

    def _hear(self, event: dict[str, Any]) -> None:
        if event["about"] == "fork":
            self._numbers[event["pid"]] = next(self._count)
            self._forked.append(event["pid"])
        elif event["about"] == "end":
            self.ends[self._numbers[event["pid"]]] = event["status"]
        else:
            self._ready = True


@dataclass
class Place:
    """A project for trials, with the flows of `flows/`, and the files by which they tell what they did."""

    root: Path
    zygote: Zygote
    effects: Path
    workers: list[Worker] = field(default_factory=list)
    _count: Any = field(default_factory=itertools.count)

    def start(self, entry: str, *args: Any, **env: str) -> Worker:
        """Start a worker; capitals in `env` are environment variables for it."""
        stem = self.effects.parent / f"worker-{next(self._count)}"
        given = {"EFFECTS": str(self.effects), "NO_COLOR": "1", **env}
        out, err = stem.with_suffix(".out"), stem.with_suffix(".err")
        worker = self.zygote.fork(entry, *args, cwd=self.root, env=given, out=out, err=err)
        self.workers.append(worker)
        return worker

    def starting(self, *words: str, **env: str) -> Worker:
        """Start a command line."""
        return self.start("tests.crash.trial:command", list(words), **env)

    def kitaru(self, *words: str, **env: str) -> Ended:
        """Run a command line to its end."""
        return self.starting(*words, **env).wait()

    def project(self) -> Project:
        """Open the project in this process, for looking."""
        return Project.open(self.root)

    def only_run(self) -> str | None:
        """Return the one run of the project, or None where nothing was recorded yet."""
        runs = self.project().log()
        assert len(runs) < 2
        return runs[0].run if runs else None

    def recorded(self, run: str) -> list[int]:
        """Return the numbers of the calls whose end is recorded."""
        project = self.project()
        calls = project.state(run).ordered_calls
        outputs = [c.record.output for c in calls if c.record is not None]
        return [project.value(output, run)["n"] for output in outputs]

    def did(self) -> list[int]:
        """Return the numbers of the calls that executed, each as often as it did."""
        return [int(line) for line in self.effects.read_text().split()] if self.effects.exists() else []

    def is_clean(self) -> None:
        report = self.project().check()
        assert report.is_clean, report.findings

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()


def wait_for(path: Path, limit_s: float = LIMIT_S) -> None:
    """Return when a worker has made a file."""
    deadline = time.monotonic() + limit_s
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} was never made")
        time.sleep(0.002)


@contextlib.contextmanager
def started(place: Place, flow: str, release: Path, *inputs: str) -> Iterator[subprocess.Popen[str]]:
    """`kitaru run` of a flow as a shell starts it, whose calls are held until a file named as `release` is there."""
    env = {"EFFECTS": str(place.effects), "RELEASE": str(release), "PYTHONPATH": str(REPO), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "kitaru.cli", "run", flow, *inputs],
        cwd=place.root,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    guard = threading.Timer(LIMIT_S / 2, process.kill)
    guard.start()
    try:
        yield process
    finally:
        guard.cancel()
        process.kill()
        process.communicate()
