"""`kitaru waits`.

## JSON

`waits`, each a [wait](json.md#wait) with its `flow`, the values in `shown`, and `answer_with`, a line that answers it
as it stands (null where it needs no answer any more, and for a sleep).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli.answered import how_it_ended, left_off
from kitaru.cli.ask import how_to_answer, question, until
from kitaru.cli.damage import tell_damaged
from kitaru.cli.documents import values_json, wait_json
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.text import age, short, sleeps
from kitaru.cli.value import pretty
from kitaru.runtime.waits import answer_line

if TYPE_CHECKING:
    from kitaru.project import OpenWait, Project

MAX_SHOWN_LINES = 12


def waits(
    *,
    all_: Annotated[bool, typer.Option("-a", "--all", help="Also questions that are open no more.")] = False,
    output: OutputOpt = Output.TEXT,
) -> None:
    """List the open questions, oldest first, with what there is to see and how to answer; and which runs sleep."""
    from kitaru.project import Project

    project = Project.open()
    found = project.waits(all=all_)
    if output is Output.JSON:
        write_json({"waits": [_document(project, wait) for wait in found]})
    else:
        print_waits(project, found)
    tell_damaged(project)


def print_waits(project: Project, found: list[OpenWait]) -> None:
    """Print open waits, each with what there is to see and how to answer."""
    page, now = Page(None if found else sys.stderr), project.services.clock_us()
    for wait in found:
        page.gap()
        _question(page, project, wait, now)
    if not found:
        page.line("no open questions")
    page.write()


def _document(project: Project, wait: OpenWait) -> dict[str, Any]:
    given = project.given(wait.state, wait.view)
    return {
        **wait_json(wait.view, given),
        "run": wait.state.run,
        "flow": wait.state.start.flow,
        "shown": values_json(project, wait.view.record.shown, wait.view.run),
        "answer_with": answer_line(wait.state.run, wait.view) if given is None and _is_asked(wait) else None,
    }


def _is_asked(wait: OpenWait) -> bool:
    return wait.view in wait.state.open_questions


def _question(page: Page, project: Project, wait: OpenWait, now: int) -> None:
    view, state = wait.view, wait.state
    page.line(
        (state.run, "bold"),
        "  ",
        (view.label, "yellow"),
        f"  {state.start.flow} v{state.version.get('n', '?')}",
        (f"  asked {age(view.record.at, now)}", "dim"),
    )
    if view.is_sleep:
        page.line((f"  {sleeps(view.record.deadline or 0, now)}", "yellow"))
        return
    if view.record.question:
        question(page, view.record.question, f"kitaru show {state.run}:{view.label}")
    if not _is_asked(wait):
        page.line(f"  {how_it_ended(project, state, view)}")
        return
    if view.record.deadline:
        page.line((f"  {until(project, view)}", "yellow"), wrap=True)
    for name, object_id in view.record.shown.items():
        page.line(f"  {name} ", (short(object_id), "dim"), ":")
        page.block(pretty(project.value(object_id, view.run), MAX_SHOWN_LINES), "    ")
    if told := left_off(project, state, view):
        page.line((f"  {told}", "yellow"), whole=True)
        return
    how_to_answer(page, state.run, view, ("answer with: ", "dim"), "  ")
