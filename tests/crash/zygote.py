"""A process that has Kitaru loaded and forks one worker for each order, so that a trial costs a fork and no start-up.

Speaks JSON lines: an order on stdin is answered by the worker's pid, and every worker's end is told as it happens. When
stdin closes, it kills the workers that are left, by pid, and ends. Knows nothing of what is tried.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import select
import signal
import sys
import tempfile
from importlib import import_module
from pathlib import Path

READY = "ready"
LOADED = (
    "diskcache",
    "kitaru.cli.app",
    "kitaru.cli.progress",
    "kitaru.runtime.handle",
    "kitaru.runtime.runner",
    "kitaru.runtime.schema",
    "kitaru.store.cache",
    "kitaru.store.catalog",
    "kitaru.store.check",
    "pydantic",
    "rich.console",
)


def serve() -> None:
    _load()
    wake, wakened = os.pipe()
    os.set_blocking(wakened, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
    alive: set[int] = set()
    _tell({"about": READY})
    orders = b""
    while True:
        readable, _, _ = select.select([0, wake], [], [])
        if wake in readable:
            os.read(wake, 4096)
            _bury(alive)
        if 0 in readable:
            chunk = os.read(0, 1 << 16)
            if not chunk:
                break
            *whole, orders = (orders + chunk).split(b"\n")
            for line in whole:
                alive.add(_fork(json.loads(line)))
    for pid in alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _load() -> None:
    """Import what any worker may import, so that none has to."""
    from kitaru.cli.table import VERBS

    for name in VERBS:
        import_module(f"kitaru.cli.verbs.{name.replace('-', '_')}")
    for name in LOADED:
        import_module(name)
    _warm_up()
    gc.freeze()  # a worker's collector leaves these pages alone, and so need not copy them


def _warm_up() -> None:
    """Give commands that load what is loaded when first used."""
    from kitaru.cli import main

    here = Path.cwd()
    with tempfile.TemporaryDirectory() as directory, contextlib.redirect_stdout(io.StringIO()):
        for words in (["init"], ["status"], ["log", "-o", "json"], ["fsck"]):
            main(["-C", directory, *words])
        os.chdir(here)


def _tell(event: dict[str, object]) -> None:
    os.write(1, json.dumps(event).encode() + b"\n")


def _bury(alive: set[int]) -> None:
    while alive:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        alive.discard(pid)
        _tell({"about": "end", "pid": pid, "status": os.waitstatus_to_exitcode(status)})


def _fork(order: dict[str, object]) -> int:
    pid = os.fork()
    if pid == 0:
        _become(order)
    _tell({"about": "fork", "pid": pid})
    return pid


def _become(order: dict[str, object]) -> None:
    """Be the worker: a program's surroundings, then its entry, then a program's end."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(str(order["cwd"]))
    os.environ.update(order["env"])  # type: ignore[call-overload] - JSON knows no types
    for fd, key in ((1, "out"), (2, "err")):
        os.dup2(os.open(str(order[key]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), fd)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    module, function = str(order["entry"]).split(":")
    sys.exit(getattr(import_module(module), function)(*order["args"]))  # type: ignore[misc] - as above


if __name__ == "__main__":
    serve()
