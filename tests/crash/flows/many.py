"""Flows whose calls execute at once: submitted to threads, mapped, and gathered on an event loop."""

import asyncio
import os
import random
import time
from pathlib import Path

from kitaru import checkpoint, flow

CALLS = 24
AT_ONCE = 8


def effect(n):
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{n}\n".encode())
    os.close(fd)


def square(n, before):
    effect(n)
    return {"n": n, "square": n * n, "before": before}


@checkpoint
def step(n: int, before: int = 0) -> dict:
    time.sleep(random.random() / 500)  # whichever ends first
    return square(n, before)


@checkpoint
async def step_async(n: int, before: int = 0) -> dict:
    await asyncio.sleep(random.random() / 500)
    return square(n, before)


@flow(max_workers=AT_ONCE)
def submits() -> list:
    """Eight at once, three times: alone, upon the results of the first eight, and mapped in any order."""
    first = [step.submit(n) for n in range(1, 9)]
    second = [step.submit(n + 8, before=future) for n, future in enumerate(first, 1)]
    numbers = list(range(17, 25))
    random.shuffle(numbers)
    last = sorted(step.map(numbers).results(), key=lambda found: found["n"])
    return [f.result() for f in first] + [{**f.result(), "before": f.result()["before"]["n"]} for f in second] + last


@flow
async def gathered() -> list:
    """Eight branches of three calls each; what they are given differs in the last one only."""

    async def branch(n: int) -> list:
        first = await step_async(n)
        second = await step_async(n + 8, before=first["n"])
        return [first, second, await step_async(n + 16)]

    found = await asyncio.gather(*(branch(n) for n in range(1, 9)))
    return sorted((item for items in found for item in items), key=lambda item: item["n"])


@checkpoint
def holds(n: int) -> int:
    """Stay until the file RELEASE is there."""
    effect(n)
    while not Path(os.environ["RELEASE"]).exists():
        time.sleep(0.005)
    return n


@flow(max_workers=2)
def held() -> list:
    return holds.map(range(1, 6)).results()


@checkpoint
async def holds_async(n: int) -> int:
    effect(n)
    while not Path(os.environ["RELEASE"]).exists():
        await asyncio.sleep(0.005)
    return n


@flow
async def held_async() -> list:
    return await holds_async.map(range(1, 4))
