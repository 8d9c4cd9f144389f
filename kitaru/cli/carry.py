"""Starting a run, watching it, asking what it asks, and telling how it ended: run, resume, replay and answer alike.

Owns: the order of these steps. What is decided about a run, `Project` decides.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from kitaru.cli.answered import recorded_first, tell_recorded
from kitaru.cli.ask import AnsweredElsewhere, ask, can_ask, how_to_answer
from kitaru.cli.events import write_json_line
from kitaru.cli.options import Output
from kitaru.cli.page import Page, write_json
from kitaru.cli.progress import watching
from kitaru.cli.text import clean, iso, sleeps, users_frames
from kitaru.cli.value import plain, pretty
from kitaru.errors import (
    AlreadyAnswered,
    AnswerRefused,
    Drift,
    InvalidAnswer,
    KitaruError,
    RunFailed,
    RunHeld,
    RunInterrupted,
    RunOver,
    RunWaiting,
)
from kitaru.model.history import Status
from kitaru.runtime.waits import answer_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.cli.groups import Manner
    from kitaru.project import Project
    from kitaru.runtime.ending import Outcome
    from kitaru.runtime.events import Event, Observer
    from kitaru.runtime.handle import FlowHandle

    Start = Callable[[Callable[[Event], None]], FlowHandle[Any]]


def carry(project: Project, start: Start, manner: Manner) -> None:
    """Execute a run to its end or to a question that nobody answers here, and print its result.

    Args:
        project: where it lives.
        start: begins it, given the observer.
        manner: how to show it.

    Raises:
        KitaruError: how the run ended, where it did not complete.
    """
    asks = project.prompts = not manner.no_input and can_ask()
    outcome = _execute(start, manner)
    if outcome.existing and not manner.quiet:
        _tell_existing(outcome)
    while outcome.status is Status.WAITING and asks:
        _tell_refused(outcome)
        answered = _ask_and_go_on(project, outcome.run, manner)
        if answered is None:
            break
        outcome = answered
    _tell(project, outcome, manner)
    if not manner.quiet:
        _tell_unpushed(project, outcome.run)
    if outcome.status is Status.WAITING:
        _tell_refused(outcome)
        _tell_waiting(project, outcome.run)
    if outcome.error is not None:
        raise outcome.error
    _tell_carried_elsewhere(outcome)


def _execute(start: Start, manner: Manner) -> Outcome:
    with watching(quiet=manner.quiet, events=manner.events) as observer:
        handle = start(observer)
    outcome = handle.outcome
    if outcome is None:
        raise RuntimeError("a run in the foreground came back without an outcome")
    return outcome


def _ask_and_go_on(project: Project, run: str, manner: Manner) -> Outcome | None:
    """Ask the first open question and carry the run on; None where the person leaves it open."""
    wait = next(iter(project.state(run).open_questions), None)
    if wait is None:
        return None
    while True:
        try:
            text = ask(project, wait)
            if text is None:
                return None
            with recorded_first(project, run, wait):
                outcome = _execute(_answering(project, run, wait.label, text), manner)
        except InvalidAnswer as error:
            sys.stderr.write(f"{clean(error.message, lines=True)}\n")
        except (AlreadyAnswered, AnsweredElsewhere) as error:
            sys.stderr.write(f"{clean(str(error), lines=True)}\n")
            return _execute(lambda observer: _go_on(project, run, observer), manner)
        else:
            if isinstance(outcome.error, Drift):
                tell_recorded(project, run, wait)
            return outcome


def _go_on(project: Project, run: str, observer: Observer) -> FlowHandle[Any]:
    """Carry a run on that somebody else answered, unless he does."""
    try:
        return project.resume(run, observer=observer, foreground=True)
    except (RunHeld, RunOver):
        return project.follow_up(run)


def _answering(project: Project, run: str, wait: str, text: str) -> Start:
    return lambda observer: project.answer(run, wait, text, text=True, observer=observer, foreground=True)


def _tell(project: Project, outcome: Outcome, manner: Manner) -> None:
    if manner.events:
        write_json_line({"event": "result", **outcome_json(project, outcome)})
    elif manner.output is Output.JSON:
        write_json(outcome_json(project, outcome))
    elif outcome.status is Status.COMPLETED:
        write_result(outcome.value)
    # a KitaruError in the flow: its message and hint say it all
    told = isinstance(outcome.error.__cause__, KitaruError) if outcome.error else True
    if isinstance(outcome.error, RunFailed) and not told and not manner.quiet:
        _why(project, outcome.run)


def _tell_refused(outcome: Outcome) -> None:
    """Say why the run asks again although it had an answer."""
    if isinstance(outcome.error, AnswerRefused):
        page = Page(sys.stderr)
        page.line(("refused: ", "yellow"), outcome.error.why, wrap=True)
        page.write()


def _tell_existing(outcome: Outcome) -> None:
    others = f" with another {', '.join(outcome.other_inputs)}" if outcome.other_inputs else ""
    told = f"run {outcome.run} was started for this key before{others}, and is shown as it stands"
    page = Page(sys.stderr)
    page.line(("note: ", "yellow"), told, wrap=True)
    page.write()


def _tell_unpushed(project: Project, run: str) -> None:
    """Remind of the others, who wait for a run that lives on a remote."""
    if remote := project.lives_on(run, behind=True):
        page = Page(sys.stderr)
        page.line(("note: ", "yellow"), f"run {run} lives on {remote}: ", (f"kitaru push {remote}", "bold"), whole=True)
        page.write()


def _why(project: Project, run: str) -> None:
    """Show where the flow's own code raised."""
    end = project.state(run).end
    traceback = (end.error or {}).get("traceback") if end else None
    if traceback:
        sys.stderr.write(clean(users_frames(str(traceback)), lines=True).rstrip("\n") + "\n")


