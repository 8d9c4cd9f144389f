"""`kitaru flow`.

A version is recorded whenever a flow runs with code that is not recorded yet, and by [`kitaru deploy`](deploy.md). It
is named `FLOW@v3`, `FLOW@latest`, or by a route that goes to it alone, `FLOW@stable`; for `show`, `FLOW` alone is the
latest. [Versions](../versions.md) tells what one holds.

How long runs took is from start to end of those that completed; what they waited for people counts. A run counts for
the version that it was recorded under last.

`kitaru flow` alone lists the flows.

## JSON

`list` prints `flows`, each `flow`, `versions` (how many), `latest` (`n`, `id`, `recorded`, `by`), `routes` (as of
[`kitaru route`](route.md)), `runs` (how many) and `last`, a [summary](json.md#summary) or null.

`show` prints `flow`, `n`, `id`, `digest`, `recorded`, `by`, `signature`, `inputs` (the JSON Schema of what the version
takes), `entry` (`module`, `qualname`, `file`), `files` (each `path`, `size`, `sha256`), `python`, `distributions`,
`git` (`commit`, `dirty`, or null), `routes` (those that send invocations to it), `trusted`, `origins` (the remotes it
came from: `remote`, `url`, `at`) and `runs`, [summaries](json.md#summary), the latest first.

`versions` and `stats` print `flow` and `versions`, each `n`, `id`, `recorded`, `by`, `runs` (how many), `by_status`,
`median_us`, `p90_us` (null where none completed), `calls` and `cost` (as in a summary).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kitaru.cli import complete
from kitaru.cli.damage import tell_damaged
from kitaru.cli.flow_page import (
    flow_json,
    flow_rows,
    outcome_json,
    stats_rows,
    version_json,
    version_page,
    version_rows,
)
from kitaru.cli.listing import listing
from kitaru.cli.options import Output, OutputOpt, SinceOpt
from kitaru.cli.page import Page, Span, write_json
from kitaru.cli.text import since

if TYPE_CHECKING:
    from kitaru.project.flows import VersionLine

app = listing()

FlowArg = Annotated[str, typer.Argument(metavar="FLOW", help="The flow.", autocompletion=complete.flows)]


@app.callback()
def flow() -> None:
    """Show flows and their versions, and how their runs ended."""


@app.command("list")
def list_(*, output: OutputOpt = Output.TEXT) -> None:
    """List the flows, each with its latest version and its last run."""
    from kitaru.project import Project

    project = Project.open()
    found = project.flows()
    if output is Output.JSON:
        write_json({"flows": [flow_json(project, line) for line in found]})
    else:
        page = Page()
        page.table(flow_rows(project, found, project.services.clock_us()))
        page.write()
    tell_damaged(project)


@app.command("show")
def show(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FLOW[@VERSION]", help="FLOW, FLOW@v3, FLOW@latest, FLOW@ROUTE.", autocompletion=complete.invocable
        ),
    ],
    *,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Show a version: what it takes, its sources, what it ran on, its runs."""
    from kitaru.project import Project

    project = Project.open()
    found = project.flow_version(target)
    if output is Output.JSON:
        write_json(version_json(project, found))
    else:
        page = Page()
        version_page(page, project, found, project.services.clock_us())
        page.write()
    tell_damaged(project)


@app.command("versions")
def versions(flow: FlowArg, *, output: OutputOpt = Output.TEXT) -> None:
    """List the versions of a flow, oldest first: who recorded them when, and how their runs ended."""
    from kitaru.project import Project

    project = Project.open()
    lines = project.flow_stats(flow)
    _write(flow, lines, version_rows(lines), output)
    tell_damaged(project)


@app.command("stats")
def stats(
    flow: FlowArg,
    *,
    since_: SinceOpt = None,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Compare the versions of a flow by their runs: how they ended, how long they took, what they cost."""
    from kitaru.project import Project

    project = Project.open()
    after = since(since_, project.services.clock_us()) if since_ else None
    lines = project.flow_stats(flow, since_us=after)
    _write(flow, lines, stats_rows(lines), output)
    tell_damaged(project)


def _write(flow: str, lines: list[VersionLine], rows: list[list[Span]], output: Output) -> None:
    if output is Output.JSON:
        return write_json({"flow": flow, "versions": [outcome_json(line) for line in lines]})
    page = Page()
    page.table(rows, whole=True)
    return page.write()
