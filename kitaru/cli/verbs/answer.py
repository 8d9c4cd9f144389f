"""`kitaru answer`.

`kitaru answer @ true` will do where one question is open: a lone word that is no wait's name is the value. Values are
JSON, or plain text where the question asks for text or a choice; `-` reads one from stdin, `--from-file` from a file.
An answer that does not fit the question's schema is refused, with status 2 and the field that is wrong, and nothing is
recorded. On a terminal, without a value, the question is asked: of an object field by field, with the type of each,
its limits and its default. Progress, JSON and events are those of [run](run.md).

A run that lives on a remote is claimed there before it is carried on, as [resume](resume.md) does; the answer itself
is recorded here in any case, and goes to the others with `kitaru push`.

`--reject` ends the run at the question instead: it is cancelled, with who, when and the note as its reason. Whoever
executes it ends with status 9.

`--detach` has a process of its own carry the run on: follow it with [logs](logs.md). With `--detach`, `--no-resume` or
`--reject`, `-o json` prints `run`, `wait`, and `recorded`; of a rejection `rejected` and `ended` instead (as of
[cancel](cancel.md)).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli import complete
from kitaru.cli.answered import left_off, recorded_first
from kitaru.cli.ask import AnsweredElsewhere, ask, can_ask
from kitaru.cli.carry import carry
from kitaru.cli.groups import Manner, spread
from kitaru.cli.options import OfflineOpt, Output, RunArg
from kitaru.cli.page import Page, write_json
from kitaru.errors import AlreadyAnswered, UnknownWait, UsageError
from kitaru.model.ids import parse_call
from kitaru.runtime.waits import answer_line

if TYPE_CHECKING:
    from kitaru.model.history import RunState, WaitView
    from kitaru.project import Project

MAX_READ = 64 * 1024 * 1024
"""Bytes of an answer that is read from a file or from stdin."""


def _open_waits(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    found = complete.calls_of(ctx.params.get("run") or "@")
    return [(name, kind) for name, kind in found if kind == "wait" and name.startswith(incomplete)]


@spread
def answer(
    run: RunArg,
    wait: Annotated[
        str | None,
        typer.Argument(metavar="[WAIT]", help="Which question, where several are open.", autocompletion=_open_waits),
    ] = None,
    value: Annotated[
        str | None,
        typer.Argument(metavar="[VALUE|-]", help="The answer; asked for on a terminal where left out; - for stdin."),
    ] = None,
    *,
    from_file: Annotated[
        Path | None, typer.Option("--from-file", metavar="FILE", help="The answer is what this file holds.")
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who answers; you, if left out.")] = "",
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for the record.")] = "",
    reject: Annotated[bool, typer.Option("--reject", "--abort", help="End the run here, instead.")] = False,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help="Carry the run on afterwards.")] = True,
    detach: Annotated[bool, typer.Option("--detach", help="Carry it on in the background.")] = False,
    offline: OfflineOpt = False,
    manner: Manner,
) -> None:
    """Answer a wait, and carry the run on.

    The first answer stands; a second one ends with status 6 and says who gave the first.
    """
    from kitaru.project import Project

    project = Project.open()
    state = project.state(project.find_run(run))
    if reject:
        _reject(project, state, wait, by=by, note=note, output=manner.output)
        return
    name, text = _given(state, wait, value, from_file)
    view = _one(state, name)
    if text is None:
        text = _ask(project, state, name, manner.no_input)
    if detach or not resume:
        project.answer(state.run, name, text, text=True, by=by, note=note, resume=False)
        if detach:
            _detach(project, state.run, view, offline=offline)
        _recorded(project, state.run, view.label if view is not None else name, manner.output, detach)
        return
    with recorded_first(project, state.run, view):
        carry(
            project,
            lambda observer: project.answer(
                state.run,
                name,
                text,
                text=True,
                by=by,
                note=note,
                offline=offline,
                observer=observer,
                foreground=True,
            ),
            manner,
        )


def _given(
    state: RunState, wait: str | None, value: str | None, from_file: Path | None
) -> tuple[str | None, str | None]:
    """Return the question that is named and the answer that is given, each None where it is left open."""
    if from_file is None:
        name, text = _which(state, wait, value)
        return name, _stdin() if text == "-" else text
    if value is not None:
        raise UsageError("there are two answers", hint="give either VALUE or --from-file FILE")
    return _which(state, wait, _read(from_file))


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return _text(opened.read(MAX_READ + 1), str(file))
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error


def _stdin() -> str:
    return _text(sys.stdin.buffer.read(MAX_READ + 1), "stdin")


def _text(data: bytes, where: str) -> str:
    """Return what was read, without its last line end, as a shell takes what a command prints."""
    if len(data) > MAX_READ:
        raise UsageError(f"the answer in {where} is larger than {MAX_READ >> 20} MiB")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"the answer in {where} is no UTF-8 text") from error
    return text.removesuffix("\n").removesuffix("\r")


def _reject(project: Project, state: RunState, wait: str | None, *, by: str, note: str, output: Output) -> None:
    done = project.reject(state.run, wait, by=by, note=note)
    if output is Output.JSON:
        document = {"run": done.run, "wait": wait, "rejected": True, "ended": done.ended, "holder": done.holder or None}
        write_json(document)
        return
    page = Page()
    ended = "rejected" if done.ended else f"rejected; {done.holder or 'another process'} still executes it"
    page.line("run ", (done.run, "bold"), f" is {ended}", whole=True)
    page.write()


def _detach(project: Project, run: str, view: WaitView | None, *, offline: bool) -> None:
    from kitaru.project.detached import resume_detached

    with recorded_first(project, run, view):
        resume_detached(project.root, run, offline=offline)


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
    wanted = parse_call(name) if name is not None else None
    found = [
        view
        for view in state.open_questions
        if wanted is None or (view.record.name == wanted.name and wanted.nth in (None, view.record.occurrence))
    ]
    found = [view for view in found if view.label == name] or found
    return found[0] if len(found) == 1 else None


def _ask(project: Project, state: RunState, name: str | None, no_input: bool) -> str:
    view = _one(state, name)
    if view is None:
        project.check_open(state, name)
        raise UnknownWait(state.run, name, [view.label for view in state.open_questions])
    if project.given(state, view):
        raise AlreadyAnswered(
            f"{view.label} of run {state.run} is {left_off(project, state, view)}", hint=f"kitaru resume {state.run}"
        )
    try:
        text = ask(project, view) if can_ask() and not no_input else None
    except AnsweredElsewhere as told:
        raise AlreadyAnswered(str(told), hint=f"kitaru show {state.run}") from None
    if text is None:
        raise UsageError(f"no answer to {view.label} was given", hint=answer_line(state.run, view))
    return text


def _recorded(project: Project, run: str, name: str | None, output: Output, detach: bool) -> None:
    if output is Output.JSON:
        document: dict[str, Any] = {"run": run, "wait": name, "recorded": True}
        write_json({**document, "detached": True} if detach else document)
        return
    page = Page()
    if detach:
        page.line("recorded; carried on in the background: ", (f"kitaru logs -f {run}", "bold"), whole=True)
    else:
        page.line("recorded; ", (f"kitaru resume {run}", "bold"), " carries the run on", whole=True)
        if remote := project.lives_on(run):
            page.line("or somebody else does, after ", (f"kitaru push {remote}", "bold"), whole=True)
    page.write()
