"""`kitaru queue`.

What `kitaru invoke --queue` queued, and what schedules call for, is taken by [`kitaru work`](work.md): the highest
priority first, then the oldest, nothing before its time. An invocation is called as its run will be, so that it becomes
exactly one run, however many workers there are; `kitaru log ID` shows that once it has begun. [Queue and
schedules](../queue.md) tells the rest.

`kitaru queue` alone lists what waits for a worker. `cancel` is for what nobody has taken yet; a run that has begun is
ended by [`kitaru cancel`](cancel.md).

## JSON

`list` prints `invocations`, each `id` (also the run's), `state` (`queued`, `delayed`, `cancelled`, `pruned`, or the
status of its run), `target`, `flow`, `key`, `env`, `priority`, `not_before`, `tags`, `schedule` and `tick` (null unless
a schedule called for it), `queued` (when), `by`. `show` prints one of these with its `inputs`; `cancel` prints
`cancelled`, the ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli import complete
from kitaru.cli.listing import listing
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.text import age, duration, iso, local_time
from kitaru.cli.value import plain, pretty

if TYPE_CHECKING:
    from kitaru.cli.page import Span
    from kitaru.project import Project
    from kitaru.project.queueing import QueuedInvocation

app = listing()

_STYLES = {"queued": "cyan", "delayed": "yellow", "completed": "green", "failed": "red", "waiting": "yellow"}
IdArg = Annotated[str, typer.Argument(metavar="ID", help="An id, or its beginning.", autocompletion=complete.queued)]


@app.callback()
def queue() -> None:
    """Show what waits for a worker, and call it off."""


@app.command("list")
def list_(
    *,
    all_: Annotated[bool, typer.Option("-a", "--all", help="Also what was taken or cancelled.")] = False,
    output: OutputOpt = Output.TEXT,
) -> None:
    """List what waits for a worker, in the order in which it is taken."""
    from kitaru.project import Project

    project = Project.open()
    found = project.queue(all=all_)
    if output is Output.JSON:
        return write_json({"invocations": [_document(queued) for queued in found]})
    page, now = Page(), project.services.clock_us()
    page.table(_row(queued, now) for queued in found)
    return page.write()


def _row(queued: QueuedInvocation, now_us: int) -> list[Span]:
    it = queued.invocation
    facts = [
        f"priority {it.priority}" if it.priority else "",
        f"in {duration(it.not_before - now_us)}" if queued.state == "delayed" else "",
        f"schedule {it.schedule}" if it.schedule else "",
        f"key {it.key}" if it.key else "",
        f"by {it.by}" if it.by else "",
    ]
    state: Span = (queued.state, _STYLES.get(queued.state, "dim"))
    return [(it.id, "bold"), state, it.target, (age(it.at, now_us), "dim"), ("  ".join(filter(None, facts)), "dim")]


@app.command("show")
def show(invocation: IdArg, *, output: OutputOpt = Output.TEXT) -> None:
    """Show one invocation, with its inputs."""
    from kitaru.project import Project

    project = Project.open()
    found = project.invocation(invocation)
    inputs = project.value(found.invocation.inputs)
    if output is Output.JSON:
        return write_json({**_document(found), "inputs": plain(inputs)})
    return _page(project, found, inputs)


def _page(project: Project, queued: QueuedInvocation, inputs: object) -> None:
    it, now, page = queued.invocation, project.services.clock_us(), Page()
    page.line((it.id, "bold"), "  ", (queued.state, _STYLES.get(queued.state, "dim")), f"  {it.target}")
    page.line(f"  queued {age(it.at, now)}{f' by {it.by}' if it.by else ''}")
    if it.not_before:
        page.line(f"  not before {local_time(it.not_before)}")
    if it.schedule:
        page.line(f"  called for by schedule {it.schedule}, {local_time(it.tick)}")
    for name, value in (("priority", it.priority), ("key", it.key), ("env", it.env), ("tags", ", ".join(it.tags))):
        if value:
            page.line(f"  {name} {value}")
    for name, value in inputs.items() if isinstance(inputs, dict) else ():
        page.line(f"  {name}:")
        page.block(pretty(value), "    ")
    page.write()


@app.command("cancel")
def cancel(
    invocation: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Ids, or beginnings.", autocompletion=complete.queued)
    ],
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")] = "",
    output: OutputOpt = Output.TEXT,
) -> None:
    """Cancel invocations that nobody has taken: their runs are never begun."""
    from kitaru.project import Project

    project = Project.open()
    wanted = [project.invocation(text).invocation.id for text in invocation]  # all are known before one is cancelled
    done = [project.dequeue(found, reason=reason).id for found in wanted]
    if output is Output.JSON:
        return write_json({"cancelled": done})
    page = Page()
    for found in done:
        page.line((found, "bold"), "  cancelled")
    return page.write()


def _document(queued: QueuedInvocation) -> dict[str, Any]:
    it = queued.invocation
    return {
        "id": it.id,
        "state": queued.state,
        "target": it.target,
        "flow": it.flow,
        "key": it.key,
        "env": it.env,
        "priority": it.priority,
        "not_before": iso(it.not_before),
        "tags": it.tags,
        "schedule": it.schedule or None,
        "tick": iso(it.tick),
        "queued": iso(it.at),
        "by": it.by,
    }
