"""One job in one worker: what is sent, what is asked back meanwhile, and how it comes to an end.

Owns: the loop over the worker's socket, its pipes, its death, the time that is up and the call being cancelled. It
never waits for a pipe's end, which the worker's children may hold. Knows nothing of pools.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError
from kitaru.model.encoding import Malformed, references
from kitaru.runtime.placement import frames
from kitaru.runtime.placement.output import Bounded
from kitaru.runtime.placement.process import GRACE_S
from kitaru.runtime.placement.protocol import Crashed, Finished, Gathered
from kitaru.store.loose import LARGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kitaru.runtime.placement.process import WorkerProcess
    from kitaru.runtime.placement.protocol import Host, Job

START_S = 120.0
"""How long a worker may take to start, import the function's module and read the arguments."""

AHEAD_BYTES = 4 << 20
"""What an object refers to is sent along with it, up to this size: a question for each would cost more."""

_PIECE = 1 << 18


class Exchange:
    """A job given to a worker, until it is over.

    Args:
        settings: what the worker is to set for this call: `cpu_s` and `cwd`.

    Attributes:
        tainted: why the worker must not be used again, or empty.
    """

    def __init__(self, worker: WorkerProcess, job: Job, host: Host, settings: dict[str, Any]) -> None:
        self._worker, self._job, self._host, self._settings = worker, job, host, settings
        self._output = Bounded(host.output)
        self._inbox = frames.Inbox()
        self._outgoing: deque[frames.Buffer] = deque()
        self._sent: set[str] = set(job.objects)
        self._deadline = time.monotonic() + START_S
        self._began = False
        self._stop = False  # somebody wants the call ended
        self._ending: Finished | None = None  # why the worker is being killed
        self._finished: Finished | None = None
        self._watching = selectors.DefaultSelector()
        self.tainted = ""

    def run(self) -> Finished:
        """Return how the job came out. The worker is alive after it, unless it has ended or `tainted` says why not."""
        worker = self._worker
        worker.calls += 1
        try:
            with self._watching:
                self._host.on_cancel(self._cancel)
                self._watch()
                self._send_job()
                while self._finished is None and not worker.ended.is_set():
                    self._step()
                self._drain()
        except BaseException:  # a Ctrl-C, or a fault of ours: nobody would listen to this worker any more
            self.tainted = "it was left alone"
            raise
        self._output.close()
        return self._outcome()

    def _cancel(self) -> None:
        self._stop = True
        self._worker.nudge()

    def _outcome(self) -> Finished:
        if self._ending is not None:
            self.tainted = "it was killed"
            return self._ending
        if self._finished is not None:
            return self._finished
        self.tainted = "it is dead"
        return Finished(crashed=self._crash())

    def _crash(self) -> Crashed:
        what, hint = ended_as(self._worker.code)
        return Crashed(what, self._output.last_lines(), hint)

    # -- waiting ---------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        self._watching.register(self._worker.wake, selectors.EVENT_READ)
        self._watching.register(self._worker.control, selectors.EVENT_READ)
        for fd in self._worker.pipes:
            self._watching.register(fd, selectors.EVENT_READ)

    def _step(self) -> None:
        self._check_time()
        timeout = None if self._ending is not None else self._time_left()
        for key, events in self._watching.select(timeout):
            if key.fileobj is self._worker.control:
                self._converse(events)
            elif key.fd == self._worker.wake:
                with contextlib.suppress(BlockingIOError):
                    os.read(key.fd, 4096)
            else:
                self._read_pipe(key.fd)

    def _time_left(self) -> float | None:
        if self._began and self._job.timeout_s is None:
            return None
        return max(0.0, self._deadline - time.monotonic())

    def _check_time(self) -> None:
        """Have the worker killed, once, where its call is cancelled or its time is up."""
        if self._ending is not None:
            return
        left = self._time_left()
        if self._stop:
            self._ending = Finished(cancelled=True)
        elif left is None or left > 0:
            return
        elif self._began:
            self._ending = Finished(timed_out=True)
        else:
            what = f"its process was not ready to call it after {START_S:.0f} s"
            self._ending = Finished(crashed=Crashed(what, self._output.last_lines()))
        self._worker.kill(grace_s=GRACE_S)

    def _read_pipe(self, fd: int) -> bool:
        """Read a piece of what the worker wrote; False when there is none now."""
        try:
            data = os.read(fd, _PIECE)
        except BlockingIOError:
            return False
        if not data:  # closed by the worker and all its children
            self._watching.unregister(fd)
            del self._worker.pipes[fd]
            os.close(fd)
            self.tainted = "it closed its output"
            return False
        self._output.raw(self._worker_stream(fd), data)
        return True

    def _worker_stream(self, fd: int) -> str:
        return self._worker.pipes[fd]

    def _drain(self) -> None:
        """Read what the worker had written before it answered, or died."""
        if self._finished is None:
            self._listen()
        for fd in list(self._worker.pipes):
            rounds = 0
            while rounds < 64 and self._read_pipe(fd):  # a child that it left behind may write for ever
                rounds += 1

    # -- messages --------------------------------------------------------------------------------------------------

    def _send_job(self) -> None:
        job = self._job
        head = {
            "about": "job",
            "function": asdict(job.function),
            "args": dict(job.args),
            "call": asdict(job.call),
            "tables": dict(job.settings),
            "objects": list(job.objects),
            "unstored": list(job.unstored),
            "store": job.store,
            "durable": job.durable,
            "settings": self._settings,
        }
        self._send(head, [*job.objects.values(), *job.unstored.values()])

    def _send(self, head: dict[str, Any], blobs: list[bytes] | None = None) -> None:
        self._outgoing += map(memoryview, frames.packed(head, blobs or ()))
        self._push()

    def _push(self) -> None:
        control = self._worker.control
        try:
            while self._outgoing:
                sent = control.send(self._outgoing[0])
                rest = self._outgoing.popleft()[sent:]
                if len(rest):
                    self._outgoing.appendleft(rest)
        except BlockingIOError:
            pass
        except OSError:  # it is dead, which its warden tells
            self._outgoing.clear()
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outgoing else 0)
        if control in self._watching.get_map():
            self._watching.modify(control, wanted)

    def _converse(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._push()
        if events & selectors.EVENT_READ and not self._listen():
            self._watching.unregister(self._worker.control)
            self._worker.kill(grace_s=GRACE_S)  # it has closed the only way to hear of it

    def _listen(self) -> bool:
        """Take what the worker says; False when it says nothing any more."""
        while True:
            try:
                data = self._worker.control.recv(_PIECE)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            for frame in self._inbox.feed(data):
                self._hear(frame)

    def _hear(self, frame: frames.Frame) -> None:
        head = frame.head
        match head["about"]:
            case "began":
                self._began = True
                self._deadline = time.monotonic() + (self._job.timeout_s or 0.0)
            case "output":
                self._output.text(head["stream"], head["text"])
            case "progress":
                self._host.progress(head["told"])
            case "gathered":
                objects = dict(zip(head["objects"], frame.blobs, strict=True))
                self._host.gathered(Gathered(head["saved"], head["metadata"], objects, head["staged"]))
            case "left-out":
                self._output.left_out[head["stream"]] += head["bytes"]
            case "finished":
                self.tainted = self.tainted or head["tainted"]
                if self._ending is None:
                    self._finished = _finished(frame)
            case question:
                self._answer(question, head)

    def _answer(self, question: str, head: dict[str, Any]) -> None:
        try:
            if question == "object":
                found = dict(self._with_parts(head["id"]))
                self._send({"about": "objects", "ids": list(found)}, list(found.values()))
            elif question == "saved":
                self._send({"about": "answer", "value": self._host.saved(head["name"])})
            elif question == "key":
                self._send({"about": "answer", "value": self._host.key()})
            else:
                self._send({"about": "refused", "kind": "KitaruError", "message": f"unknown: {question}", "hint": ""})
        except KitaruError as error:
            refusal = {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
            self._send({"about": "refused", **refusal})

    def _with_parts(self, object_id: str) -> Iterator[tuple[str, bytes]]:
        """Yield an object, and what it refers to as far as that is small and was not sent before."""
        data = self._host.object(object_id)
        yield object_id, data
        self._sent.add(object_id)
        room, queue = AHEAD_BYTES, deque(_references(data))
        while queue and room > 0:
            part = queue.popleft()
            if part in self._sent:
                continue
            self._sent.add(part)
            try:
                data = self._host.object(part)
            except KitaruError:  # told when the worker comes to it
                continue
            if len(data) <= LARGE or self._job.store is None:
                room -= len(data)
                yield part, data
                queue.extend(_references(data))


def _references(data: bytes) -> list[str]:
    try:
        return references(data)
    except Malformed:
        return []


def _finished(frame: frames.Frame) -> Finished:
    head = frame.head
    return Finished(
        output=head["output"],
        error=head["error"],
        crashed=Crashed(head["crashed"]) if head["crashed"] else None,
        objects=dict(zip(head["objects"], frame.blobs, strict=True)),
        staged=head["staged"],
        llm=head["llm"],
    )


_HINTS = {
    "SIGKILL": "the system may have run out of memory: see `dmesg`, or give it memory= of its own",
    "SIGXCPU": "raise cpu_s= in its runtime_options, or let it do less",
    "SIGSEGV": "a library written in C failed; PYTHONFAULTHANDLER=1 in env= shows where",
}


def ended_as(code: int | None) -> tuple[str, str]:
    """Return how a process ended, in words, from its exit code as `subprocess` has it; and a hint, or empty."""
    if code is None:
        return "its process was lost: the warden that keeps it was killed", ""
    if code >= 0:
        return f"its process ended with exit code {code}", ""
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    what = f"its process was killed by {name}"
    return (f"{what}: it used up its CPU time" if name == "SIGXCPU" else what), _HINTS.get(name, "")
