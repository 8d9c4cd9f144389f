"""`kitaru deploy`.

The flow's file is imported, its body is not executed. Then it is imported once more, from its snapshot alone, in a
fresh process outside of the project, and every import in its files is followed, also those inside functions. What of
the project is missing is named, and nothing is recorded. What may be missing is told: an import by a name that the code
computes, or something that is not installed here. [Versions](../versions.md#deploy) tells what is seen and what is not.

Code that is recorded already keeps its version; its route is moved all the same.

With `--weight 10` of a hundred invocations of the route ten go to this version; the others go where they went.

## JSON

`flow`, `n`, `id`, `new` (whether the version was recorded just now), `route` (the new entry, as of
[`kitaru route`](route.md); null where none was moved) and `notes`.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli import complete
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.route_page import entry_json, where

if TYPE_CHECKING:
    from kitaru.project import Project
    from kitaru.runtime.deploying import Deployed


def deploy(
    target: Annotated[
        str, typer.Argument(metavar="FILE:FLOW", help="The flow to deploy.", autocompletion=complete.targets)
    ],
    *,
    route: Annotated[
        str,
        typer.Option(
            "--route", metavar="ROUTE", help="Send this route to the version.", autocompletion=complete.routes
        ),
    ] = "",
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for the log of the route.")] = "",
    weight: Annotated[
        int,
        typer.Option(
            "--weight", metavar="N", min=1, max=100, help="How many of a hundred invocations of the route it gets."
        ),
    ] = 100,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Record a flow version without running it, and send a route to it."""
    from kitaru.project import Project

    project = Project.open()
    with contextlib.redirect_stdout(sys.stderr):  # what the file prints when it is imported is not the result
        deployed = project.deploy(target, route=route, note=note, weight=weight)
    if output is Output.JSON:
        return write_json(_document(project, deployed))
    page = Page()
    page.line((str(deployed), "bold"), "" if deployed.new else "  recorded already", whole=True)
    if deployed.route is not None:
        page.line(f"{deployed.flow}@{deployed.route.route}  {where(project, deployed.route)}", whole=True)
    for told in deployed.notes:
        page.line(("note: ", "yellow"), told, whole=True)
    return page.write()


def _document(project: Project, deployed: Deployed) -> dict[str, Any]:
    version, entry = deployed.version, deployed.route
    return {
        "flow": deployed.flow,
        "n": version.n,
        "id": version.id,
        "new": deployed.new,
        "route": entry_json(project, entry) if entry else None,
        "notes": list(deployed.notes),
    }
