"""`kitaru answer`.

`kitaru answer @ true` will do where one question is open: a lone word that is no wait's name is the value. Values are
JSON, or plain text where the question asks for text or a choice. An answer that does not fit the question's schema is
refused, with status 2 and the field that is wrong, and nothing is recorded. On a terminal, without a value, the
question is asked. Progress, JSON and events are those of [run](run.md); with `--no-resume -o json` there are `run`,
`wait` and `recorded`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kitaru.cli import complete
from kitaru.cli.answered import left_off, recorded_first
from kitaru.cli.ask import ask, can_ask
from kitaru.cli.carry import Manner, carry
from kitaru.cli.options import EventsOpt, NoInputOpt, Output, OutputOpt, QuietOpt, RunArg
from kitaru.cli.page import Page, write_json
from kitaru.errors import AlreadyAnswered, UnknownWait, UsageError
from kitaru.runtime.waits import answer_line

if TYPE_CHECKING:
    from kitaru.model.history import RunState, WaitView
    from kitaru.project import Project


def _open_waits(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    found = complete.calls_of(ctx.params.get("run") or "@")
    return [(name, kind) for name, kind in found if kind == "wait" and name.startswith(incomplete)]


def answer(
    run: RunArg,
    wait: Annotated[
        str | None,
        typer.Argument(metavar="[WAIT]", help="Which question, where several are open.", autocompletion=_open_waits),
    ] = None,
    value: Annotated[
        str | None, typer.Argument(metavar="[VALUE]", help="The answer; asked for on a terminal where left out.")
    ] = None,
    *,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who answers; you, if left out.")] = "",
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for the record.")] = "",
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help="Carry the run on afterwards.")] = True,
    output: OutputOpt = Output.TEXT,
    quiet: QuietOpt = False,
    events: EventsOpt = False,
    no_input: NoInputOpt = False,
) -> None:
    """Answer a wait, and carry the run on.

    The first answer stands; a second one ends with status 6 and says who gave the first.
    """
    from kitaru.project import Project

    project = Project.open()
    state = project.state(project.find_run(run))
    name, text = _which(state, wait, value)
    view = _one(state, name)
    if text is None:
        text = _ask(project, state, name, no_input)
    if not resume:
        project.answer(state.run, name, text, text=True, by=by, note=note, resume=False)
        _recorded(state.run, name, output)
        return
    with recorded_first(project, state.run, view):
        carry(
            project,
            lambda observer: project.answer(
                state.run, name, text, text=True, by=by, note=note, observer=observer, foreground=True
            ),
            Manner(output, quiet, events, no_input),
        )


def _which(state: RunState, wait: str | None, value: str | None) -> tuple[str | None, str | None]:
    """Tell name and value apart: a lone word that names no wait is the value, where only one question is open."""
    names = [view.label for view in state.waits.values()]
    if value is None and wait is not None and wait not in names:
        if len(state.open_questions) == 1:
            return state.open_questions[0].label, wait
        answered = [view.label for view in state.ordered_waits if view.answer is not None]
        if answered and not state.open_questions:
            return answered[-1], wait  # which is refused, saying who answered it
    return wait, value


def _one(state: RunState, name: str | None) -> WaitView | None:
    """Return the open wait that is meant, or None where that is not clear."""
    found = [view for view in state.open_questions if name in (None, view.label)]
    return found[0] if len(found) == 1 else None


def _ask(project: Project, state: RunState, name: str | None, no_input: bool) -> str:
    view = _one(state, name)
    if view is None:
        raise UnknownWait(state.run, name, [view.label for view in state.open_questions])
    if project.given(state, view):
        raise AlreadyAnswered(
            f"{view.label} of run {state.run} is {left_off(project, state, view)}", hint=f"kitaru resume {state.run}"
        )
    text = ask(project, view) if can_ask() and not no_input else None
    if text is None:
        raise UsageError(f"no answer to {view.label} was given", hint=answer_line(state.run, view))
    return text


def _recorded(run: str, name: str | None, output: Output) -> None:
    if output is Output.JSON:
        write_json({"run": run, "wait": name, "recorded": True})
        return
    page = Page()
    page.line("recorded; ", (f"kitaru resume {run}", "bold"), " carries the run on", whole=True)
    page.write()