def _tell_carried_elsewhere(outcome: Outcome) -> None:
    """Say how a run stands that another process took up with our answer; nothing to say where it is done."""
    if outcome.status is Status.RUNNING:
        page = Page(sys.stderr)
        page.line(f"run {outcome.run} goes on in the process that holds it", wrap=True)
        page.write()
    elif outcome.status is Status.INTERRUPTED:
        raise RunInterrupted(f"run {outcome.run} was interrupted", hint=f"kitaru resume {outcome.run}")
    elif outcome.status is not Status.COMPLETED:
        raise RunFailed(f"run {outcome.run} is {outcome.status}", hint=f"kitaru show {outcome.run}")


def _tell_waiting(project: Project, run: str) -> NoReturn:
    """Say which questions the run stopped at and what to type, and end with the status of a run that waits."""
    page = Page(sys.stderr)
    state = project.state(run)
    if state.wakes:
        page.line(("sleeping: ", "yellow"), f"run {run} {sleeps(state.wakes, project.services.clock_us())}", wrap=True)
        page.line(("hint: ", ""), f"then: kitaru resume {run}", whole=True)
    for wait in state.open_questions:
        page.line(("waiting: ", "yellow"), f"run {run} stopped at {wait.label}", wrap=True)
        how_to_answer(page, run, wait)
    page.write()
    raise typer.Exit(RunWaiting.exit_code)


def outcome_json(project: Project, outcome: Outcome) -> dict[str, Any]:
    """Return how a run ended, as JSON."""
    state = project.state(outcome.run)
    error = None if isinstance(outcome.error, RunWaiting) else outcome.error  # to wait is no error
    return {
        "run": outcome.run,
        "flow": state.start.flow,
        "status": str(state.status),
        "result": plain(outcome.value),
        "output": state.end.output if state.end else None,
        "waits": [wait.label for wait in state.open_waits],
        "questions": [
            {"wait": w.label, "question": w.record.question, "answer_with": answer_line(state.run, w)}
            for w in state.open_questions
        ],
        "wakes": iso(state.wakes),
        "invoked": dict(state.start.invoked) or None,
        "existing": outcome.existing,
        "other_inputs": list(outcome.other_inputs),
        "error": {"type": type(error).__name__, "message": error.message, "hint": error.hint} if error else None,
    }


def write_result(value: object) -> None:
    """Print a result on stdout: a string as it is, made harmless only where a terminal would act on it."""
    if value is None:
        return
    text = pretty(value)
    if sys.stdout.isatty():
        text = clean(text, lines=True)
    sys.stdout.flush()
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")
