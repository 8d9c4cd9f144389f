"""`kitaru log`.

`kitaru log RUN` lists calls and waits in call order: how each call came by its result (`ran`, `reused`, `pinned`,
`failed`, `in flight`), how long it took, its arguments and its output by id. In brackets stands what deserves a look:
`stale` (kept by a replay although these arguments changed), `mutated` (the call changed its argument in place), `drift`
(a policy let it go on), `no longer made` (the code that executed last did not make it), and attempts.

## JSON

`kitaru log -o json` prints `runs`, each a [summary](json.md#summary), and `more`, how many `-n` left out,
and `damaged`, the ids of runs that cannot be read. `kitaru log RUN -o json` prints a [run](json.md#run) with
`calls`, each a [call](json.md#call), and `waits`, each a [wait](json.md#wait).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli import complete
from kitaru.cli.answered import left_off, standing
from kitaru.cli.damage import tell_damaged
from kitaru.cli.documents import call_json, how_of, no_longer_made, run_json, summary_json, wait_json
from kitaru.cli.events import origin
from kitaru.cli.graph import Graph
from kitaru.cli.invoked import invoked_line
from kitaru.cli.options import FlowOpt, Output, OutputOpt, SinceOpt
from kitaru.cli.page import Page, Span, status_span, write_json
from kitaru.cli.text import age, duration, error_name, local_time, one_line, short, since, sleeps
from kitaru.model.spending import dollars, model_calls, spent

if TYPE_CHECKING:
    from kitaru.model.history import CallView, RunState, WaitView
    from kitaru.model.summary import RunSummary
    from kitaru.project import Project

DEFAULT_LIMIT = 20
_HOW_STYLES = {"failed": "red", "in flight": "cyan", "reused": "dim", "pinned": "magenta"}


def log(
    run: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="A run whose calls to list.", autocompletion=complete.runs),
    ] = None,
    *,
    flow: FlowOpt = "",
    status: Annotated[
        str | None,
        typer.Option("--status", metavar="STATUS", help="Only runs of this status.", autocompletion=complete.statuses),
    ] = None,
    tag: Annotated[
        list[str], typer.Option("--tag", metavar="TAG", help="Only runs that have this tag; may be repeated.")
    ] = [],  # noqa: B006 - typer copies defaults, and shows None as a value
    since_: SinceOpt = None,
    limit: Annotated[
        int, typer.Option("-n", "--limit", metavar="N", min=0, help="At most so many runs; 0 for all.")
    ] = DEFAULT_LIMIT,
    output: OutputOpt = Output.TEXT,
) -> None:
    """List runs, newest first, or the calls of one run.

    Replays are drawn as branches of the run they branched from, where that is in the listing.
    """
    from kitaru.project import Project

    project = Project.open()
    if run is not None:
        return _calls(project, project.state(project.find_run(run)), output)
    after = since(since_, project.services.clock_us()) if since_ else None
    shown, more = project.log_page(
        limit or None, flow=flow or None, status=check_status(status), tags=tag, since_us=after, count=True
    )
    _listing(project, shown, more, output)


def _listing(project: Project, shown: list[RunSummary], more: int, output: Output) -> None:
    if output is Output.JSON:
        write_json({"runs": [summary_json(s) for s in shown], "more": more, "damaged": sorted(project.damaged)})
    else:
        _runs(shown, more, project.services.clock_us())
    tell_damaged(project)


def check_status(status: str | None) -> str | None:
    """Return a status as typed.

    Raises:
        UsageError: there is no such status.
    """
    from kitaru.errors import UsageError
    from kitaru.model.history import Status

    if status is not None and status not in set(Status):
        raise UsageError(f"there is no status {status!r}", hint=f"one of {', '.join(Status)}")
    return status


def _runs(runs: list[RunSummary], more: int, now: int) -> None:
    page = Page(None if runs else sys.stderr)
    graph = Graph(s.run for s in runs)
    drawn = [graph.add(s.run, s.source) for s in runs]
    width = max((len(head) for _, head, _ in drawn), default=0)
    flows = max((len(s.flow) for s in runs), default=0)
    for summary, (above, head, below) in zip(runs, drawn, strict=True):
        for strokes in above:
            page.line((strokes, "dim"))
        page.line((f"{head:<{width}} ", "dim"), *run_spans(summary, min(flows, 40), now))
        for strokes in below:
            page.line((strokes, "dim"))
    if more:
        page.line((f"{more} more; kitaru log -n 0 lists all", "dim"))
    if not runs:
        page.line("no runs")
    page.write()


def run_spans(summary: RunSummary, flow_width: int, now: int) -> list[Span]:
    """Return the line of a run in a listing, less its graph."""
    line: list[Span] = [
        (summary.run, "bold"),
        "  ",
        status_span(str(summary.status), 11),
        f"  {summary.flow:<{flow_width}} v{summary.version}",
        (f"  {age(summary.started, now)}", "dim"),
    ]
    if summary.ended:
        line.append((f"  {duration(summary.ended - summary.started)}", "dim"))
    line.append((f"  {summary.calls} call{'s' * (summary.calls != 1)}", "dim"))
    if summary.model_calls:
        line.append((f"  {dollars(summary.spent)}", "dim"))
    if summary.source:
        line.append((f"  from {summary.source}", "dim"))
    line += [(f"  #{tag}", "cyan") for tag in summary.tags]
    if summary.waits:
        line.append((f"  waits for {', '.join(summary.waits)}", "yellow"))
    if summary.given_up:
        line.append(("  given up by workers", "red"))
    if summary.wakes:
        line.append((f"  {sleeps(summary.wakes, now)}", "yellow"))
    if summary.error:
        line.append((f"  {one_line(summary.error)}", "red"))
    return line


def _calls(project: Project, state: RunState, output: Output) -> None:
    if output is Output.JSON:
        return write_json(_document(project, state))
    page = Page()
    page.line(
        ("run ", ""),
        (state.run, "bold"),
        "  ",
        status_span(str(state.status)),
        f"  {state.start.flow} v{state.version.get('n', '?')}",
    )
    if told := invoked_line(state.start.invoked):
        page.line((f"invoked {told}", "dim"))
    if told := project.giving_up.told(state):
        page.line((told, "red"), whole=True)
    gone = no_longer_made(state)
    entries: dict[int, list[Span]] = {
        order: _call_row(c, state.run, gone=c.label in gone) for order, c in state.calls.items()
    }
    entries |= {order: _wait_row(project, state, w) for order, w in state.waits.items()}
    page.table((entries[order] for order in state.sequence), whole=True)  # its last column is ids: never hidden
    return page.write()


def _document(project: Project, state: RunState) -> dict[str, Any]:
    gone = no_longer_made(state)
    return {
        **run_json(state),
        "calls": [call_json(call, state.run, gone=call.label in gone) for call in state.ordered_calls],
        "waits": [wait_json(wait, project.given(state, wait)) for wait in state.ordered_waits],
    }


def _call_row(call: CallView, run: str, *, gone: bool) -> list[Span]:
    record, how = call.record, how_of(call, run)
    took = duration(record.at - record.began) if record else ""
    style = _HOW_STYLES.get(how, "green")
    return [(f"{call.order:>4}", "dim"), call.label, (how, style), (took, "dim"), _details(call, gone=gone)]


def _details(call: CallView, *, gone: bool) -> Span:
    record = call.record
    if record is None:
        return f"since {local_time(call.begun.began)}" if call.begun else ""
    args = ", ".join(f"{name}={short(value)}" for name, value in record.args.items())
    text = f"({args})"
    if record.error:
        text += f" ! {error_name(record.error)}: {one_line(str(record.error.get('message', '')), 100)}"
    else:
        text += f" -> {short(record.output)}"
    return text + _marks(call, gone=gone)


def _marks(call: CallView, *, gone: bool) -> str:
    record = call.record
    marks = ["no longer made"] if gone else []
    if call.stale:
        marks.append(f"stale: {', '.join(call.stale)}")
    if record and record.reused:
        marks.append(f"from {origin(record.reused)}")
    if record and record.mutated:
        marks.append(f"mutated: {', '.join(record.mutated)}")
    if call.drift:
        marks.append(f"drift: {call.drift}")
    if cost := dollars(spent(model_calls(record))):
        marks.append(cost)
    if len(call.attempts) > 1:
        marks.append(f"{len(call.attempts)} attempts")
    return "".join(f"  [{mark}]" for mark in marks)


def _wait_row(project: Project, state: RunState, wait: WaitView) -> list[Span]:
    if wait.is_sleep:
        how = standing(wait)
        said = sleeps(wait.record.deadline or 0, project.services.clock_us()) if wait.is_open else ""
    elif wait.answer:
        how, said = "answered", f"-> {short(wait.answer.value)}" + (f" by {wait.answer.by}" if wait.answer.by else "")
    else:
        how = "unasked" if wait.closed else "closed" if wait.ended else "waiting"
        said = left_off(project, state, wait) or one_line(wait.record.question, 100)
    return [(f"{wait.record.order:>4}", "dim"), wait.label, (how, "yellow" if wait.is_open else "dim"), "", said]
