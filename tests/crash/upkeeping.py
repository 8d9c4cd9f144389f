"""What workers do to a store while others do something else to it."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from kitaru.errors import KitaruError
from kitaru.project import Project
from kitaru.store import packing

GRACE_US = 20_000_000
"""Nobody here takes that long from an object to what names it, on however slow a machine."""
MANY = 1000


def runs(rounds: int) -> int:
    """Run a flow, so many times."""
    from kitaru.cli import main

    return max(main(["run", "-q", "-o", "json", "steps.py:twenty", "calls=3"]) for _ in range(rounds))


def replays(rounds: int) -> int:
    """Replay any finished run, so many times; one that was pruned before it could be replayed does not count."""
    numbers, done = random.Random(rounds), 0
    for _ in range(MANY * rounds):
        project = Project.open()
        finished = [s.run for s in project.log() if s.status == "completed"]
        run = numbers.choice(finished)
        try:
            project.replay(run, from_="step#2", foreground=True).get()
            done += 1
        except KitaruError:
            if run not in project.repo.pruned_ids():
                raise
        if done == rounds:
            return 0
    return 1


def prunes(rounds: int) -> int:
    """Remove all runs but the newest few, so many times."""
    for _ in range(rounds):
        while not Project.open().prune(keep_last=4):
            if len(Project.open().repo.pruned_ids()) >= rounds:
                return 0
    return 0


def gc_until(done: str) -> int:
    """Pay visits until a file is there; print how many packs were written."""
    packing.ENOUGH = 2
    packs = 0
    while not (Path(done).exists() and packs):
        packs += Project.open().gc(grace_us=GRACE_US).packs
    sys.stdout.write(f"{packs}\n")
    return 0


def read_until(done: str) -> int:
    """Read every value of every run until a file is there; print how many were read."""
    read = 0
    while True:
        is_last = Path(done).exists()
        project = Project.open()
        for summary in project.log():
            try:
                read += _values(project, summary.run)
            except KitaruError:
                if summary.run not in Project.open().repo.pruned_ids():
                    raise
        if is_last:
            sys.stdout.write(f"{read}\n")
            return 0


def _values(project: Project, run: str) -> int:
    calls = [call for call in project.state(run).ordered_calls if call.record is not None]
    for call in calls:
        value = project.value(call.record.output, run)  # type: ignore[union-attr]  # has a record: asked above
        assert isinstance(value, dict)
        assert value["n"] == call.order
    return len(calls)
