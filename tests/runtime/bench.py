"""Running flows in tests: at once in memory, or as files in processes of their own.

A flow that is defined inside a function is found again, on resume, by its qualified name: a function that defines it
twice, in two ways, is how a test changes the code between two executions without files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.testing import Recorder, memory_project

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.model.history import RunState
    from kitaru.runtime.handle import FlowHandle

REPOSITORY = Path(__file__).parents[2]


class Ended:
    """One execution of a run, and what its observer was told."""

    def __init__(self, handle: FlowHandle[Any], told: Recorder, state: RunState) -> None:
        assert handle.outcome is not None
        self.run, self.status = handle.exec_id, str(handle.outcome.status)
        self.value, self.error = handle.outcome.value, handle.outcome.error
        self.told, self.state = told, state

    @property
    def calls(self) -> list[str]:
        """`label how`, in the order in which they were told."""
        return [f"{label} {how}" for label, how in self.told.calls()]

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The data of all events of a kind."""
        return [e.data for e in self.told.events if e.kind == kind]

    @property
    def log(self) -> list[str]:
        """Labels of calls and waits in call order."""
        views = {**self.state.calls, **self.state.waits}
        return [views[order].label for order in self.state.sequence]

    @property
    def notes(self) -> list[str]:
        """What this run's notes are about."""
        return [note.about for note in self.state.notes]


class Bench:
    """A project in memory; every execution is on the calling thread."""

    def __init__(self, root: Path) -> None:
        self.project = memory_project(root)

    def run(self, flow: Any, /, **inputs: Any) -> Ended:
        """Start a run."""
        return self._watched(lambda told: self.project.run(flow, inputs, observer=told, foreground=True))

    def resume(self, run: str, _code: Any = None, **options: Any) -> Ended:
        """Carry a run on, by the code given: of flows of one name, the one defined last is found, while it lives."""
        return self._watched(lambda told: self.project.resume(run, observer=told, foreground=True, **options))

    def replay(self, run: str, _code: Any = None, **options: Any) -> Ended:
        """Branch, by the code given."""
        return self._watched(lambda told: self.project.replay(run, observer=told, foreground=True, **options))

    def answer(self, run: str, value: Any, wait: str | None = None, _code: Any = None, **options: Any) -> Ended:
        """Answer a wait and carry its run on, by the code given."""
        return self._watched(
            lambda told: self.project.answer(run, wait, value, observer=told, foreground=True, **options)
        )

    def _watched(self, start: Callable[[Recorder], FlowHandle[Any]]) -> Ended:
        told = Recorder()
        handle = start(told)
        return Ended(handle, told, self.project.state(handle.exec_id))


class Scripts:
    """A project on disk; every execution is a process of its own, as with the command line."""

    def __init__(self, root: Path) -> None:
        from kitaru.project import Project

        self.root = root
        Project.init(root)

    @property
    def project(self) -> Any:
        """The project, as it is on disk now."""
        from kitaru.project import Project

        return Project.open(self.root)

    def write(self, name: str, text: str) -> Path:
        """Write a source file."""
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    def python(self, *words: str, code: int | None = 0, **environ: str) -> str:
        """Run Python in the project's directory; return what it wrote, stdout and then stderr."""
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": "0", **environ}
        ended = subprocess.run(
            [sys.executable, *words], cwd=self.root, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        if code is not None:
            assert ended.returncode == code, f"{ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout + ended.stderr

    def do(self, expression: str, **options: Any) -> str:
        """Evaluate an expression on `project`, with the outcome of a handle printed, in a new process."""
        program = f"""
from kitaru import Project
project = Project.open()
handle = {expression}
outcome = handle.outcome
print(outcome.status, repr(outcome.value), type(outcome.error).__name__, outcome.error, sep=" | ")
"""
        return self.python("-c", program, **options)

    def lines(self, name: str) -> list[str]:
        """Return the lines of a file that flows wrote, none if there is no file."""
        file = self.root / name
        return file.read_text().splitlines() if file.exists() else []
