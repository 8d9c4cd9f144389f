"""`kitaru diff`.

Calls are compared by what they were called with, then by name and place: `~` differs, `+` and `-` are of one run only.
A replay's shared calls are the same by their ids and are not read. How long calls took is told, and is no difference.
`--stat` tells what differs and not how. `kitaru diff RUN` compares a replay with its source,
`kitaru diff RUN:CALL RUN` a call with that of the same name, `kitaru diff RUN:CALL RUN:CALL` any two.

## JSON

`kitaru diff OLD NEW -o json` prints a [comparison](json.md#comparison); with `--stat`, its values are without `parts`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from kitaru.cli import complete
from kitaru.cli.diff_page import diff_json, diff_page
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json

DIFFERS = 1
"""The exit status of `--exit-code` where there are differences, as of git."""


def diff(
    old: Annotated[
        str,
        typer.Argument(metavar="OLD", help="A run, or a call or wait of it.", autocompletion=complete.revisions),
    ],
    new: Annotated[
        str | None,
        typer.Argument(
            metavar="[NEW]",
            help="What it is compared with; without it, OLD is a replay and is compared with its source.",
            autocompletion=complete.revisions,
        ),
    ] = None,
    *,
    call: Annotated[
        str, typer.Option("--call", metavar="CALL", help="Only the calls and waits of this name; fetch, fetch#2.")
    ] = "",
    stat: Annotated[bool, typer.Option("--stat", help="Only what differs, no values.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with status 1 where there are differences.")
    ] = False,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Compare two runs, call by call, or two calls."""
    from kitaru.project import Project

    project = Project.open()
    found = project.diff(old, new, call=call)
    if output is Output.JSON:
        write_json(diff_json(project, found, stat=stat))
    else:
        page = Page()
        diff_page(page, project, found, stat=stat)
        page.write()
    if exit_code and found.differs:
        raise typer.Exit(DIFFERS)
