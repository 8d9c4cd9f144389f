"""`kitaru schedule`.

A schedule invokes a flow again and again: each time it is due, [`kitaru work`](work.md) queues an invocation, whose id
follows from the schedule's name and the time, so that of many workers exactly one does, and starts its run. Nothing
ticks while no worker runs; `--catch-up` says what becomes of such ticks once one does: `none` of them, the `last`, or
`all` (at most 1000) are invoked late. Ticks while a schedule is paused are never caught up.

`--cron` has five fields: minute, hour, day, month, weekday, as crontab(5) has them. They are of the time zone `--tz`,
this machine's by default. What is due in an hour that a change of the clock leaves out is due right after it; what is
due in one that comes twice is due in the first of them. [Queue and schedules](../queue.md) tells the rest.

Every change is an entry of the schedule's log, which stays, and is shared by `kitaru push`.

`kitaru schedule` alone lists the schedules.

## JSON

`list` prints `schedules`, each `name`, `state` (`active`, `paused`, `removed`), `target`, `cron`, `tz`, `catch_up`,
`next` (null where it is due no more), `last` (the latest tick that was invoked, or null), `last_run` (its run), `n` (of
the entry that holds), `changed`, `by`, `note`, `wrong` (why it never ticks here, or empty). `show` prints one of these
with its `inputs`; `log` prints `schedule` and `entries`, each `n`, `state`, `target`, `cron`, `tz`, `catch_up`, `at`,
`by`, `note`. `add`, `pause`, `resume` and `remove` print one as `list` does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli import complete
from kitaru.cli.inputs import json_object, pairs
from kitaru.cli.listing import listing
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.text import age, iso
from kitaru.cli.value import plain, pretty

if TYPE_CHECKING:
    from kitaru.cli.page import Span
    from kitaru.project import Project
    from kitaru.project.scheduling import ScheduleView
    from kitaru.store.schedules import ScheduleEntry

app = listing()

_STYLES = {"active": "green", "paused": "yellow", "removed": "dim"}


class CatchUp(StrEnum):
    """What becomes of ticks that no worker was there for."""

    NONE = "none"
    LAST = "last"
    ALL = "all"


NameArg = Annotated[str, typer.Argument(metavar="NAME", help="The schedule.", autocompletion=complete.schedules)]
NoteOpt = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for the log.")]


@app.callback()
def schedule() -> None:
    """Have flows invoked again and again."""


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called: letters, digits, - and _.")],
    target: Annotated[
        str,
        typer.Argument(
            metavar="FLOW[@ROUTE]", help="What is invoked: agent@stable.", autocompletion=complete.invocable
        ),
    ],
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Inputs, read by the recorded schema.")
    ] = None,
    *,
    cron: Annotated[str, typer.Option("--cron", metavar="CRON", help='When: "0 9 * * 1-5", "*/15 * * * *".')],
    tz: Annotated[
        str, typer.Option("--tz", metavar="ZONE", help="The time zone of that: Europe/Berlin; this machine's if empty.")
    ] = "",
    catch_up: Annotated[
        CatchUp, typer.Option("--catch-up", metavar="none|last|all", help="Ticks that no worker was there for.")
    ] = CatchUp.LAST,
    input_file: Annotated[
        str | None, typer.Option("--input", metavar="FILE.json|-", help="Inputs from a JSON object, or from stdin.")
    ] = None,
    note: NoteOpt = "",
    output: OutputOpt = Output.TEXT,
) -> None:
    """Add a schedule."""
    from kitaru.project import Project

    typed = pairs(inputs or [])
    documents = json_object(input_file) if input_file else {}
    project = Project.open()
    project.add_schedule(
        name,
        target,
        typed,
        cron=cron,
        tz=tz,
        catch_up=catch_up.value,
        text=True,
        documents=documents,
        note=note,
    )
    _tell(project, project.schedule(name), output)


@app.command("list")
def list_(
    *,
    all_: Annotated[bool, typer.Option("-a", "--all", help="Also those that were removed.")] = False,
    output: OutputOpt = Output.TEXT,
) -> None:
    """List the schedules: when each is due next, and its last tick."""
    from kitaru.project import Project

    found = Project.open().schedules(all=all_)
    if output is Output.JSON:
        return write_json({"schedules": [_document(view) for view in found]})
    page = Page()
    page.table(_row(view) for view in found)
    return page.write()


@app.command("show")
def show(name: NameArg, *, output: OutputOpt = Output.TEXT) -> None:
    """Show one schedule, with its inputs."""
    from kitaru.project import Project

    project = Project.open()
    view = project.schedule(name)
    inputs = project.value(view.entry.inputs)
    if output is Output.JSON:
        return write_json({**_document(view), "inputs": plain(inputs)})
    page = Page()
    page.table([_row(view)], whole=True)
    for key, value in inputs.items() if isinstance(inputs, dict) else ():
        page.line(f"  {key}:")
        page.block(pretty(value), "    ")
    return page.write()


@app.command("log")
def log(name: NameArg, *, output: OutputOpt = Output.TEXT) -> None:
    """Show who changed a schedule when, the latest first."""
    from kitaru.project import Project

    project = Project.open()
    entries = project.schedule_log(name)[::-1]
    if output is Output.JSON:
        return write_json({"schedule": name, "entries": [_entry(entry) for entry in entries]})
    page, now = Page(), project.services.clock_us()
    page.table((_entry_row(entry, now) for entry in entries), whole=True)
    return page.write()


@app.command("pause")
def pause(name: NameArg, *, note: NoteOpt = "", output: OutputOpt = Output.TEXT) -> None:
    """Have a schedule tick no more until it is resumed."""
    from kitaru.project import Project

    project = Project.open()
    project.pause_schedule(name, note=note)
    _tell(project, project.schedule(name), output)


@app.command("resume")
def resume(name: NameArg, *, note: NoteOpt = "", output: OutputOpt = Output.TEXT) -> None:
    """Have a paused schedule tick again; what was due meanwhile is not caught up."""
    from kitaru.project import Project

    project = Project.open()
    project.resume_schedule(name, note=note)
    _tell(project, project.schedule(name), output)


@app.command("remove")
def remove(name: NameArg, *, note: NoteOpt = "", output: OutputOpt = Output.TEXT) -> None:
    """End a schedule; its log stays, and its name can be given again."""
    from kitaru.project import Project
    from kitaru.project.scheduling import ScheduleView

    project = Project.open()
    _tell(project, ScheduleView(project.remove_schedule(name, note=note)), output)


def _tell(project: Project, view: ScheduleView, output: Output) -> None:
    if output is Output.JSON:
        return write_json(_document(view))
    page = Page()
    page.table([_row(view)], whole=True)
    return page.write()


def _row(view: ScheduleView) -> list[Span]:
    from kitaru.project.ticks import local

    entry = view.entry
    due = f"next {local(view.next_us, entry.tz).isoformat(' ', 'minutes')}" if view.next_us else ""
    last = f"last run {view.last_run}" if view.last_run else ""
    state: Span = (entry.state, _STYLES[entry.state])
    told: Span = (f"never: {view.wrong}", "red") if view.wrong else due
    return [(entry.schedule, "bold"), state, entry.target, f"{entry.cron}  {entry.tz}", told, (last, "dim")]


def _entry_row(entry: ScheduleEntry, now_us: int) -> list[Span]:
    who = f"by {entry.by}" if entry.by else ""
    state: Span = (entry.state, _STYLES[entry.state])
    facts = f"{entry.cron}  {entry.tz}  catch-up {entry.catch_up}"
    return [str(entry.n), state, (age(entry.at, now_us), "dim"), who, entry.target, facts, entry.note]


def _document(view: ScheduleView) -> dict[str, Any]:
    entry = view.entry
    return {
        "name": entry.schedule,
        "state": entry.state,
        "target": entry.target,
        "cron": entry.cron,
        "tz": entry.tz,
        "catch_up": entry.catch_up,
        "next": iso(view.next_us),
        "last": iso(view.last_us),
        "last_run": view.last_run or None,
        "n": entry.n,
        "changed": iso(entry.at),
        "by": entry.by,
        "note": entry.note,
        "wrong": view.wrong,
    }


def _entry(entry: ScheduleEntry) -> dict[str, Any]:
    names = ("n", "state", "target", "cron", "tz", "catch_up", "by", "note")
    return {**{name: getattr(entry, name) for name in names}, "at": iso(entry.at)}
