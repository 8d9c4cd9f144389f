"""`kitaru init`.

`.kitaru/` is laid down from the template: the store, and `config.toml` with every setting explained. A directory that
already has one is left alone, with status 2. `KITARU_DIR` names the project's directory for all other verbs, which
otherwise look for `.kitaru/` here and in every parent.
"""

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

    project = Project.init(Path(directory))
    page = Page()
    page.line(f"made {project.root / '.kitaru'}", whole=True)
    page.write()
