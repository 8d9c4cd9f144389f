"""`kitaru route`.

A route is a name that sends invocations to a version of a flow: `research_agent@stable`. It is a log of who moved it
where; its last entry holds. `v3:90 v4:10` sends nine in ten of the keys to v3, each key always the same way.
[Versions](../versions.md#routes) tells the rest. A route cannot be called `latest`, nor like a version (`v3`).

`kitaru route` alone lists the routes.

`rollback` sends a route where it went before, and, once more, further back, as an undo does; what removed a route, or
said what holds now, is passed over. `--to N` goes back to entry N of the log.

Two who move a route at once: the first one has moved it, the second is told of him and ends with status 10.

## JSON

An entry is `flow`, `route`, `n` (its number), `to` (each `version` as it is numbered here, `id`, `n` as it was then,
`weight`, `share`), `back` (the entry that it repeats, or null), `at`, `by`, `note`. `set`, `rollback` and `remove`
print the new entry, `list` prints `routes`, the entry of each that holds, `log` prints `entries`, the oldest first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kitaru.cli import complete
from kitaru.cli.listing import listing
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.route_page import entry_json, where
from kitaru.cli.text import local_time, one_line
from kitaru.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kitaru.cli.page import Span
    from kitaru.project import Project
    from kitaru.store.routes import RouteEntry

app = listing()

FlowArg = Annotated[str, typer.Argument(metavar="FLOW", help="The flow.", autocompletion=complete.flows)]
RouteArg = Annotated[str, typer.Argument(metavar="ROUTE", help="The route.", autocompletion=complete.routes)]
NoteOpt = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for the log.")]


def _versions(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    flow = f"{ctx.params.get('flow')}@"
    return [(name.removeprefix(flow), by) for name, by in complete.versions(flow + incomplete)]


@app.callback()
def route() -> None:
    """Send invocations to versions of a flow, by names."""


@app.command("set")
def set_(
    flow: FlowArg,
    route: RouteArg,
    to: Annotated[
        list[str],
        typer.Argument(
            metavar="VERSION[:WEIGHT]...",
            help="v3, latest; or several: v3:90 v4:10.",
            autocompletion=_versions,
        ),
    ],
    *,
    note: NoteOpt = "",
    output: OutputOpt = Output.TEXT,
) -> None:
    """Send a route to a version, or to several by weight."""
    from kitaru.project import Project

    project = Project.open()
    _tell(project, project.set_route(flow, route, _weights(to), note=note), output)


def _weights(words: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        name, colon, weight = word.partition(":")
        if not name or name in found or (colon and not weight.isascii()) or (colon and not weight.isdigit()):
            raise UsageError(f"{word!r} is no version, or is named twice", hint="write v3, or v3:90 v4:10")
        found[name] = int(weight) if colon else 1
    return found


@app.command("list")
def list_(
    flow: Annotated[
        str | None, typer.Argument(metavar="[FLOW]", help="Only this flow's.", autocompletion=complete.flows)
    ] = None,
    *,
    output: OutputOpt = Output.TEXT,
) -> None:
    """List the routes, and where each goes."""
    from kitaru.project import Project

    project = Project.open()
    found = project.routes(flow)
    if output is Output.JSON:
        return write_json({"routes": [entry_json(project, entry) for entry in found]})
    page = Page()
    page.table([(f"{entry.flow}@{entry.route}", "bold"), *_row(project, entry)] for entry in found)
    return page.write()


@app.command("log")
def log(flow: FlowArg, route: RouteArg, *, output: OutputOpt = Output.TEXT) -> None:
    """Show who moved a route where, and when; the latest first."""
    from kitaru.project import Project

    project = Project.open()
    found = project.route_log(flow, route)
    if output is Output.JSON:
        return write_json({"entries": [entry_json(project, entry) for entry in found]})
    page = Page()
    page.table(([(f"{entry.n:4}", "bold"), *_row(project, entry)] for entry in reversed(found)), whole=True)
    return page.write()


@app.command("rollback")
def rollback(
    flow: FlowArg,
    route: RouteArg,
    *,
    to: Annotated[int | None, typer.Option("--to", metavar="N", min=1, help="The entry to go back to.")] = None,
    note: NoteOpt = "",
    output: OutputOpt = Output.TEXT,
) -> None:
    """Send a route where it went before."""
    from kitaru.project import Project

    project = Project.open()
    _tell(project, project.roll_back_route(flow, route, to=to, note=note), output)


@app.command("remove")
def remove(flow: FlowArg, route: RouteArg, *, note: NoteOpt = "", output: OutputOpt = Output.TEXT) -> None:
    """Take a route away; its log stays."""
    from kitaru.project import Project

    project = Project.open()
    _tell(project, project.remove_route(flow, route, note=note), output)


def _tell(project: Project, entry: RouteEntry, output: Output) -> None:
    if output is Output.JSON:
        return write_json(entry_json(project, entry))
    page = Page()
    page.line((f"{entry.flow}@{entry.route}", "bold"), f"  {where(project, entry)}  ", (f"entry {entry.n}", "dim"))
    return page.write()


def _row(project: Project, entry: RouteEntry) -> list[Span]:
    back = f"back to entry {entry.back}" if entry.back else ""
    told = "  ".join(filter(None, [back, one_line(entry.note, 200)]))
    return [where(project, entry), local_time(entry.at), entry.by, (told, "dim")]
