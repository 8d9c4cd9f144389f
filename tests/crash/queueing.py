"""Workers that take from a queue and are killed: started, listened to, struck down with all that belongs to them.

Owns: the processes and what they say. What must hold is in `test_queue`.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.crash.workers import LIMIT_S, REPO

FLOWS = """
import os
from kitaru import checkpoint, flow

@checkpoint
def double(n: int) -> int:
    with open(os.environ["EFFECTS"], "a") as file:
        file.write(f"{n}\\n")
    return 2 * n

@flow
def doubling(n: int) -> int:
    return double(n) + double(n + 1000)
"""


class Crew:
    """Some `kitaru work --once` side by side; whoever is killed is followed by another.

    Args:
        commands: the directory that each works in, and its words after `kitaru`.
        effects: the file that the flows write to.
    """

    def __init__(self, commands: list[tuple[Path, list[str]]], effects: Path) -> None:
        self._commands, self._effects = commands, effects
        self._heard: queue.SimpleQueue[tuple[int, dict[str, Any] | None]] = queue.SimpleQueue()
        self.processes: list[subprocess.Popen[str]] = []
        self.events: list[dict[str, Any]] = []
        self.kills = 0

    def run(self, kill_every: int, most_kills: int) -> None:
        """Work until nothing is left to do, and kill whoever takes the n-th, the 2n-th, … run up."""
        at_work = {self._start(place) for place in range(len(self._commands))}
        starts = 0
        while at_work:
            number, event = self._heard.get(timeout=LIMIT_S)
            if event is None:
                at_work.discard(number)
                if self.processes[number].wait() < 0:
                    at_work.add(self._start(number % len(self._commands)))
                continue
            self.events.append(event)
            starts += event["event"] == "start"
            if event["event"] == "start" and starts % kill_every == 0 and self.kills < most_kills:
                self._strike(number)

    def _strike(self, number: int) -> None:
        """Kill a worker; every second time with all that it has started."""
        process = self.processes[number]
        if process.poll() is not None:
            return
        self.kills += 1
        for pid in [process.pid, *(descendants(process.pid) if self.kills % 2 else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _start(self, place: int) -> int:
        number = place
        while number < len(self.processes):
            number += len(self._commands)
        directory, words = self._commands[place]
        process = subprocess.Popen(
            [sys.executable, "-m", "kitaru", *words],
            cwd=directory,
            env={**os.environ, "EFFECTS": str(self._effects), "PYTHONPATH": str(REPO)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes += [process] * (number + 1 - len(self.processes))
        self.processes[number] = process
        threading.Thread(target=self._listen, args=(number, process), daemon=True).start()
        return number

    def _listen(self, number: int, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with contextlib.suppress(ValueError):  # cut off by a kill
                    self._heard.put((number, json.loads(line)))
        self._heard.put((number, None))

    def close(self) -> None:
        """End what is still there, with all that it has started."""
        for process in set(self.processes):
            for pid in [*descendants(process.pid), process.pid] if process.poll() is None else []:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that these have."""
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:  # it is gone
        return []
    return [found for child in children for found in (child, *descendants(child))]
