"""The warden: a tiny process that starts workers, and sees to it that none of them, nor what they start, is left over.

Owns: workers as processes: their birth, their death, their descendants. Knows nothing of Kitaru, and imports only the
standard library, for it is run as a file, by `python -I -S`, so that it starts in some 20 ms.

It is the parent of all workers, in a session of its own. When the socket to the run's process closes, or its parent is
another one than it was, that process is dead, however it died: all workers are killed, and it ends. Should it be killed
itself, the kernel kills the workers (Linux). Where descendants of workers go when their parents die, it is told by the
kernel that it is to be their parent (Linux: a subreaper): whoever has the warden for a parent and is no worker is a
stray, and is killed. Where there is no /proc, descendants are those in the worker's process group.

Orders and answers are lines of JSON; see `_Warden._obey` and `_Warden._bury`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
import time

TYPE_CHECKING = False  # as `typing` has it, which would double the time that a start takes
if TYPE_CHECKING:
    from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LINUX = sys.platform.startswith("linux")
LOOK_S = 1.0
"""How often it is looked whether the parent is still the same: a copy of the socket may be in a forked child."""
FDS = 3
MAX_ROUNDS = 50
NOT_STARTED = 127


class Warden:
    """The warden's whole state: its socket, its workers, whom it is to kill and when."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.set_inheritable(False)
        self._parent = os.getppid()
        self._workers: dict[int, int] = {}  # pid to number
        self._deadlines: dict[int, float] = {}  # number to when it is killed for good
        self._orders, self._fds = b"", list[int]()
        self._libc = ctypes.CDLL(None, use_errno=True) if LINUX else None
        self._wake, wakened = os.pipe()
        os.set_blocking(wakened, False)
        os.set_blocking(self._wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
        if self._libc is not None:
            self._libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def serve(self) -> None:
        """Obey until the run's process is gone; then kill all."""
        try:
            while os.getppid() == self._parent:
                due = min(self._deadlines.values(), default=time.monotonic() + LOOK_S)
                heard: list[Any] = [self._sock, self._wake]
                readable, _, _ = select.select(heard, [], [], max(0.0, due - time.monotonic()))
                if self._wake in readable:
                    os.read(self._wake, 4096)
                self._bury()
                if self._sock in readable and not self._hear():
                    return
                self._kill_the_late()
        except (BrokenPipeError, ConnectionResetError):
            return
        finally:
            slay(list(self._workers))
            self._slay_strays()

    # -- orders ----------------------------------------------------------------------------------------------------

    def _hear(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self._sock, 1 << 16, 8 * FDS)
        self._fds += fds
        if not data:
            return False
        *whole, self._orders = (self._orders + data).split(b"\n")
        for line in whole:
            self._obey(json.loads(line))
        return True

    def _obey(self, order: dict[str, Any]) -> None:
        number = order["worker"]
        if order["about"] == "spawn":
            fds, self._fds = self._fds[:FDS], self._fds[FDS:]
            self._spawn(number, order, fds)
        elif order["about"] == "kill" and number in self._workers.values():
            self._deadlines[number] = time.monotonic() + order["grace_s"]
            if order["grace_s"]:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._pid(number), signal.SIGTERM)

    def _pid(self, number: int) -> int:
        return next(pid for pid, n in self._workers.items() if n == number)

    def _spawn(self, number: int, order: dict[str, Any], fds: list[int]) -> None:
        """Start a worker: a fork of this process, which has one thread and nothing of the user's, and an exec."""
        me, pid = os.getpid(), -1
        with contextlib.suppress(OSError):  # no process to be had
            pid = os.fork()
        if pid == 0:
            try:
                self._become(me, order, fds)
            except BaseException as error:
                os.write(2, f"the worker could not be started: {error}\n".encode())
            finally:
                os._exit(NOT_STARTED)
        for fd in fds:
            os.close(fd)
        if pid < 0:
            self._tell(about="ended", worker=number, code=NOT_STARTED)
            return
        self._workers[pid] = number
        self._tell(about="spawned", worker=number, pid=pid)

    def _become(self, warden: int, order: dict[str, Any], fds: list[int]) -> None:
        control, out, err = fds
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        os.setsid()
        if self._libc is not None:
            self._libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            self._libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            if os.getppid() != warden:
                os._exit(NOT_STARTED)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for what, limit in order["limits"].items():
            kind = getattr(resource, what)
            resource.setrlimit(kind, (limit, limit))
        os.chdir(order["cwd"])
        os.set_inheritable(control, True)
        os.execve(order["argv"][0], [*order["argv"], str(control)], order["env"])  # noqa: S606 - a shell is no use here

    # -- deaths ----------------------------------------------------------------------------------------------------

    def _kill_the_late(self) -> None:
        now = time.monotonic()
        for number in [n for n, due in self._deadlines.items() if due <= now]:
            del self._deadlines[number]
            slay([self._pid(number)])

    def _bury(self) -> None:
        """Reap who is dead; of a worker, end also what it left behind, and then tell."""
        dead = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self._workers:
                number = self._workers.pop(pid)
                self._deadlines.pop(number, None)
                dead.append((number, os.waitstatus_to_exitcode(status)))
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
        if dead:
            self._slay_strays()
        for number, code in dead:
            self._tell(about="ended", worker=number, code=code)

    def _slay_strays(self) -> None:
        for _ in range(MAX_ROUNDS):
            strays = [pid for pid in children().get(os.getpid(), []) if pid not in self._workers]
            if not strays:
                return
            slay(strays)
            for pid in strays:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def _tell(self, **what: object) -> None:
        self._sock.sendall(json.dumps(what).encode() + b"\n")


def children() -> dict[int, list[int]]:
    """Map each process to its children; empty where there is no /proc."""
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if LINUX else ():  # noqa: PTH208 - pathlib doubles the time that a start takes
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError), open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123 - as above
                parent = int(stat.read().rpartition(b")")[2].split()[1])
                found.setdefault(parent, []).append(int(name))
    return found


def slay(pids: list[int]) -> None:
    """Kill processes and all that descend from them: all are stopped first, so that none has time to fork another."""
    stopped: dict[int, None] = {}
    fresh = pids
    for _ in range(MAX_ROUNDS):
        for pid in fresh:
            stopped[pid] = None
            _signal(pid, signal.SIGSTOP)
        below = children()
        fresh = [child for pid in stopped for child in below.get(pid, []) if child not in stopped]
        if not fresh:
            break
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    for pid in stopped:
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, what)


if __name__ == "__main__":
    Warden(socket.socket(fileno=int(sys.argv[1]))).serve()
