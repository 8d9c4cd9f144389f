"""`kitaru queue`.

What `kitaru invoke --queue` queued, and what schedules call for, is taken by [`kitaru work`](work.md): the highest
priority first, then the oldest, nothing before its time. An invocation is called as its run will be, so that it becomes
exactly one run, however many workers there are; `kitaru log ID` shows that once it has begun. [Queue and
schedules](../queue.md) tells the rest.

`kitaru queue` alone lists what waits for a worker, and what workers have [given up](../queue.md#workers). Below that it
says why any of it could not be begun now: a route or version that is gone or damaged, code that is not trusted, inputs
that no longer fit, a limit that is reached. Whether code can be imported, or an environment built, only `kitaru work`
finds out. `cancel` is for what nobody has taken yet; a run that has begun is ended by [`kitaru cancel`](cancel.md).

## JSON

`list` prints `invocations`, each `id` (also the run's), `state` (`queued`, `delayed`, `cancelled`, `pruned`, `given
up`, or the status of its run), `why` and `hint` (what keeps it from being begun, and what mends that; null where
nothing is known to), `target`, `flow`, `key`, `env`, `priority`, `not_before`, `tags`, `schedule` and `tick` (null
unless a schedule called for it), `queued` (when), `by`. `show` prints one of these with its `inputs`; `cancel` prints
`cancelled`, the ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli import complete
from kitaru.cli.listing import listing
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.text import age, duration, iso, local_time, one_line
from kitaru.cli.value import plain, pretty

if TYPE_CHECKING:
    from kitaru.cli.page import Span
    from kitaru.project import Project
    from kitaru.project.obstacles import Obstacle, Obstacles
    from kitaru.project.queueing import QueuedInvocation

app = listing()

_NAMED = 3
"""So many ids are named of those that one thing keeps from being begun."""
_STYLES = {
    "queued": "cyan",
    "delayed": "yellow",
    "given up": "red",
    "completed": "green",
    "failed": "red",
    "waiting": "yellow",
}
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
    from kitaru.project.obstacles import Obstacles

    project = Project.open()
    found = project.queue(all=all_)
    hindered = Obstacles(project)
    if output is Output.JSON:
        return write_json({"invocations": [_document(project, queued, hindered) for queued in found]})
    page, now = Page(), project.services.clock_us()
    page.table(_row(queued, now) for queued in found)
    _obstacles(page, project, found, hindered)
    return page.write()


def _obstacle(project: Project, queued: QueuedInvocation, hindered: Obstacles) -> Obstacle | None:
    from kitaru.project.giving_up import given_up_text
    from kitaru.project.obstacles import Obstacle
    from kitaru.project.queueing import GIVEN_UP

    if queued.state == GIVEN_UP:
        run = queued.invocation.run
        return Obstacle(given_up_text(project.state(run).barren), f"kitaru resume {run}")
    return hindered.of(queued.invocation) if queued.is_pending else None


def _obstacles(page: Page, project: Project, found: list[QueuedInvocation], hindered: Obstacles) -> None:
    """Add what keeps invocations from being begun, each reason once, with the first that it is of."""
    told: dict[Obstacle, list[str]] = {}
    for queued in found:
        obstacle = _obstacle(project, queued, hindered)
        if obstacle is not None:
            told.setdefault(obstacle, []).append(queued.invocation.id)
    if told:
        page.gap()
    for obstacle, ids in told.items():
        more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
        page.line((", ".join(ids[:_NAMED]), "bold"), f"{more}  ", (one_line(obstacle.why), "yellow"), wrap=True)
        if obstacle.hint:
            page.line(("  hint: ", "dim"), one_line(obstacle.hint), wrap=True)


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
    from kitaru.project.obstacles import Obstacles

    project = Project.open()
    found = project.invocation(invocation)
    inputs, hindered = project.value(found.invocation.inputs), Obstacles(project)
    if output is Output.JSON:
        return write_json({**_document(project, found, hindered), "inputs": plain(inputs)})
    return _page(project, found, inputs, hindered)


def _page(project: Project, queued: QueuedInvocation, inputs: object, hindered: Obstacles) -> None:
    it, now, page = queued.invocation, project.services.clock_us(), Page()
    page.line((it.id, "bold"), "  ", (queued.state, _STYLES.get(queued.state, "dim")), f"  {it.target}")
    page.line(f"  queued {age(it.at, now)}{f' by {it.by}' if it.by else ''}")
    obstacle = _obstacle(project, queued, hindered)
    if obstacle is not None:
        page.line("  ", (one_line(obstacle.why), "yellow"), wrap=True)
        page.line(("  hint: ", "dim"), one_line(obstacle.hint), wrap=True)
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


def _document(project: Project, queued: QueuedInvocation, hindered: Obstacles) -> dict[str, Any]:
    it, obstacle = queued.invocation, _obstacle(project, queued, hindered)
    return {
        "id": it.id,
        "state": queued.state,
        "why": obstacle.why if obstacle is not None else None,
        "hint": (obstacle.hint or None) if obstacle is not None else None,
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
