"""Carrying on whatever can be carried on: the loop behind `kitaru work`.

Owns: which runs have something to go on with, that each is taken up by a process of its own, so many at once, and how
long one rests that came no further. Who wins a run is settled by the run's lock, as ever. Shows nothing.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError, RunHeld
from kitaru.model.history import Status
from kitaru.store import layout
from kitaru.store.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from kitaru.model.summary import RunSummary
    from kitaru.project.project import Project

POLL_S = 1.0
REST = 20
"""To look for work takes its time in a large store: so many times as long a worker rests after it."""
MAX_BACKOFF_S = 300.0
MAX_TOLD = 2000
"""Characters of what a process wrote that are told of it."""


@dataclass(frozen=True, slots=True)
class Due:
    """A run that has something to go on with.

    Attributes:
        why: `answered`, `deadline`, `slept`, `cancelled` or `interrupted`.
        token: what it has; where that is the same after a process took the run up, it came no further.
    """

    run: str
    flow: str
    why: str
    token: tuple[Any, ...]


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
        kind: `pulled`, `pushed`, `claimed`, `untrusted`, `diverged` or `trouble`.
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
        start: begins to carry a run on; returns what waits for its end, and gives exit status and what was written.
            It may raise NotNowError.
        before: called before each look for work; returns what it has to say.
        clock: seconds, for rests.
    """

    def __init__(
        self,
        project: Project,
        *,
        interrupted: bool = False,
        jobs: int = 1,
        start: Callable[[str], Callable[[], tuple[int, str]]] | None = None,
        before: Callable[[], Iterable[Told]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._project, self._interrupted, self._jobs, self._clock = project, interrupted, jobs, clock
        self._start, self._before = start or Processes(project.root).start, before
        self._catalog = Catalog(project.repo)
        self._looked: dict[str, tuple[object, Due | None]] = {}
        self._at_work: dict[str, float] = {}
        self._rests: dict[str, _Rest] = {}
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
        seen: set[str] = set()
        while True:
            yield from self._before()
            began = self._clock()
            todo = [] if self._draining else [due for due in self.due() if not (once and due.run in seen)]
            for due in todo:
                if len(self._at_work) >= self._jobs:
                    break
                seen.add(due.run)
                told = self._take_up(due)
                if told is not None:
                    yield told
            if not self._at_work and (once or self._draining):
                return
            rest = max(POLL_S, REST * (self._clock() - began))
            ended = self._next_end(None if self._at_work and (self._draining or once) else rest)
            if ended is not None:
                yield ended

    def _take_up(self, due: Due) -> Due | Told | None:
        """Begin to carry a run on; return what there is to say."""
        try:
            wait = self._start(due.run)
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
        try:
            ended = self._ended.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if ended is None:
            return None
        due, code, told = ended
        took_s = self._clock() - self._at_work.pop(due.run)
        self._looked.pop(due.run, None)
        again_s = self._rest(due, code)
        return Carried(due, self._status(due.run), code, told if again_s else "", took_s, again_s)

    def _rest(self, due: Due, code: int) -> float:
        """Let a run rest that has the same to go on with as before; return for how long."""
        if due.token not in {found.token for found in self._all_due() if found.run == due.run}:
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

    def _status(self, run: str) -> str:
        try:
            return str(self._project.state(run).status)
        except KitaruError:
            return ""

    # -- what there is to do ---------------------------------------------------------------------------------------

    def due(self) -> list[Due]:
        """Return the runs that can be taken up now, those first that have waited longest."""
        return [due for due in self._all_due() if due.run not in self._at_work and not self._rests_still(due)]

    def _rests_still(self, due: Due) -> bool:
        rest = self._rests.get(due.run)
        return rest is not None and rest.token == due.token and self._clock() < rest.until

    def _all_due(self) -> list[Due]:
        now = self._project.services.clock_us()
        summaries = [s for s in self._catalog.unfinished() if s.status in (Status.RUNNING, Status.WAITING)]
        self._looked = {s.run: self._looked[s.run] for s in summaries if s.run in self._looked}
        found = [due for summary in reversed(summaries) if (due := self._due(summary, now)) is not None]
        return [due for due in found if not self._project.repo.is_held(due.run)]

    def _due(self, summary: RunSummary, now_us: int) -> Due | None:
        run, repo = summary.run, self._project.repo
        if repo.is_cancellation_there(run):
            return Due(run, summary.flow, "cancelled", ())
        if summary.status == Status.RUNNING:
            return self._cut_short(summary)
        if 0 < summary.wakes <= now_us:
            return Due(run, summary.flow, "slept", (summary.wakes,))
        if 0 < summary.due <= now_us:
            return Due(run, summary.flow, "deadline", (summary.due,))
        return (self._answered(summary) if summary.waits else None) or self._cut_short(summary)

    def _cut_short(self, summary: RunSummary) -> Due | None:
        """Return a run whose process is gone. It may wait in one branch, with others at work: its journal is open."""
        if not self._interrupted:
            return None
        if summary.status != Status.RUNNING and not self._project.repo.blobs.children(layout.open_key(summary.run)):
            return None
        return Due(summary.run, summary.flow, "interrupted", (summary.calls, summary.asked))

    def _answered(self, summary: RunSummary) -> Due | None:
        """Return a run with an answer that it has not taken; it is read only where its answers or records changed."""
        names = tuple(sorted(self._project.repo.blobs.children(layout.answer_key(summary.run))))
        if not names:
            return None
        looked = names, summary
        known = self._looked.get(summary.run)
        if known is None or known[0] != looked:
            known = self._looked[summary.run] = looked, self._read(summary)
        return known[1]

    def _read(self, summary: RunSummary) -> Due | None:
        try:
            state = self._project.state(summary.run)
            given = [self._project.given(state, view) for view in state.open_questions]
        except KitaruError:
            return None
        nonces = tuple(answer.nonce for answer in given if answer is not None)
        return Due(summary.run, summary.flow, "answered", nonces) if nonces else None


class Processes:
    """Carries runs on by `kitaru resume`, each in a process of its own: with the code as it is then.

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
        import os
        import subprocess
        import sys
        import tempfile

        words = [sys.executable, "-m", "kitaru", "-C", str(self._root), "resume", "-q", "--no-input", *options]
        words += ["--", run]
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by who waits
        process = subprocess.Popen(  # noqa: S603 - this very Python, and an id that named a run
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, **(env or {})},
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
