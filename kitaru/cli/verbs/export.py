"""`kitaru export`.

The files lie below the directory as they lay in the project. A file that is there already with the same content stays;
one with other content is written over only with `--force`, and without it nothing is written at all.

## JSON

`-o json` prints `target`, `directory` (as typed) and `files`, their paths.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kitaru.cli import complete
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json


def export(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FLOW@VERSION", help="FLOW@v3, FLOW@latest, FLOW@ROUTE.", autocompletion=complete.invocable
        ),
    ],
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Where to; made where needed.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there already.")] = False,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Write the source files of a flow version to a directory."""
    from kitaru.project import Project

    files = Project.open().export(target, Path(directory), force=force)
    if output is Output.JSON:
        return write_json({"target": target, "directory": directory, "files": [str(file) for file in files]})
    page = Page()
    for file in files:
        page.line(str(file), whole=True)
    return page.write()
