"""`kitaru diff`.

Calls are compared by what they were called with, then by name and place: `~` differs, `+` and `-` are of one run only.
A replay's shared calls are the same by their ids and are not read. How long calls took is told, and is no difference.
`--stat` tells what differs and not how. `kitaru diff RUN` compares a replay with its source,
`kitaru diff RUN:CALL RUN` a call with that of the same name, `kitaru diff RUN:CALL RUN:CALL` any two.

`kitaru diff FLOW@v1 FLOW@v2` compares the recorded sources of two flow versions, and what they ran on; one version
alone is compared with the one before it.

## JSON

`kitaru diff OLD NEW -o json` prints a [comparison](json.md#comparison); with `--stat`, its values are without `parts`.
Of versions it prints `old`, `new`, `differs`, `files` (`path`, `kind`, how many lines are `added` and `removed`, a
`warning` where the bytes are not read as usual, and without `--stat` the `diff`), `facts`, and `inputs`, the parts in
which the JSON schemas of the inputs differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kitaru.cli import complete
from kitaru.cli.diff_page import diff_json, diff_page
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.version_page import version_json, version_page
from kitaru.errors import UsageError
from kitaru.project.targets import names_version

if TYPE_CHECKING:
    from kitaru.project import Project
    from kitaru.project.differences import RunDiff
    from kitaru.project.versions import VersionDiff

DIFFERS = 1
"""The exit status of `--exit-code` where there are differences, as of git."""


def diff(
    old: Annotated[
        str,
        typer.Argument(
            metavar="OLD", help="A run, a call or wait of it, or a flow version.", autocompletion=complete.comparable
        ),
    ],
    new: Annotated[
        str | None,
        typer.Argument(
            metavar="[NEW]",
            help="What it is compared with; without it, OLD is a replay and is compared with its source.",
            autocompletion=complete.comparable,
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
    """Compare two runs, call by call, two calls, or two flow versions."""
    from kitaru.project import Project

    project = Project.open()
    if names_version(old):
        if call:
            raise UsageError("--call is for runs, and these are flow versions", hint=f"kitaru diff {old} {new or ''}")
        differs = _versions(project.diff_versions(old, new), output, stat=stat)
    else:
        differs = _runs(project, project.diff(old, new, call=call), output, stat=stat)
    if exit_code and differs:
        raise typer.Exit(DIFFERS)


def _runs(project: Project, found: RunDiff, output: Output, *, stat: bool) -> bool:
    if output is Output.JSON:
        write_json(diff_json(project, found, stat=stat))
    else:
        page = Page()
        diff_page(page, project, found, stat=stat)
        page.write()
    return found.differs


def _versions(found: VersionDiff, output: Output, *, stat: bool) -> bool:
    if output is Output.JSON:
        write_json(version_json(found, stat=stat))
    else:
        page = Page()
        version_page(page, found, stat=stat)
        page.write()
    return found.differs
