"""One worker process, as the run's process holds it: its control socket, its two pipes, its end.

Owns: these file descriptors, and the news of the worker's death. Knows nothing of jobs: that is `exchange`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kitaru.runtime.placement.guard import Guard

GRACE_S = 0.25
"""How long a worker that is to end has for its own `finally` blocks, between SIGTERM and SIGKILL."""

_BOOT = (
    "import sys; sys.path.append(sys.argv[1]); from kitaru.runtime.placement.worker import main; main(int(sys.argv[2]))"
)
_HOME = str(Path(__file__).parents[3])


class WorkerProcess:
    """A worker, from its start to its end.

    Args:
        guard: starts and kills it.
        env: its whole environment.
        limits: name of a limit of `resource` to its value.
        on_end: told when it is gone, however.

    Attributes:
        control: non-blocking socket on which messages go both ways.
        pipes: file descriptor to name, of what it writes to stdout and stderr; what is at its end is taken out.
        wake: file descriptor that becomes readable when something happened that no pipe tells.
        code: how it ended, as `subprocess` has it; None while it lives, and where nobody knows.
        calls: how many jobs it was given.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        env: Mapping[str, str],
        limits: Mapping[str, int],
        on_end: Callable[[WorkerProcess], None],
    ) -> None:
        self._guard, self._on_end = guard, on_end
        self._lock = threading.Lock()
        self._closed = False
        self.code: int | None = None
        self.ended = threading.Event()
        self.calls = 0
        self.control, theirs = socket.socketpair()
        self.wake, self._wakener = os.pipe()
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        self.pipes = {out: "stdout", err: "stderr"}
        for fd in (self.wake, self._wakener, out, err):
            os.set_blocking(fd, False)
        self.control.setblocking(False)
        try:
            self._number = guard.spawn(
                [sys.executable, *_flags(), "-P", "-c", _BOOT, _HOME],
                [theirs.fileno(), out_end, err_end],
                env=env,
                cwd="/",
                limits=limits,
                ended=self._hear_end,
            )
        except BaseException:
            self.close()
            raise
        finally:
            theirs.close()
            os.close(out_end)
            os.close(err_end)

    def _hear_end(self, code: int | None) -> None:
        self.code = code
        self.ended.set()
        self.nudge()
        self._on_end(self)

    def nudge(self) -> None:
        """Let whoever waits for this worker look up; safe from any thread."""
        with self._lock:
            if not self._closed:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._wakener, b"!")

    def listens(self) -> bool:
        """Tell whether an idle worker is there; it may be dead, and its end not told yet."""
        try:
            self.control.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return not self.ended.is_set()
        except OSError:
            pass
        return False  # at its end, or it says something that nobody asked

    def kill(self, *, grace_s: float = 0.0) -> None:
        """Have it ended with all that descends from it; `ended` tells when it is."""
        self._guard.kill(self._number, grace_s=grace_s)

    def close(self) -> None:
        """Let go of it; again is harmless."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self.control.close()
            for fd in (self.wake, self._wakener, *self.pipes):
                os.close(fd)
            self.pipes = {}


def _flags() -> list[str]:
    """Return the interpreter's flags that this process was started with, such as `-W error` or `-X dev`."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as multiprocessing does
    return flags
