"""`kitaru rev-parse`.

| revision | names |
|---|---|
| `@` | the latest run |
| `@~2` | the third latest |
| `7h` | the run whose id begins so, where only one does |
| `@:plan`, `7h:fetch#2` | a call of a run, or a wait |
| `:plan` | a call of the latest run |
| `3f9a` | the object whose id begins so: four digits at least |

## JSON

`ids`: revision to id.
"""

from __future__ import annotations

from typing import Annotated

import typer

from kitaru.cli import complete
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json


def rev_parse(
    revision: Annotated[
        list[str],
        typer.Argument(
            metavar="REVISION...",
            help="@, @~2, RUN, RUN:CALL, or the beginning of an object's id.",
            autocompletion=complete.revisions,
        ),
    ],
    *,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Print the whole id that a revision names: of a run, of a call's record, or of an object."""
    from kitaru.project import Project

    project = Project.open()
    found = {text: project.rev_parse(text) for text in revision}
    if output is Output.JSON:
        write_json({"ids": found})
        return
    page = Page()
    for text in revision:
        page.line(found[text], whole=True)
    page.write()
