"""The inbox with 500 open questions: from the command to the list on a terminal, and a key in the filter.

Usage: inbox.py [WAITS [ROUNDS]]. Opening is a real process on a pseudo-terminal, timed until the count of questions
stands on it; a key of the filter, until the count of those that fit does.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from kitaru.project import Project
from kitaru.project.inbox import Inbox
from tests.benchmarks.measuring import directory, project, say

REPO = Path(__file__).parents[2]
FLOW = """
import kitaru

@kitaru.checkpoint
def draft(topic: str) -> str:
    return f"# {topic}"

@kitaru.flow
def publish(topic: str) -> bool:
    draft(topic)
    return kitaru.wait("approve", question=f"Publish **{topic}**?", schema=bool)
"""


def prepare(root: Path, waits: int) -> Project:
    made = project(root, "process-crash")
    (root / "publishing.py").write_text(FLOW)
    for n in range(waits):
        made.run(f"{root / 'publishing.py'}:publish", {"topic": f"topic {n}"}, foreground=True)
    made.log()
    return made


class Terminal:
    """`kitaru inbox` on a pseudo-terminal of 120 columns and 40 lines."""

    def __init__(self, root: Path) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(REPO)}
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kitaru", "inbox"],
            cwd=root,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def until(self, wanted: str) -> float:
        """Read until a text is drawn, and return the time."""
        seen = b""
        while wanted.encode() not in seen:
            if not select.select([self.ours], [], [], 20)[0]:
                raise SystemExit(f"{wanted!r} was not drawn: {seen[-500:]!r}")
            seen += os.read(self.ours, 65536)
        return time.perf_counter()

    def rest(self) -> None:
        """Read until nothing comes for a while: what the last key set off is done."""
        while select.select([self.ours], [], [], 0.2)[0]:
            os.read(self.ours, 65536)

    def press(self, key: str, wanted: str) -> float:
        """Press a key, and return the seconds until a text is drawn."""
        began = time.perf_counter()
        os.write(self.ours, key.encode())
        return self.until(wanted) - began

    def close(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        os.close(self.ours)


def open_once(root: Path, waits: int) -> float:
    """Return the seconds from starting the command until it shows how many questions there are."""
    terminal = Terminal(root)
    took = terminal.until(f"{waits} open") - terminal.began
    terminal.close()
    return took


def keys(root: Path, waits: int, text: str) -> list[float]:
    """Return the seconds from each key of a filter, typed and taken back, until the count of what fits is drawn."""
    terminal = Terminal(root)
    terminal.until(f"{waits} open")
    terminal.rest()
    os.write(terminal.ours, b"/")
    times = []
    for key in [*text, *["\x7f"] * (len(text) - 1)] * 3:
        terminal.rest()
        times.append(terminal.press(key, f" of {waits} open"))
    terminal.close()
    return times


def poll_cpu(found: Project) -> float:
    """Return the seconds of computing that a look at an unchanged store takes."""
    inbox = Inbox(found)
    inbox.questions()
    times = []
    for _ in range(20):
        began = time.process_time()
        inbox.questions()
        times.append(time.process_time() - began)
    return statistics.median(times)


def measure(waits: int, rounds: int) -> None:
    with directory() as root:
        found = prepare(root, waits)
        opened = [open_once(root, waits) for _ in range(rounds + 1)][1:]
        times = keys(root, waits, "topic 49")
        say(
            "inbox",
            waits=waits,
            open_s=round(statistics.median(opened), 3),
            open_fastest_s=round(min(opened), 3),
            key_ms=round(statistics.median(times) * 1000, 1),
            key_most_ms=round(max(times) * 1000, 1),
            poll_cpu_ms=round(poll_cpu(found) * 1000, 1),
        )


if __name__ == "__main__":
    measure(*(int(word) for word in [*sys.argv[1:], *["500", "5"][len(sys.argv) - 1 :]]))
