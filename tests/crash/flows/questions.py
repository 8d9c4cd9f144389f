"""A flow with a question between two calls, and one with two questions at once."""

import asyncio
import os

from kitaru import checkpoint, flow, wait, wait_async


def effect(n):
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{n}\n".encode())
    os.close(fd)


@checkpoint
def draft() -> dict:
    effect(1)
    return {"n": 1}


@checkpoint
def publish(approved: bool) -> dict:
    effect(2)
    return {"n": 2, "approved": approved}


@flow
def approval(stay: float = 0) -> dict:
    draft()
    return publish(wait("approve", "Publish it?", timeout=stay))


@flow
def lapsing() -> dict:
    draft()
    return publish(wait("approve", "Publish it?", deadline=0.001, default=True, timeout=30))


@checkpoint
async def act(name: str, approved: bool) -> dict:
    effect(3 if name == "staging" else 4)
    return {"n": name, "approved": approved}


@flow
async def branches() -> list:
    async def branch(name):
        return await act(name, await wait_async("approve", f"delete {name}?"))

    return list(await asyncio.gather(branch("staging"), branch("prod")))
