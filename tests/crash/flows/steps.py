"""Flows for trials. Each call appends its number to the file EFFECTS, which is how a test counts what executed."""

import os
import random
import signal
import time
from pathlib import Path

from kitaru import checkpoint, flow, wait

CALLS = 20


def effect(n):
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{n}\n".encode())
    os.close(fd)


def strike(n, moment):
    """Send this process the signal that STRIKE names, as in `KILL:inside:7`, if the moment has come."""
    kind, when, number = os.environ.get("STRIKE", "::").split(":")
    if when == moment and int(number) == n:
        os.kill(os.getpid(), getattr(signal, f"SIG{kind}"))


@checkpoint
def step(n: int, before: list) -> dict:
    effect(n)
    strike(n, "inside")
    return {"n": n, "square": n * n, "text": "some text that repeats " * 4, "chain": hash(tuple(before))}


@flow
def twenty(calls: int = CALLS) -> list:
    done = []
    for n in range(1, calls + 1):
        strike(n, "between")
        done.append(step(n, [item["n"] for item in done]))
        strike(n, "after")
    return done


@flow
def forking(calls: int = CALLS) -> list:
    """As twenty, with a child that holds whatever it inherited and stays alive."""
    done = []
    for n in range(1, calls + 1):
        done.append(forks(n) if n == calls // 2 else step(n, [item["n"] for item in done]))
    return done


@checkpoint
def forks(n: int) -> dict:
    effect(n)
    child = os.fork()
    if child == 0:
        while True:
            signal.pause()
    with Path(os.environ["CHILDREN"]).open("a") as file:
        file.write(f"{child}\n")
    return {"n": n}


@flow
def held(name: str) -> str:
    return holds(name)


@checkpoint
def holds(name: str) -> str:
    """Stay until the file that RELEASE and the name give is there."""
    effect(1)
    strike(1, "inside")
    while not Path(os.environ["RELEASE"] + name).exists():
        time.sleep(0.005)
    return name


@flow
def asks(name: str) -> bool:
    return wait(name="approve", question=f"Is {name} right?")


@checkpoint
def breaks(n: int) -> dict:
    effect(n)
    if not Path(os.environ["RELEASE"]).exists():
        raise ValueError("not yet")
    return {"n": n}


@flow
def failing() -> list:
    return [step(1, []), breaks(2), step(3, [])]


@checkpoint
def large(n: int) -> dict:
    effect(n)
    return {"n": n, "blob": random.Random(n).randbytes(60_000)}


@flow
def filling(calls: int = 20) -> list:
    return [large(n)["n"] for n in range(1, calls + 1)]


def _one_of_eight(n):
    def body(calls: int = 10) -> list:
        return [step(n * 100 + i, []) for i in range(calls)]

    body.__name__ = body.__qualname__ = f"flow_{n}"
    return flow(body)


flow_1, flow_2, flow_3, flow_4 = (_one_of_eight(n) for n in (1, 2, 3, 4))
flow_5, flow_6, flow_7, flow_8 = (_one_of_eight(n) for n in (5, 6, 7, 8))
