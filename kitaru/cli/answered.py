"""How a wait stands: open, answered, answered but not carried on, or no longer asked.

Owns: the words for it, and what is said where an answer was recorded and the run did not go on.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kitaru.cli.page import Page
from kitaru.errors import AlreadyAnswered, InvalidAnswer, KitaruError, RunFailed, UnknownWait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kitaru.model.history import RunState, WaitView
    from kitaru.project import Project


def standing(wait: WaitView) -> str:
    """Return `answered`, `open` or `no longer asked`, or of a sleep `over` or `sleeping`, by the run's own records."""
    if wait.answer is not None:
        return "over" if wait.is_sleep else "answered"
    if wait.is_sleep and not wait.closed:
        return "sleeping"
    return "no longer asked" if wait.closed else "open"


def left_off(project: Project, state: RunState, wait: WaitView) -> str:
    """Return `answered by NAME, not carried on yet: kitaru resume RUN`; empty where no answer lies there unused."""
    given = project.given(state, wait)
    if given is None:
        return ""
    by = f"answered by {given.by or 'somebody'}"
    if project.repo.is_held(state.run):
        return f"{by}, and being carried on"
    return f"{by}, not carried on yet: kitaru resume {state.run}"


@contextmanager
def recorded_first(project: Project, run: str, wait: WaitView | None) -> Iterator[None]:
    """Where carrying on after an answer fails, say before the error that the answer itself is recorded."""
    try:
        yield
    except (AlreadyAnswered, InvalidAnswer, UnknownWait, RunFailed):
        raise  # nothing was recorded, or the flow took the answer and failed later
    except KitaruError:
        tell_recorded(project, run, wait)
        raise


def tell_recorded(project: Project, run: str, wait: WaitView | None) -> None:
    """Say that a wait's answer is recorded, if it is."""
    if wait is None or project.repo.answer(run, wait.record.digest) is None:
        return
    page = Page(sys.stderr)
    page.line(f"the answer to {wait.label} is recorded, but the run was not carried on:", whole=True)
    page.write()
