"""`kitaru init`.

`.kitaru/` is laid down from the template: the store, and `config.toml` with every setting explained. A directory that
already has one is left alone, with status 2. `KITARU_DIR` names the project's directory for all other verbs, which
otherwise look for `.kitaru/` here and in every parent.

`--remote URL` adds a [remote](remote.md) called `origin`; the first [push](push.md) makes a store of it, if it is none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kitaru.cli.options import EndpointOpt, ProfileOpt, RegionOpt
from kitaru.cli.page import Page


def init(
    directory: Annotated[str, typer.Argument(metavar="[DIR]", help="Where; made if it is not there.")] = ".",
    *,
    remote: Annotated[
        str, typer.Option("--remote", metavar="URL", help="Where its runs are to be pushed to and pulled from.")
    ] = "",
    endpoint_url: EndpointOpt = "",
    profile: ProfileOpt = "",
    region: RegionOpt = "",
) -> None:
    """Make a project of this directory: lay down `.kitaru/`."""
    from kitaru.project import Project
    from kitaru.project.remotes import check

    options = {"endpoint_url": endpoint_url, "profile": profile, "region": region}
    if remote:
        check(remote, **options)  # before anything is made
    project = Project.init(Path(directory))
    page = Page()
    page.line(f"made {project.root / '.kitaru'}", whole=True)
    if remote:
        page.line(f"its remote origin is {project.add_remote('origin', remote, **options).url}", whole=True)
    page.write()
