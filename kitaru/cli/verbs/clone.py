"""`kitaru clone`.

Makes a new directory with a project in it, brings all that the remote has, and calls the remote `origin`. Whatever goes
wrong on the way, nothing half-made is left. The source files of the flows do not come with it: those are in version
control. What was recorded of them does, and is executed once it is [trusted](trust.md).

## JSON

As of [pull](pull.md), and `directory`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from kitaru.cli.options import EndpointOpt, Output, OutputOpt, ProfileOpt, QuietOpt, RegionOpt, RunsOnlyOpt
from kitaru.cli.sync_verbs import show
from kitaru.cli.transfers import transferring


def clone(
    url: Annotated[str, typer.Argument(metavar="URL", help="s3://BUCKET/PREFIX, or a shared folder.")],
    directory: Annotated[
        str | None, typer.Argument(metavar="[DIR]", help="Where; called like the end of the URL by default.")
    ] = None,
    *,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What the remote is to be called.")] = "origin",
    endpoint_url: EndpointOpt = "",
    profile: ProfileOpt = "",
    region: RegionOpt = "",
    runs_only: RunsOnlyOpt = False,
    quiet: QuietOpt = False,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Make a project of what a remote has, in a new directory."""
    from kitaru.project import Project

    with transferring("cloning", quiet=quiet or output is Output.JSON) as tell:
        project, done = Project.clone(
            url,
            directory,
            name=name,
            endpoint_url=endpoint_url,
            profile=profile,
            region=region,
            runs_only=runs_only,
            strict=False,
            tell=tell,
        )
    told = {"directory": str(project.root)}
    show(project, project.remote(), "clone", done, quiet=quiet, output=output, more=told)
