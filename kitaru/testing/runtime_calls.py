"""What the contract of runtimes has called: checkpoints at the top level of a module, where any process finds them."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path

from kitaru.runtime.artifacts import load_saved, log, save
from kitaru.runtime.context import current_call
from kitaru.runtime.decorators import checkpoint
from kitaru.runtime.primitives import progress

FOREVER_S = 600.0


@checkpoint
def gathered(first: object, *more: object, named: object = "default", **others: object) -> object:
    """Return the arguments."""
    return [first, list(more), named, others]


@checkpoint
def fails(text: str) -> None:
    """Raise."""
    raise LookupError(text)


@checkpoint
def unstorable() -> object:
    """Return what cannot be stored."""
    return [threading.Lock()]


@checkpoint
def speaks(text: str) -> None:
    """Write to stdout and stderr, and log."""
    print("out", text)  # noqa: T201 - that it is captured is what is tried
    print("err", text, file=sys.stderr)  # noqa: T201 - as above
    logging.getLogger("contract").error("log %s", text)


@checkpoint
def records(text: str) -> list[object]:
    """Use all that a call can ask of its run."""
    call = current_call()
    log(text=text)
    progress("half", current=1, total=2)
    save("doubled", text * 2)
    return [call.run, call.name, call.attempt, call.key, load_saved("earlier")]


@checkpoint
def loads(name: str) -> object:
    """Load something."""
    return load_saved(name)


@checkpoint
def leaves(code: int) -> None:
    """End the process."""
    os._exit(code)


@checkpoint
def lasts(path: str) -> None:
    """Say that it has begun, by a file that others wait for, and go on for ever."""
    Path(path).write_text("begun")
    time.sleep(FOREVER_S)
