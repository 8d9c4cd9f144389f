"""Machines of a team: directories of their own, users of their own, and the command line as each of them types it.

Owns: starting commands and waiting for them, each with a limit. What they share is a place that a test gives.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from kitaru.project import Project

ROOT = Path(__file__).parents[2]
LIMIT_S = 120

FLOWS = """
import os
import time
from pathlib import Path
import kitaru
from kitaru import checkpoint, flow

@checkpoint
def publish(n: int) -> int:
    with open(os.environ["EFFECTS"], "a") as effects:
        effects.write(f"{n}\\n")
    return n

@flow
def asks(n: int) -> int:
    return publish(n) if kitaru.wait("approve") else 0

@checkpoint
def slowly(n: int) -> int:
    effects = Path(os.environ["EFFECTS"])
    effects.with_name("begun").touch()
    while not effects.with_name("released").exists():
        time.sleep(0.01)
    return n

@flow
def held(n: int) -> int:
    return publish(slowly(n)) if kitaru.wait("approve") else 0

@checkpoint
def tick(n: int) -> None:
    Path(os.environ["EFFECTS"]).with_name("begun").touch()
    time.sleep(0.02)

@flow
def ticks(n: int) -> int:
    if kitaru.wait("approve"):
        for n in range(5000):
            tick(n)
    return n

@flow
def does(n: int) -> int:
    return publish(n)
"""


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Machine:
    """A directory and a user; `effects` is the file that flows write to."""

    name: str
    directory: Path
    effects: Path
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def project(self):
        project = Project.open(self.directory)
        object.__setattr__(project.services, "user", self.name)
        return project

    def start(self, *words):
        env = {name: value for name, value in os.environ.items() if not name.startswith("KITARU")}
        env |= {"USER": self.name, "LOGNAME": self.name, "PYTHONPATH": str(ROOT), "EFFECTS": str(self.effects)}
        process = subprocess.Popen(
            [sys.executable, "-m", "kitaru", *map(str, words)],
            cwd=self.directory,
            env=env | {"NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        return process

    def kitaru(self, *words, code=0):
        ended = end_of(self.start(*words))
        assert ended.code == code, f"{self.name}$ kitaru {words}: {ended}"
        return ended

    def stop(self):
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.communicate()


def end_of(process):
    out, err = process.communicate(timeout=LIMIT_S)
    return Ended(process.returncode, out, err)


def wait_until(holds):
    """Return once something holds; what never does fails."""
    until = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


class Team:
    """Machines that share a place."""

    def __init__(self, root, place):
        self.root, self.place = root, place
        self.effects = root / "effects"
        self.machines = {}

    def machine(self, name):
        """Return a machine whose directory is a project with the remote `team`."""
        made = self.machines[name] = Machine(name, self.root / name, self.effects)
        project = Project.init(made.directory)
        project.add_remote("team", self.place.url, **{k.replace("-", "_"): v for k, v in self.place.options.items()})
        return made

    def did(self):
        """Return the numbers of what flows did outside, each as often as they did it."""
        return sorted(int(line) for line in self.effects.read_text().split()) if self.effects.exists() else []

    def stop(self):
        for machine in self.machines.values():
            machine.stop()
