"""`kitaru init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kitaru.cli.page import Page


def init(
    directory: Annotated[str, typer.Argument(metavar="[DIR]", help="Where; made if it is not there.")] = ".",
) -> None:
    """Make a project of this directory: lay down `.kitaru/`."""
    from kitaru.project import Project

    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    project = Project.init(place)
    page = Page()
    page.line(f"made {project.root / '.kitaru'}", whole=True)
    page.write()
