"""The processes that a worker's runs execute in.

Owns: which process begins or carries on what. A run that goes on does so by `kitaru resume`, in a process of its own; a
queued invocation begins in a child of a process that has its version's code imported already (`project.zygote`), or,
where code cannot be shared so, in a fresh one.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError
from kitaru.project.claiming import HANDED_OVER
from kitaru.project.starting import told_of
from kitaru.store.invocations import read_invocation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kitaru.project.claiming import Handed
    from kitaru.project.due import Due
    from kitaru.project.project import Project
    from kitaru.project.routing import Choice
    from kitaru.project.working import Processes

IDLE_S = 60.0
"""A process that has code imported is let go when it was not needed for so long."""
MAX_ZYGOTES = 8
"""So many of them are kept at most, unless more are at work."""


class Runners:
    """Begins runs and carries them on, each in a process of its own.

    Args:
        project: whose runs.
        processes: for those that go on, and for fresh ones.
        clock: seconds.
    """

    def __init__(self, project: Project, processes: Processes, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._project, self._processes, self._clock = project, processes, clock
        self._zygotes: dict[str, _Zygote] = {}
        self._unshared: set[str] = set()

    def start(self, due: Due, claim: Handed | None = None) -> Callable[[], tuple[int, str]]:
        """Begin a run, or begin to carry it on; return what waits for its end and gives exit status and last words.

        Args:
            claim: the run's on a remote, which its process is to renew; a run that goes on does so as recorded then.
        """
        env = {HANDED_OVER: claim.to_text()} if claim is not None else {}
        if not due.is_new:
            return self._processes.start(due.run, *(["--as-recorded"] if claim else []), env=env)
        try:
            choice = self._choice(due.run)
        except KitaruError as error:
            code, told = error.exit_code, told_of(error)
            return lambda: (code, told)
        if choice is None or choice.version.id in self._unshared:
            return self._processes.begin(due.run, env=env)
        return self._shared(choice, due.run, env)

    def _choice(self, run: str) -> Choice | None:
        """Return the version that an invocation gets; None where its code cannot be shared."""
        invocation = read_invocation(self._project.repo.blobs, run)
        choice = self._project.choose(invocation.target, invocation.key or invocation.run)
        return None if invocation.env else choice

    def _shared(self, choice: Choice, run: str, env: dict[str, str]) -> Callable[[], tuple[int, str]]:
        version = choice.version.id
        zygote = self._zygotes.get(version)
        if zygote is None or not zygote.is_alive:
            self._make_room()
            zygote = self._zygotes[version] = _Zygote(self._project.root, choice.name, version)
        zygote.used = self._clock()
        wait = zygote.start(run, env)

        def ended() -> tuple[int, str]:
            found = wait()
            if found is not None:
                return found
            self._unshared.add(version)
            return self._processes.begin(run, env=env)()

        return ended

    def let_go(self) -> None:
        """Let go of processes that nothing was asked of for long; to be called often."""
        least = self._clock() - IDLE_S
        for version in self._idle():
            if self._zygotes[version].used < least:
                self._zygotes.pop(version).close()

    def _make_room(self) -> None:
        """Have room for one more, if any of them is idle."""
        for version in self._idle()[: max(0, len(self._zygotes) + 1 - MAX_ZYGOTES)]:
            self._zygotes.pop(version).close()

    def _idle(self) -> list[str]:
        """Return the versions no run of which is at work, those first that were not asked for longest."""
        idle = [version for version, zygote in self._zygotes.items() if zygote.is_idle]
        return sorted(idle, key=lambda version: self._zygotes[version].used)

    def interrupt(self) -> None:
        """Have all runs stop, to be resumed."""
        self._processes.interrupt()
        for zygote in list(self._zygotes.values()):
            zygote.interrupt()

    def close(self) -> None:
        """Let go of what was kept for further runs; those at work go on."""
        while self._zygotes:
            self._zygotes.popitem()[1].close()


class _Zygote:
    """The worker's end of a process that forks a child for each run of one version.

    Attributes:
        used: when it was asked for something last.
    """

    def __init__(self, root: Path, target: str, version: str) -> None:
        import socket
        import subprocess
        import sys
        import tempfile

        self.used = 0.0
        self._waiting: dict[str, queue.SimpleQueue[tuple[int, str] | None]] = {}
        self._lock = threading.Lock()
        self._end: tuple[int, str] | None = (1, "")
        self.is_alive = True
        self._channel, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        words = [sys.executable, "-P", "-m", "kitaru.project.zygote", str(root), target, version, str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this very Python, and names that the store knows
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        threading.Thread(target=self._listen, name=f"kitaru-zygote-{target}", daemon=True).start()

    @property
    def is_idle(self) -> bool:
        """Whether no run of it is at work."""
        return not self._waiting

    def start(self, run: str, env: dict[str, str]) -> Callable[[], tuple[int, str] | None]:
        """Have a run begun; what is returned waits for its end, and gives None where code cannot be shared so."""
        ended: queue.SimpleQueue[tuple[int, str] | None] = queue.SimpleQueue()
        with self._lock:
            if self.is_alive:
                self._waiting[run] = ended
                self._say({"run": run, "env": env})
            else:
                ended.put(self._end)
        return ended.get

    def interrupt(self) -> None:
        """Have its runs stop, to be resumed."""
        self._say({"interrupt": True})

    def close(self) -> None:
        """Let go of it: it ends with its last run."""
        import socket

        try:
            self._channel.shutdown(socket.SHUT_WR)
        except OSError:  # it is gone already
            return

    def _say(self, order: dict[str, Any]) -> None:
        try:
            self._channel.sendall(json.dumps(order).encode() + b"\n")
        except OSError:  # it is gone, and who listens to it tells those who wait
            return

    def _listen(self) -> None:
        with self._channel.makefile("rb") as news:
            try:
                for line in news:
                    self._hear(json.loads(line))
            except (OSError, ValueError):  # killed, perhaps in the middle of a line
                pass
        code = self._process.wait()
        with self._errors as errors:
            errors.seek(0)
            told = errors.read()[-2000:].decode("utf-8", "replace")
        with self._lock:
            self.is_alive = False
            if self._end == (1, ""):
                self._end = (code if code > 0 else 1, told or "the process that was to begin it is gone")
            for ended in self._waiting.values():
                ended.put(self._end)
            self._waiting.clear()
        self._channel.close()

    def _hear(self, news: dict[str, Any]) -> None:
        if "run" in news:
            with self._lock:
                ended = self._waiting.pop(news["run"], None)
            if ended is not None:
                ended.put((news["code"], news["told"]))
        elif not news["ready"]:
            self._end = (news["code"], news["told"]) if "code" in news else None
