"""What runs in a worker's process: it takes jobs from a socket, one after the other, until that is closed.

Owns: the process: its environment between two calls, its CPU time, and whether it can be used again. Started by
`process`, as a new interpreter; knows the run only as a socket.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from kitaru import errors
from kitaru.blobs.local import LocalBlobs
from kitaru.errors import KitaruError, UnknownObject
from kitaru.runtime.placement import frames
from kitaru.runtime.placement.output import LIMIT_CHARS
from kitaru.runtime.placement.protocol import CallInfo, Finished, Function, Gathered, Job
from kitaru.runtime.placement.work import perform
from kitaru.store import loose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kitaru.model.encoding import Part

_COUNT_EVERY = 1 << 20


class _SocketHost:
    """The run, at the other end of the socket. The job's function may use it from several threads."""

    def __init__(self, sock: socket.socket, job: Job) -> None:
        self._sock, self._store = sock, None if job.store is None else LocalBlobs(job.store, durable=job.durable)
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._room = LIMIT_CHARS
        self._left_out: Counter[str] = Counter()

    def object(self, object_id: str) -> bytes:
        found = self._objects.get(object_id)
        if found is None and self._store is not None:
            with contextlib.suppress(KeyError):
                return loose.read(self._store, object_id)
        if found is None:
            reply = self._ask("object", id=object_id)
            self._objects.update(zip(reply.head["ids"], reply.blobs, strict=True))
            found = self._objects.get(object_id)
        if found is None:
            raise UnknownObject(object_id)
        return found

    def stage(self, object_id: str, data: bytes | Part) -> None:
        """Put a large object into the store; only called where there is one."""
        assert self._store is not None  # noqa: S101 - see `_work`
        loose.stage(self._store, object_id, data, lambda: os.urandom(12).hex())

    def saved(self, name: str) -> str:
        return str(self._ask("saved", name=name).head["value"])

    def key(self) -> str:
        return str(self._ask("key").head["value"])

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Nothing: a call that is cancelled is killed."""

    def output(self, stream: str, text: str) -> None:
        with self._lock:
            shown, rest = text[: self._room], text[self._room :]
            self._room -= len(shown)
            if shown:
                frames.send(self._sock, {"about": "output", "stream": stream, "text": shown})
            if rest:
                self._left_out[stream] += len(rest.encode("utf-8", "surrogatepass"))
                if self._left_out[stream] > _COUNT_EVERY:
                    self._tell_left_out()

    def progress(self, told: Mapping[str, Any]) -> None:
        self.tell({"about": "progress", "told": dict(told)})

    def gathered(self, gathered: Gathered) -> None:
        head = {
            "about": "gathered",
            "saved": gathered.saved,
            "metadata": gathered.metadata,
            "objects": list(gathered.objects),
            "staged": gathered.staged,
        }
        self.tell(head, list(gathered.objects.values()))

    def _tell_left_out(self) -> None:
        for stream, size in self._left_out.items():
            frames.send(self._sock, {"about": "left-out", "stream": stream, "bytes": size})
        self._left_out.clear()

    def tell(self, head: dict[str, Any], blobs: list[bytes] | None = None) -> None:
        """Send a message, after what there is to tell of output."""
        with self._lock:
            self._tell_left_out()
            frames.send(self._sock, head, blobs or ())

    def _ask(self, question: str, **about: str) -> frames.Frame:
        with self._lock:
            frames.send(self._sock, {"about": question, **about})
            reply = frames.receive(self._sock)
        if reply is None:
            os._exit(1)  # the run is gone
        if reply.head["about"] == "refused":
            raise _refusal(reply.head)
        return reply


def _refusal(head: dict[str, Any]) -> KitaruError:
    """Return the error that the run raised over there, in its own class."""
    cls = getattr(errors, head["kind"], KitaruError)
    error: KitaruError = cls.__new__(cls)
    KitaruError.__init__(error, head["message"], hint=head["hint"])
    return error


class Worker:
    """A worker's process."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._env = dict(os.environ)
        self._outputs = [_identity(1), _identity(2)]
        self._threads = threading.active_count()

    def serve(self) -> None:
        """Do jobs until there is nobody to give any."""
        while (frame := frames.receive(self._sock)) is not None:
            job, settings = _job(frame)
            self._prepare(job, settings)
            host = _SocketHost(self._sock, job)
            finished = self._work(job, host)
            _flush()
            head = {
                "about": "finished",
                "output": finished.output,
                "error": finished.error,
                "crashed": finished.crashed.what if finished.crashed else None,
                "objects": list(finished.objects),
                "staged": finished.staged,
                "llm": finished.llm,
                "tainted": self._tainted(finished),
            }
            host.tell(head, list(finished.objects.values()))
            del job, host, finished, frame  # large values need not wait for the next call

    def _work(self, job: Job, host: _SocketHost) -> Finished:
        stage = host.stage if job.store is not None else None
        return perform(job, host, began=lambda: host.tell({"about": "began"}), stage=stage)

    def _prepare(self, job: Job, settings: Mapping[str, Any]) -> None:
        """Undo what the last call did to this process, and set this call's limits."""
        if dict(os.environ) != self._env:
            os.environ.clear()
            os.environ.update(self._env)
        for number in (signal.SIGTERM, signal.SIGXCPU):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(settings["cwd"])
        if list(job.function.sys_path) != sys.path:
            sys.path[:] = job.function.sys_path
        if settings["cpu_s"] is not None:
            used = resource.getrusage(resource.RUSAGE_SELF)
            soft = int(used.ru_utime + used.ru_stime + settings["cpu_s"]) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))

    def _tainted(self, finished: Finished) -> str:
        """Return why this process must not be used again, or nothing."""
        if finished.error is not None and finished.error["type"] == "builtins:MemoryError":
            return "it ran out of memory"
        if [_identity(1), _identity(2)] != self._outputs:
            return "it closed or replaced its output"
        if threading.active_count() > self._threads:
            return "the call left threads behind"
        return "the call left processes behind" if _has_children() else ""


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        stat = os.fstat(fd)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _has_children() -> bool:
    """Tell whether a child lives; dead ones are reaped."""
    try:
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return True
    except ChildProcessError:
        return False


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed by the call, or replaced by something that cannot
            stream.flush()


def _job(frame: frames.Frame) -> tuple[Job, dict[str, Any]]:
    head = frame.head
    function = {**head["function"], **{n: tuple(head["function"][n]) for n in ("path", "recorded_files", "sys_path")}}
    stored = len(head["objects"])
    job = Job(
        Function(**function),
        head["args"],
        CallInfo(**head["call"]),
        objects=dict(zip(head["objects"], frame.blobs[:stored], strict=True)),
        unstored=dict(zip(head["unstored"], frame.blobs[stored:], strict=True)),
        store=head["store"],
        durable=head["durable"],
        settings=head["tables"],
    )
    return job, head["settings"]


def main(fd: int) -> None:
    """Be a worker, with the control socket at `fd`."""
    sock = socket.socket(fileno=fd)
    sock.set_inheritable(False)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        Worker(sock).serve()
    os._exit(0)  # nobody waits for threads or exit handlers of a process that is not needed any more
