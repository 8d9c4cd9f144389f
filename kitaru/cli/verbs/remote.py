"""`kitaru remote`.

A remote is a store that a team shares: a bucket, `s3://BUCKET/PREFIX`, or a folder that all of them can write to. Where
a verb names none, the first of `config.toml` is meant. Credentials come from the usual places (the environment, a
profile, the machine's role) and are never written down: a URL that holds one is refused. [Teams](../team.md) tells the
rest.

## JSON

`list` prints `remotes`, each `name`, `url`, `options` (those of `endpoint-url`, `profile` and `region` that are set)
and `default`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli import complete
from kitaru.cli.options import EndpointOpt, Output, OutputOpt, ProfileOpt, RegionOpt
from kitaru.cli.page import Page, Span, write_json

if TYPE_CHECKING:
    from kitaru.project.remotes import Remote

app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})

NameArg = Annotated[str, typer.Argument(metavar="NAME", help="The remote.", autocompletion=complete.remotes)]


@app.callback()
def remote() -> None:
    """Say where the stores are that runs are pushed to and pulled from."""


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is to be called here.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="s3://BUCKET/PREFIX, or a shared folder.")],
    *,
    endpoint_url: EndpointOpt = "",
    profile: ProfileOpt = "",
    region: RegionOpt = "",
) -> None:
    """Write down where a remote is; nothing is sent there."""
    from kitaru.project import Project

    Project.open().add_remote(name, url, endpoint_url=endpoint_url, profile=profile, region=region)


@app.command("list")
def list_(*, output: OutputOpt = Output.TEXT) -> None:
    """List the remotes, the default one first."""
    from kitaru.project import Project

    found = Project.open().remotes()
    if output is Output.JSON:
        return write_json({"remotes": [_document(entry, is_default=not n) for n, entry in enumerate(found)]})
    page = Page()
    page.table([_row(entry, is_default=not n) for n, entry in enumerate(found)])
    return page.write()


def _document(entry: Remote, *, is_default: bool) -> dict[str, Any]:
    return {"name": entry.name, "url": entry.url, "options": dict(entry.options), "default": is_default}


def _row(entry: Remote, *, is_default: bool) -> list[Span]:
    told = [f"{key} {value}" for key, value in entry.options.items()] + ["(default)"] * is_default
    return [(entry.name, "bold"), entry.url, ("  ".join(told), "dim")]


@app.command("remove")
def remove(name: NameArg) -> None:
    """Forget a remote; what was pulled from it stays."""
    from kitaru.project import Project

    Project.open().remove_remote(name)
