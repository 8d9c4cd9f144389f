"""`kitaru show`.

Values are cut after 40 lines; `kitaru cat-object ID` prints them whole. "made from" and "went into" are lineage: an
argument whose id equals an earlier output's came from there.

## JSON

`kitaru show RUN -o json` prints a [run](json.md#run) whose `inputs` are values, with `result` (`id` and `value`),
`calls` and `waits` (how many, and which), and `notes`. `kitaru show RUN:CALL -o json` prints a [call](json.md#call)
with `inputs` and `artifacts` (name to `id` and `value`), `result`, `traceback`, `metadata`, `logs` (`at_us`, `stream`,
`text`), `tries` (`record`, `error`) and `lineage` (`up` and `down`: `call`, `name`, `id`).
`kitaru show RUN:WAIT -o json` prints a [wait](json.md#wait) with the values in `shown`, and `reply`, the answer's
value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli import complete
from kitaru.cli.answered import left_off, standing
from kitaru.cli.call_page import call_document, call_page, error, field, values, wait_document, wait_page
from kitaru.cli.documents import run_json, value_json, values_json
from kitaru.cli.invoked import differs_line, invoked_line
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, status_span, write_json
from kitaru.cli.text import duration, local_time
from kitaru.errors import UnknownCall
from kitaru.model.spending import dollars
from kitaru.runtime.cancelling import recorded_cancelled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.model.history import CallView, RunState, WaitView
    from kitaru.project import Project


def show(
    revision: Annotated[
        str,
        typer.Argument(
            metavar="RUN[:CALL]",
            help="A run, or a call or wait of it: @, @:plan, @:fetch#2.",
            autocompletion=complete.revisions,
        ),
    ] = "@",
    *,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Show a run, a call or a wait in full."""
    from kitaru.project import Project

    project = Project.open()
    if ":" not in revision:
        return _show_run(project, project.state(project.find_run(revision)), output)
    state, found = _find(project, revision)
    if output is Output.JSON:
        return write_json(_document(project, state, found))
    page = Page()
    _fill(page, project, state, found)
    return page.write()


def _find(project: Project, revision: str) -> tuple[RunState, CallView | WaitView]:
    """Find a call, or else a wait of that name: the two are written alike."""
    try:
        return project.find_call(revision)
    except UnknownCall:
        found = project.find_wait(revision)
        if found is None:
            raise
        return found


def _document(project: Project, state: RunState, found: CallView | WaitView) -> dict[str, Any]:
    from kitaru.model.history import WaitView

    return wait_document(project, state, found) if isinstance(found, WaitView) else call_document(project, state, found)


def _fill(page: Page, project: Project, state: RunState, found: CallView | WaitView) -> None:
    from kitaru.model.history import WaitView

    if isinstance(found, WaitView):
        wait_page(page, project, state, found)
    else:
        call_page(page, project, state, found)


def _show_run(project: Project, state: RunState, output: Output) -> None:
    if output is Output.JSON:
        return write_json(_run_document(project, state))
    page, start, end = Page(), state.start, state.end
    page.line("run ", (state.run, "bold"), "  ", status_span(str(state.status)), whole=True)
    _facts(page, project, state)
    values(page, project, "inputs", start.inputs, state.run)
    if end and end.output:
        values(page, project, "result", {"": end.output}, state.run)
    if end and end.error:
        error(page, end.error)
    return page.write()


def _run_document(project: Project, state: RunState) -> dict[str, Any]:
    end, line = state.end, project.spent(state)
    return {
        **run_json(state),
        "inputs": values_json(project, state.start.inputs, state.run),
        "result": value_json(project, end.output, state.run) if end and end.output else None,
        "calls": len(state.calls),
        "cost": {"paid": line.paid.to_json(), "saved": line.saved.to_json()},
        "waits": [wait.label for wait in state.ordered_waits],
        "notes": [{"about": note.about, "data": note.data} for note in state.notes],
    }


def _facts(page: Page, project: Project, state: RunState) -> None:
    start, end = state.start, state.end
    field(page, "flow", f"{start.flow} v{state.version.get('n', '?')}")
    field(page, "started", _moment(start.at, start.origin))
    if end:
        field(page, "ended", f"{local_time(end.at)}, after {duration(end.at - start.at)}")
    if told := project.giving_up.told(state):
        field(page, "workers", (told, "red"))
    for name, told in _optional(state):
        if told:
            field(page, name, told)
    reused = sum(call.run != state.run for call in state.calls.values())
    field(page, "calls", f"{len(state.calls)}" + (f", {reused} of them reused" if reused else ""))
    if cost := _cost(project, state):
        field(page, "cost", cost)
    if state.waits:
        field(page, "waits", ", ".join(f"{w.label} ({standing(w)})" for w in state.ordered_waits))
    for wait in state.open_waits:
        if told := left_off(project, state, wait):
            field(page, "", (f"{wait.label} {told}", "yellow"))


def _cancelled_by(state: RunState) -> str:
    """Return who cancelled a run, when and why; empty of a run that was not."""
    if state.end is None or state.end.cancelled is None:
        return ""
    return recorded_cancelled(state.run, state.end.cancelled).message.partition(" was cancelled ")[2]


def _cost(project: Project, state: RunState) -> str:
    """Return what the run spent on models, and what recorded results saved; empty where nothing was asked."""
    line = project.spent(state)
    saved = f"{dollars(line.saved)} saved by recorded results" if line.saved.calls else ""
    calls = (
        f"{dollars(line.paid)} for {line.paid.calls} model call{'s' * (line.paid.calls != 1)}"
        if line.paid.calls
        else ""
    )
    return ", ".join(filter(None, [calls, saved]))


def _optional(state: RunState) -> list[tuple[str, str]]:
    start = state.start
    source = start.source or {}
    changed = [f"{kind} {name}" for kind, given in start.overrides.items() for name in given]
    return [
        ("source", f"branched from {source.get('run')} at call order {state.cut}" if source else ""),
        ("changed", ", ".join(changed)),
        ("tags", ", ".join(start.tags)),
        ("invoked", invoked_line(start.invoked)),
        ("differs", differs_line(start.invoked)),
        ("key", start.key),
        ("cancelled", _cancelled_by(state)),
        ("on drift", start.on_drift),
        ("code", start.code),
        *[("" if n else "resumed", _moment(r.at, r.origin)) for n, r in enumerate(state.resumed)],
    ]


def _moment(at: int, origin: Mapping[str, Any]) -> str:
    """Return when something was done, by whom and on which machine."""
    return f"{local_time(at)} by {origin.get('user', '?')} on {origin.get('host', '?')}"
