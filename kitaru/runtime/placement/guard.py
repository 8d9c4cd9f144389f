"""The run's process as the warden's client: one warden, started when the first worker is wanted.

Owns: the socket to the warden, the thread that listens to it, and its end. Knows workers as numbers; what is done in
them is `process`'s. Nothing need be called at exit: when this process is gone, however, the warden kills all workers.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from kitaru.errors import KitaruError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

WARDEN = Path(__file__).with_name("warden.py")

CLOSE_S = 5.0

_guards: WeakSet[Guard] = WeakSet()


class Guard:
    """Starts and kills workers through a warden. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._numbers = count(1)
        self._sock: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ended: dict[int, Callable[[int | None], None]] = {}
        self._pids: dict[int, int] = {}
        _guards.add(self)

    @property
    def pid(self) -> int | None:
        """The warden's process id, while there is one."""
        return self._process.pid if self._process is not None else None

    def spawn(
        self,
        argv: Sequence[str],
        fds: Sequence[int],
        *,
        env: Mapping[str, str],
        cwd: str,
        limits: Mapping[str, int],
        ended: Callable[[int | None], None],
    ) -> int:
        """Start a process in a session of its own; return its number.

        Args:
            argv: command; the number of the control socket follows as its last argument.
            fds: of the control socket, stdout and stderr. They stay open here.
            env: the process's environment, whole.
            cwd: the directory it begins in.
            limits: name of a limit of `resource` to its value.
            ended: called once, on a thread of this object, when the process is gone and all that it left is: with its
                exit code as `subprocess` has it, or None where the warden itself is gone.

        Raises:
            KitaruError: no warden could be started.
        """
        order = {"about": "spawn", "argv": list(argv), "env": dict(env), "cwd": cwd, "limits": dict(limits)}
        with self._lock:
            number = next(self._numbers)
            line = json.dumps({**order, "worker": number}).encode() + b"\n"
            sock = self._sock or self._start()
            try:
                _send(sock, line, fds)
            except OSError:  # the warden was killed: its workers are dead, and another one starts this one
                self._lose(sock)
                _send(self._start(), line, fds)
            self._ended[number] = ended
        return number

    def kill(self, number: int, *, grace_s: float = 0.0) -> None:
        """End a worker with all that descends from it: SIGTERM, and SIGKILL after `grace_s`. Again is harmless."""
        line = json.dumps({"about": "kill", "worker": number, "grace_s": grace_s}).encode() + b"\n"
        with self._lock:
            if self._sock is not None and number in self._ended:
                with contextlib.suppress(OSError):
                    self._sock.sendall(line)

    def close(self) -> None:
        """Let the warden end, and with it all workers; return when it has."""
        with self._lock:
            sock, process = self._sock, self._process
        if sock is not None and process is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(subprocess.TimeoutExpired):  # somebody in there cannot be killed just now
                process.wait(CLOSE_S)

    def forget(self) -> None:
        """In a forked child: the warden is the parent's."""
        if self._sock is not None:
            self._sock.close()
        if self._process is not None:
            self._process.returncode = 0  # not a child of this process: nothing to wait for
        self._lock = threading.RLock()
        self._sock, self._process, self._ended = None, None, {}

    def _start(self) -> socket.socket:
        if not sys.executable:
            raise KitaruError("isolated calls need a Python interpreter to start, and sys.executable is empty")
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own file, by our own interpreter
                [sys.executable, "-I", "-S", str(WARDEN), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            ours.close()
            raise KitaruError(f"no process could be started for isolated calls: {error}") from error
        finally:
            theirs.close()
        self._sock = ours
        threading.Thread(target=self._listen, args=(ours, self._process), name="kitaru-warden", daemon=True).start()
        return ours

    def _listen(self, sock: socket.socket, process: subprocess.Popen[bytes]) -> None:
        rest = b""
        while True:
            try:
                data = sock.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._hear(json.loads(line))
        process.wait()
        self._lose(sock)
        sock.close()

    def _hear(self, told: dict[str, Any]) -> None:
        if told["about"] == "ended":
            with self._lock:
                ended = self._ended.pop(told["worker"], None)
            if ended is not None:
                ended(told["code"])

    def _lose(self, sock: socket.socket) -> None:
        """Tell all who wait for a worker that the warden is gone; the next worker gets another one."""
        with self._lock:
            if self._sock is not sock:
                return
            self._sock = self._process = None
            waiting = list(self._ended.values())
            self._ended.clear()
        for ended in waiting:
            ended(None)


def _send(sock: socket.socket, line: bytes, fds: Sequence[int]) -> None:
    sent = socket.send_fds(sock, [line], list(fds))
    sock.sendall(line[sent:])


def _forget_in_child() -> None:
    for guard in list(_guards):
        guard.forget()


os.register_at_fork(after_in_child=_forget_in_child)
