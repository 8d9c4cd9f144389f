"""Carrying on whatever can be carried on: the loop behind `kitaru work`.

Owns: that what is due is taken up by a process of its own, so many at once, and how long one rests that came no
further. What is due is told by `due` and `due_invocations`. Who wins a run is settled by the run's lock, as ever. Shows
nothing.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError, RunHeld
from kitaru.project.due import Due, DueRuns
from kitaru.project.due_invocations import DueInvocations
from kitaru.project.giving_up import COUNTED, given_up_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from kitaru.project.project import Project

POLL_S = 1.0
REST = 20
"""To look for work takes its time in a large store: so many times as long a worker rests after it."""
MAX_BACKOFF_S = 300.0
MAX_TOLD = 2000
"""Characters of what a process wrote that are told of it."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What came of taking up a run.

    Attributes:
        status: how it stands now; empty where it cannot be read.
        code: exit status of the process that carried it.
        told: the end of what that process wrote, where it could not carry the run on.
        again_s: after how many seconds it is tried once more; 0 where it came further.
    """

    due: Due
    status: str
    code: int
    told: str
    took_s: float
    again_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Told:
    """Something else that a worker has to say.

    Attributes:
        kind: `given-up`, `pulled`, `pushed`, `left`, `untrusted`, `diverged` or `trouble`.
        run: the run that it is about, if it is about one.
        hint: what to type, if anything.
    """

    kind: str
    text: str
    run: str = ""
    hint: str = ""


class NotNowError(Exception):
    """Who was to begin to carry a run on does not, for now.

    Args:
        again_s: after how many seconds it may be asked for once more.
        told: why, where that is worth saying.
    """

    def __init__(self, again_s: float, told: Told | None = None) -> None:
        super().__init__(told.text if told is not None else "")
        self.again_s, self.told = again_s, told


@dataclass(slots=True)
class _Rest:
    token: tuple[Any, ...]
    tries: int
    until: float


class Work:
    """One worker.

    Args:
        project: whose runs.
        interrupted: take up runs, too, whose process is gone.
        jobs: how many at once.
        start: begins to carry a run on, or begins it; returns what waits for its end, and gives exit status and what
            was written. It may raise NotNowError.
        before: called often, and at last when all is done; returns what it has to say.
        clock: seconds, for rests.
    """

    def __init__(
        self,
        project: Project,
        *,
        interrupted: bool = False,
        jobs: int = 1,
        start: Callable[[Due], Callable[[], tuple[int, str]]],
        before: Callable[[], Iterable[Told]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._project, self._jobs, self._clock = project, jobs, clock
        self._start, self._before = start, before
        self._runs, self._queue = DueRuns(project, interrupted=interrupted), DueInvocations(project)
        self._found: deque[Due] = deque()
        self._look_at = self._rest_s = 0.0
        self._at_work: dict[str, float] = {}
        self._rests: dict[str, _Rest] = {}
        self._given_up: set[str] = set()
        self._ended: queue.SimpleQueue[tuple[Due, int, str] | None] = queue.SimpleQueue()
        self._draining = False

    def drain(self) -> None:
        """Take up nothing more, and end once what is at work has ended; safe from a signal handler and any thread."""
        self._draining = True
        self._ended.put(None)

    # -- the loop ------------------------------------------------------------------------------------------------

    def carry(self, *, once: bool = False) -> Iterator[Due | Carried | Told]:
        """Carry on what can be, and yield each run that is taken up, what came of it, and what else there is to say.

        Args:
            once: end when there is nothing left to do; each run is taken up once.
        """
        with self._queue.among_others():
            yield from self._rounds(once=once)

    def _rounds(self, *, once: bool) -> Iterator[Due | Carried | Told]:
        seen: set[str] = set()
        while True:
            yield from self._before()
            if not self._draining and (not self._found or self._clock() >= self._look_at):
                self._look(seen if once else ())
            yield from self._tell_given_up(seen if once else None)
            while self._found and len(self._at_work) < self._jobs and not self._draining:
                due = self._found.popleft()
                told = self._take_up(due) if self._is_still_due(due) else None
                seen.add(due.run)
                if told is not None:
                    yield told
            if not self._at_work and (self._draining or (once and not self._found)):
                return
            ended = self._next_end(None if self._at_work and (self._draining or once) else self._rest_s)
            if ended is not None:
                yield ended

    def _look(self, seen: Collection[str]) -> None:
        """Look for work; not so often that it costs more than it is worth."""
        began = self._clock()
        self._found = deque(due for due in self.due() if due.run not in seen)
        self._rest_s = max(POLL_S, REST * (self._clock() - began))
        self._look_at = self._clock() + self._rest_s

    def _tell_given_up(self, seen: Collection[str] | None) -> Iterator[Told]:
        """Yield which runs are left alone from now on; of a worker that ends soon, of those that it took up."""
        found = self._runs.given_up
        self._given_up &= found.keys()
        news = found.keys() - self._given_up
        for run in news if seen is None else news.intersection(seen):
            self._given_up.add(run)
            yield Told("given-up", given_up_text(found[run].barren), run, f"kitaru resume {run}")

    def _is_still_due(self, due: Due) -> bool:
        """Tell whether nobody has taken up an invocation since the look that found it, which may be long ago."""
        return not due.is_new or self._queue.is_due(due)

    def _take_up(self, due: Due) -> Due | Told | None:
        """Begin to carry a run on; return what there is to say."""
        try:
            wait = self._start(due)
        except NotNowError as not_now:
            self._rests[due.run] = _Rest(due.token, 0, self._clock() + not_now.again_s)
            return not_now.told
        self._at_work[due.run] = self._clock()

        def watch() -> None:
            code, told = wait()
            self._ended.put((due, code, told))

        threading.Thread(target=watch, name=f"kitaru-work-{due.run}", daemon=True).start()
        return due

    def _next_end(self, timeout_s: float | None) -> Carried | None:
        while True:
            try:  # a signal that another thread was given does not wake this one
                ended = self._ended.get(timeout=POLL_S if timeout_s is None else timeout_s)
                break
            except queue.Empty:
                if timeout_s is not None:
                    return None
        if ended is None:
            return None
        due, code, told = ended
        took_s = self._clock() - self._at_work.pop(due.run)
        if not due.is_new:
            self._runs.forget(due.run)
            self._found.clear()  # it may be the next to be taken up, too
        again_s = self._rest(due, code)
        return Carried(due, self._status(due.run), code, told if again_s else "", took_s, again_s)

    def _rest(self, due: Due, code: int) -> float:
        """Let a run rest that has the same to go on with as before; return for how long."""
        if not self._has_the_same(due):
            self._rests.pop(due.run, None)
            return 0.0
        if code == RunHeld.exit_code:  # somebody else carries it on
            tries, rest_s = 0, POLL_S
        else:
            before = self._rests.get(due.run)
            tries = before.tries + 1 if before is not None and before.token == due.token else 1
            rest_s = min(POLL_S * 2**tries, MAX_BACKOFF_S)
        self._rests[due.run] = _Rest(due.token, tries, self._clock() + rest_s)
        return rest_s

    def _has_the_same(self, due: Due) -> bool:
        """Tell whether what was taken up came no further."""
        if due.is_new:
            return self._queue.is_as_before(due)
        return due.token in {found.token for found in self._runs.all() if found.run == due.run}

    def _status(self, run: str) -> str:
        try:
            return str(self._project.state(run).status)
        except KitaruError:
            return ""

    # -- what there is to do ---------------------------------------------------------------------------------------

    def due(self) -> list[Due]:
        """Return what can be taken up now: runs, those first that have waited longest, then what is queued."""
        found = [*self._runs.all(), *self._queue.all()]
        return [due for due in found if due.run not in self._at_work and not self._rests_still(due)]

    def _rests_still(self, due: Due) -> bool:
        rest = self._rests.get(due.run)
        return rest is not None and rest.token == due.token and self._clock() < rest.until


class Processes:
    """Carries runs on by `kitaru resume`, each in a fresh process of its own: with the code as it is then.

    Args:
        root: the project's directory.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._running: set[Any] = set()

    def start(self, run: str, *options: str, env: Mapping[str, str] | None = None) -> Callable[[], tuple[int, str]]:
        """Start one; it has a session of its own, and goes on when this process is gone.

        Args:
            options: of `kitaru resume`.
            env: environment variables beside those of this process.
        """
        words = ["kitaru", "-C", str(self._root), "resume", "-q", "--no-input", *options, "--", run]
        return self._spawn(words, {COUNTED: run, **(env or {})})

    def begin(self, run: str, *, env: Mapping[str, str] | None = None) -> Callable[[], tuple[int, str]]:
        """Start one that begins the run of a queued invocation; as of `start`."""
        return self._spawn(["kitaru.project.starting", str(self._root), run], env or {})

    def _spawn(self, words: list[str], env: Mapping[str, str]) -> Callable[[], tuple[int, str]]:
        import os
        import subprocess
        import sys
        import tempfile

        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by who waits
        process = subprocess.Popen(  # noqa: S603 - this very Python, and an id that named a run
            [sys.executable, "-P", "-m", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, **env},
            start_new_session=True,
        )
        self._running.add(process)

        def wait() -> tuple[int, str]:
            with errors:
                code = process.wait()
                self._running.discard(process)
                errors.seek(0)
                return code, errors.read().decode("utf-8", "replace")[-MAX_TOLD:]

        return wait

    def interrupt(self) -> None:
        """Have all of them stop, to be resumed."""
        import signal

        for process in list(self._running):
            process.send_signal(signal.SIGINT)
