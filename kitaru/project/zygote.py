"""A process that has a version's code imported, and forks a child for each run of it.

Owns: when that is safe, the children, and what is told of them. To start Python and import Kitaru costs a hundred
milliseconds and more; to fork what has done so costs a few. Each child begins with modules as the import left them, is
a session of its own, and ends as a process of its own would.

It talks JSON, an object a line, over one socket. It is told `{"run": id, "env": {name: value}}`, with environment
variables for the child, or `{"interrupt": true}`. It tells
`{"ready": true}`, or why it is of no use: `{"ready": false, "fork": false}`, or with the `code` of an error and what is
`told` of it; then of each child `{"run": id, "code": exit status, "told": end of what it wrote}`. Once the socket is
closed it ends with its last child.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import kitaru.project.carrying
import kitaru.project.hooks  # noqa: F401 - imported late by those who begin one run; here, for all of them
from kitaru.errors import KitaruError
from kitaru.project.starting import begin_and_tell, told_of

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TOLD = 2000
_BUG = 70


@dataclass(slots=True)
class _Child:
    run: str
    pid: int
    errors: IO[bytes]


class Zygote:
    """Forks children that each begin one run.

    Args:
        channel: where it is told what to do, and tells how that ended.
        begin: begins the run of this id and executes it; returns the exit status.
    """

    def __init__(self, channel: socket.socket, begin: Callable[[str], int]) -> None:
        self._channel, self._begin = channel, begin
        self._selector = selectors.DefaultSelector()
        self._selector.register(channel, selectors.EVENT_READ)
        self._children: dict[int, _Child] = {}
        self._unread = b""
        self._is_open = True

    def serve(self) -> None:
        """Do what is asked, until the channel is closed and the last child has ended."""
        while self._is_open or self._children:
            for key, _ in self._selector.select():
                if key.fileobj is self._channel:
                    self._hear()
                else:
                    self._reap(key.fd)

    def _hear(self) -> None:
        try:
            data = self._channel.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._is_open = False
            self._selector.unregister(self._channel)
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))

    def _obey(self, order: dict[str, Any]) -> None:
        if "run" in order:
            self._fork(order["run"], order["env"])
        else:
            for child in self._children.values():
                os.kill(child.pid, signal.SIGINT)

    def _fork(self, run: str, env: dict[str, str]) -> None:
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the child was reaped
        try:
            pid = os.fork()
        except OSError as error:
            errors.close()
            self._tell({"run": run, "code": 1, "told": f"no process could be started: {error.strerror}"})
            return
        if pid == 0:
            os.environ.update(env)
            self._become(run, errors)
        watched = os.pidfd_open(pid)
        self._children[watched] = _Child(run, pid, errors)
        self._selector.register(watched, selectors.EVENT_READ)

    def _become(self, run: str, errors: IO[bytes]) -> None:
        """Be a child; never return."""
        code = _BUG
        try:
            os.setsid()
            os.dup2(errors.fileno(), 2)
            self._selector.close()
            self._channel.close()
            _as_if_new()
            code = self._begin(run)
            _as_at_exit()
        except BaseException:  # a child must not go on as its parent
            traceback.print_exc()
        finally:
            os._exit(code)

    def _reap(self, watched: int) -> None:
        child = self._children.pop(watched)
        self._selector.unregister(watched)
        os.close(watched)
        _, status = os.waitpid(child.pid, 0)
        with child.errors as errors:
            errors.seek(0)
            told = errors.read()[-4 * MAX_TOLD :].decode("utf-8", "replace")[-MAX_TOLD:]
        self._tell({"run": child.run, "code": os.waitstatus_to_exitcode(status), "told": told})

    def _tell(self, news: dict[str, Any]) -> None:
        try:
            self._channel.sendall(json.dumps(news).encode() + b"\n")
        except OSError:  # who asked is gone
            return


def _as_if_new() -> None:
    """Undo in a child what a fork carries over that a new process would not have."""
    gc.unfreeze()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it puts in the background ignore it
    numbers = sys.modules.get("numpy.random")
    if numbers is not None:  # `random` sees to itself
        numbers.seed()


def _as_at_exit() -> None:
    """Do what an interpreter does when it ends: threads are waited for, what was registered is called."""
    threading._shutdown()  # type: ignore[attr-defined]  # as multiprocessing does for its children
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def can_fork(opened_before: set[str]) -> bool:
    """Tell whether this process can be forked: nobody else executes in it, and it shares no connection.

    Args:
        opened_before: what `connections` returned before code was imported.
    """
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return False
    threads = len(list(Path("/proc/self/task").iterdir()))  # those of C libraries, too
    return threads == 1 and threading.active_count() == 1 and connections() <= opened_before


def connections() -> set[str]:
    """Return the sockets and pipes that this process has open."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir() if sys.platform == "linux" else ():
        try:
            target = str(entry.readlink())
        except OSError:  # closed meanwhile: the listing's own
            continue
        if target.startswith(("socket:", "pipe:")):
            found.add(target)
    return found


def main(words: list[str]) -> None:
    """Serve a version: the words are the project's directory, the version as `FLOW@vN`, its id, and the socket."""
    from kitaru.project.project import Project

    root, target, version, number = words
    channel = socket.socket(fileno=int(number))
    channel.set_inheritable(False)
    before = connections()
    news: dict[str, Any] = {"ready": True}
    try:
        Project.open(root).preload(target, version)
    except KitaruError as error:
        news = {"ready": False, "code": error.exit_code, "told": told_of(error)}
    if news["ready"] and not can_fork(before):
        news = {"ready": False, "fork": False}
    channel.sendall(json.dumps(news).encode() + b"\n")
    if news["ready"]:
        gc.collect()
        gc.freeze()
        Zygote(channel, lambda run: begin_and_tell(Project.open(root), run)).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
