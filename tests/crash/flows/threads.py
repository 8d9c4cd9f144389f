"""Flows whose calls stay, on threads, until the file that RELEASE names is there."""

import asyncio
import os
import time
from pathlib import Path

from kitaru import checkpoint, flow


@flow
def submitted() -> int:
    return sum(future.result() for future in [holds.submit(), holds.submit()])


@flow
async def on_a_loop() -> int:
    beside = holds.submit()
    return await asyncio.to_thread(holds) + await beside


@checkpoint
def holds() -> int:
    Path(os.environ["EFFECTS"]).touch()
    while not Path(os.environ["RELEASE"]).exists():
        time.sleep(0.005)
    return 1
