"""Commands that two processes give at the same moment, many times over, without starting a process for each."""

from __future__ import annotations

import contextlib
import io
import json
import mmap
import os
import sys
from pathlib import Path

SLOT = 8


def race(meeting: str, me: int, others: int, rounds: list[list[str]]) -> int:
    """Give one command a round, each at the moment when all racers have come to that round.

    Prints one JSON line per command: exit status, stdout, stderr.

    Args:
        meeting: a file of zeros, `SLOT` bytes for each racer.
        me: this racer's number.
        others: how many racers there are.
        rounds: words of the commands.
    """
    lines = []
    with Path(meeting).open("r+b") as file, mmap.mmap(file.fileno(), 0) as shared:
        for number, words in enumerate(rounds, 1):
            _meet(shared, me, others, number)
            lines.append(json.dumps(_give(words)))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _meet(shared: mmap.mmap, me: int, others: int, number: int) -> None:
    shared[me * SLOT : (me + 1) * SLOT] = number.to_bytes(SLOT, "little")
    while any(int.from_bytes(shared[n * SLOT : (n + 1) * SLOT], "little") < number for n in range(others)):
        os.sched_yield()


def _give(words: list[str]) -> list[object]:
    from kitaru.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return [code, out.getvalue(), err.getvalue()]


def in_turn(commands: list[list[str]]) -> int:
    """Give commands one after the other; prints as `race`."""
    for words in commands:
        sys.stdout.write(json.dumps(_give(words)) + "\n")
    return 0


def over_and_over(words: list[str], until: str) -> int:
    """Give one command until a file is there; prints as `race`, for each."""
    while not Path(until).exists():
        sys.stdout.write(json.dumps(_give(words)) + "\n")
    return 0
