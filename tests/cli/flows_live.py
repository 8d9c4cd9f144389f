"""Flows that other commands look at while they execute."""

import asyncio
import os
import time
from pathlib import Path

import kitaru
from kitaru import checkpoint, flow


@checkpoint(runtime="isolated")
def stuck():
    Path("begun").write_text(str(os.getpid()))
    time.sleep(3600)


@flow
def isolated() -> None:
    stuck()


@checkpoint
async def pending():
    Path("begun").touch()
    await asyncio.Event().wait()


@flow
async def tasks() -> None:
    await asyncio.gather(pending(), pending())


def until_told():
    while not Path("go").exists():
        time.sleep(0.01)


@checkpoint
def held():
    Path("begun").touch()
    until_told()


@flow
def waits_in_thread() -> None:
    held()


@checkpoint
def talk():
    print("first")
    kitaru.progress("halfway", percent=50)
    print("second \x1b[31mred")
    Path("begun").touch()
    until_told()
    print("third")


@flow
def talks() -> None:
    talk()


@checkpoint
def quickly() -> str:
    return "done"


@flow
def quick() -> str:
    return quickly()


@flow
def nap(seconds: float = 3600) -> str:
    kitaru.sleep(seconds)
    return "awake"


@checkpoint
def breaks_off() -> None:
    print("no line end", end="")
    raise ValueError("no")


@flow
def breaks() -> None:
    print("the body's", end="")
    breaks_off()


@checkpoint
def charge() -> str:
    with Path("charged").open("a") as file:
        file.write("x")
    return "charged"


@flow
def once(amount: int = 5) -> str:
    return charge()


@checkpoint
def step(n: int) -> int:
    return n


@flow
def many() -> int:
    return sum(step(n) for n in range(5))
