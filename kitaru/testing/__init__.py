"""For tests of flows: a project in memory, with clock and ids that are the same each time; histories followed again.

Owns: the public kit. It is the real engine on the real store format; only the bytes lie in memory and time stands
still until it is told to move.

Example::

    from kitaru.testing import memory_project

    def test_approval():
        project = memory_project()
        handle = project.run(research_agent, {"question": "why?"}, foreground=True)
        assert handle.status == "waiting"
        assert project.answer(handle.exec_id, "approve", True, foreground=True).wait() == "because"
"""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from kitaru.blobs.local import LocalBlobs
from kitaru.blobs.memory import MemoryBlobs
from kitaru.blobs.overlay import OverlayBlobs
from kitaru.config import Config
from kitaru.errors import NotAProject, UnknownRun
from kitaru.model.history import Status
from kitaru.project import Project
from kitaru.runtime.events import Event, Services
from kitaru.store.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.runtime.checking import Check
    from kitaru.testing.runtimes import RuntimeContract
    from kitaru.testing.workers import work_off

START_US = 1_767_225_600_000_000
"""2026-01-01 00:00:00 UTC."""


class FixedClock:
    """A clock that moves by a fixed step at each look.

    Args:
        start_us: microseconds since 1970 UTC.
        step_us: how far each look moves it; 0 for a clock that stands still.
    """

    def __init__(self, start_us: int = START_US, step_us: int = 1000) -> None:
        self.now_us, self.step_us = start_us, step_us

    def __call__(self) -> int:
        """Return the time, and move on."""
        self.now_us += self.step_us
        return self.now_us

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self.now_us += int(seconds * 1_000_000)

    def let_pass(self, seconds: float) -> float:
        """Move the clock where a run would wait, and return how long it is to wait really: not at all."""
        self.advance(seconds)
        return 0.0


def fixed_random(seed: str = "kitaru") -> Callable[[int], bytes]:
    """Return a source of bytes that look random and are the same each time."""
    counter = itertools.count()

    def random_bytes(n: int) -> bytes:
        text = f"{seed} {next(counter)}".encode()
        return hashlib.shake_128(text).digest(n)

    return random_bytes


def fixed_services(clock: Callable[[], int] | None = None, seed: str = "kitaru") -> Services:
    """Return services for a project whose runs are to come out the same each time."""
    clock = clock or FixedClock()
    delay = clock.let_pass if isinstance(clock, FixedClock) else float
    return Services(clock, fixed_random(seed), user="tester", host="testhost", pid=1, delay=delay)


def memory_project(
    root: Path | str | None = None,
    *,
    clock: Callable[[], int] | None = None,
    config: Config | None = None,
    seed: str = "kitaru",
) -> Project:
    """Return an empty project whose store lies in memory.

    Args:
        root: the directory that its flows' code is found in; the current one by default.
        clock: microseconds since 1970 UTC; a `FixedClock` by default.
        config: its settings.
        seed: what its ids follow from. Two projects of one test that are to meet at a remote need two of these.
    """
    services = fixed_services(clock, seed)
    repo = Repository.create(MemoryBlobs(), services.random_bytes)
    return Project(Path(root or ".").absolute(), repo, config or Config(), services)


class Recorder:
    """An observer that keeps what it is told: `project.run(..., observer=recorder)`."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)

    def kinds(self) -> list[str]:
        """Return the kinds of the events, in order."""
        return [event.kind for event in self.events]

    def calls(self) -> list[tuple[str, str]]:
        """Return label and how (`ran`, `recorded`, `shared`, `pinned`) of each call, in order."""
        return [(e.data["call"], e.data["how"]) for e in self.events if e.kind == "call"]


class HistoryMismatch(AssertionError):
    """Recorded histories that today's code does not follow; the text tells which calls, and how.

    Attributes:
        checks: what was found of each run that was followed, those that fit included.
    """

    def __init__(self, text: str, checks: list[Check]) -> None:
        super().__init__(text)
        self.checks = checks


def replay_history(
    store: Path | str | Project,
    run: str | None = None,
    *,
    root: Path | str | None = None,
    on_drift: str = "",
    strict: bool = False,
) -> list[Check]:
    """Follow recorded histories with today's code: each call must find its record, as a resume would have it.

    The flows' bodies run, with recorded results; no checkpoint executes, and nothing is written to the store.

    Args:
        store: a copy of a project's `.kitaru` directory, the directory it is in, or a project.
        run: a revision that names one run; all that the store has by default.
        root: the directory that the flows' code is found in; the current one by default.
        on_drift: policy for calls that no longer fit, as of `resume`.
        strict: a run that had completed must be followed to its end: nothing new may be executed or asked, and every
            recorded call must be made.

    Returns:
        What was found of each run, oldest first.

    Raises:
        HistoryMismatch: a run drifts, or its flow fails; an `AssertionError` that shows the difference.
        UnknownRun, NotAProject, Damaged: there is no such history, or it cannot be read.
        CodeUnloadable: today's code has no such flow.
    """
    project = store if isinstance(store, Project) else _history(Path(store), root)
    runs = [run] if run is not None else [summary.run for summary in reversed(project.log())]
    if project.damaged:
        raise next(iter(project.damaged.values()))
    if not runs:
        raise UnknownRun("@")
    checks = [project.check_resume(name, on_drift=on_drift) for name in runs]
    wrong = [told for check in checks if (told := _mismatch(project, check, strict=strict))]
    if wrong:
        raise HistoryMismatch("\n\n".join(wrong), checks)
    return checks


def _history(store: Path, root: Path | str | None) -> Project:
    directory = store if (store / "format").exists() else store / ".kitaru"
    if not (directory / "format").exists():
        raise NotAProject(str(store))
    repo = Repository.open(OverlayBlobs(LocalBlobs(directory)))
    return Project(Path(root or ".").absolute(), repo, Config())


def _mismatch(project: Project, check: Check, *, strict: bool) -> str:
    """Return what is wrong with a history, or nothing."""
    parts = []
    if check.problem is not None:
        parts = [check.problem.message, *(c.difference for c in check.calls if "\n" in c.difference)]
    elif strict and project.state(check.run).status is Status.COMPLETED:
        parts = [f"{c.call}: {c.verdict}, {c.why}" for c in check.calls if c.verdict in ("run", "ask")]
        parts += [f"{label}: recorded, and no longer made" for label in check.left]
    return "\n".join([f"run {check.run} of {check.flow}:", *(f"  {part}" for part in parts)]) if parts else ""


def __getattr__(name: str) -> object:
    if name == "RuntimeContract":  # what it needs is imported by those who have a runtime to test
        from kitaru.testing.runtimes import RuntimeContract

        return RuntimeContract
    if name in ("ScriptedModel", "scripted_model"):
        from kitaru.testing import models

        return getattr(models, name)
    if name == "work_off":
        from kitaru.testing.workers import work_off

        return work_off
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "FixedClock",
    "HistoryMismatch",
    "Recorder",
    "RuntimeContract",
    "ScriptedModel",
    "fixed_random",
    "fixed_services",
    "memory_project",
    "replay_history",
    "scripted_model",
    "work_off",
]
