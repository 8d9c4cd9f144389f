"""A flow whose calls execute in processes of their own; each call notes its number and its processes, in files."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from kitaru import checkpoint, flow

CALLS = 6
FOREVER_S = 600.0
SLEEPER = [sys.executable, "-S", "-c", f"import time; time.sleep({FOREVER_S})"]


def note(beside, name, *what):
    with Path(beside, name).open("a") as file:
        file.write("".join(f"{word}\n" for word in what))


def runner():
    """Return the process id of the run's process: the parent of this one's warden."""
    return int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1])


@checkpoint(runtime="isolated")
def apart(n: int, beside: str, before: list) -> dict:
    note(beside, "did", n)
    note(beside, "pids", os.getpid(), os.getppid())
    if n % 2:
        child = subprocess.Popen(SLEEPER, start_new_session=n % 4 == 1)
        note(beside, "pids", child.pid)
    struck = Path(beside, "strike")
    if struck.exists() and struck.read_text() == str(n):
        struck.unlink()
        os.kill(runner(), signal.SIGKILL)
        time.sleep(FOREVER_S)
    return {"n": n, "square": n * n, "chain": sum(before)}


@flow
def six(beside: str) -> list:
    done = []
    for n in range(1, CALLS + 1):
        done.append(apart(n, beside, [item["n"] for item in done]))
    return done


@checkpoint
def forks(beside: str) -> None:
    """Leave a child that has inherited all that this process has open."""
    child = os.fork()
    if child == 0:
        while True:
            signal.pause()
    note(beside, "forked", child)


@flow
def after_a_fork(beside: str) -> list:
    first = apart(1, beside, [])
    forks(beside)
    return [first, apart(2, beside, [1])]


@checkpoint(runtime="isolated")
def stuck(beside: str) -> None:
    """Hold the interpreter's lock for ever, while the run is killed."""
    note(beside, "pids", os.getpid(), os.getppid())
    killer = f"sleep 0.2; kill -9 {runner()}"
    note(beside, "pids", subprocess.Popen(["sh", "-c", killer], start_new_session=True).pid)
    ctypes.PyDLL(None).sleep(int(FOREVER_S))


@flow
def gets_stuck(beside: str) -> None:
    stuck(beside)


@flow
def at_once(beside: str) -> list:
    return apart.map(list(range(1, CALLS + 1)), beside=beside, before=[]).results()
