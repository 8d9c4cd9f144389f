"""A worker for tests: what is due is done in this process, on this thread.

Owns: how `kitaru work` comes to an end in a test. What is due, and in which order, is the real worker's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import KitaruError
from kitaru.project.due import Due
from kitaru.project.starting import begin, told_of
from kitaru.project.working import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.project import Project
    from kitaru.runtime.ending import Outcome


def work_off(project: Project, *, interrupted: bool = False) -> list[str]:
    """Do what `kitaru work --once` would do, here: fire schedules, begin what is queued, carry on what can be.

    Args:
        project: whose queue and runs.
        interrupted: take up runs, too, that were interrupted, whoever began them.

    Returns:
        The ids of the runs that were taken up, in order; how each ended, `project.state` tells.

    Raises:
        KitaruError: one could not be begun or carried on: the first such, when all else is done.
    """
    refused: list[KitaruError] = []

    def start(due: Due) -> Callable[[], tuple[int, str]]:
        code, told = 0, ""
        try:
            outcome = begin(project, due.run) if due.is_new else _carry_on(project, due.run)
            code = outcome.error.exit_code if outcome.error is not None else 0
        except KitaruError as error:
            refused.append(error)
            code, told = error.exit_code, told_of(error)
        return lambda: (code, told)

    worker = Work(project, interrupted=interrupted, start=start)
    taken = [told.run for told in worker.carry(once=True) if isinstance(told, Due)]
    if refused:
        raise refused[0]
    return taken


def _carry_on(project: Project, run: str) -> Outcome:
    outcome = project.resume(run, foreground=True).outcome
    if outcome is None:
        raise RuntimeError("a run in the foreground came back without an outcome")
    return outcome
