"""How a wait stands: open, answered, answered but not carried on, closed, or no longer asked.

Owns: the words for it, and what is said where an answer was recorded and the run did not go on.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kitaru.cli.page import Page
from kitaru.cli.value import brief
from kitaru.errors import AlreadyAnswered, CodeUnloadable, InvalidAnswer, KitaruError, RunFailed, UnknownWait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kitaru.model.history import RunState, WaitView
    from kitaru.project import Project


def standing(wait: WaitView) -> str:
    """Return how a wait stands, by the run's own records.

    `open`, `answered`, `expired`, `rejected` or `no longer asked`; of a sleep `sleeping` or `over`; of either, where
    the run ended before, `closed by the cancel` or `closed by the failure`.
    """
    if wait.answer is not None:
        return "over" if wait.is_sleep else _SETTLED.get(wait.answer.source, "answered")
    if wait.closed or wait.ended:
        return "no longer asked" if wait.closed else _CLOSED.get(wait.ended, "no longer asked")
    return "sleeping" if wait.is_sleep else "open"


def left_off(project: Project, state: RunState, wait: WaitView) -> str:
    """Return `answered by NAME, not carried on yet: kitaru resume RUN`; empty where no answer lies there unused."""
    given = project.given(state, wait)
    if given is None:
        return ""
    by = f"answered by {'default' if given.source == 'default' else given.by or 'somebody'}"
    by = _SETTLED.get(given.source, by)
    if project.repo.is_held(state.run):
        return f"{by}, and being carried on"
    return f"{by}, not carried on yet: kitaru resume {state.run}"


def how_it_ended(project: Project, state: RunState, wait: WaitView) -> str:
    """Return what became of a question that is open no more: `answered by bob: true`, `expired`, `no longer asked`."""
    answer = wait.answer
    if answer is None:
        return f"open when the run was {state.status}" if not wait.closed else "no longer asked"
    if answer.source == "expired":
        return "expired"
    if answer.source == "rejected":
        return f"rejected by {answer.by or 'somebody'}{f': {answer.note}' if answer.note else ''}"
    by = "default" if answer.source == "default" else answer.by or "somebody"
    return f"answered by {by}: {brief(project.value(answer.value, wait.run))}"


_CLOSED = {"cancelled": "closed by the cancel", "failed": "closed by the failure"}
_SETTLED = {"expired": "expired", "rejected": "rejected"}


@contextmanager
def recorded_first(project: Project, run: str, wait: WaitView | None) -> Iterator[None]:
    """Where carrying on after an answer fails, say before the error that the answer itself is recorded."""
    try:
        yield
    except (AlreadyAnswered, InvalidAnswer, UnknownWait, RunFailed):
        raise  # nothing was recorded, or the flow took the answer and failed later
    except CodeUnloadable as error:
        tell_recorded(project, run, wait)
        if "--as-recorded" not in error.hint:
            raise
        raise CodeUnloadable(error.message, hint=f"kitaru resume {run} --as-recorded") from error
    except KitaruError:
        tell_recorded(project, run, wait)
        raise


def tell_recorded(project: Project, run: str, wait: WaitView | None) -> None:
    """Say that a wait's answer is recorded, if it is."""
    if wait is None or project.repo.answer(run, wait.record.digest) is None:
        return
    page = Page(sys.stderr)
    page.line(f"the answer to {wait.label} is recorded, but the run was not carried on here", whole=True)
    if remote := project.lives_on(run):
        page.line("others can carry it on after: ", (f"kitaru push {remote}", "bold"), whole=True)
    page.write()
