"""`kitaru remote`.

A remote is a store that a team shares: a bucket, `s3://BUCKET/PREFIX`, or a folder that all of them can write to. Where
a verb names none, the first of `config.toml` is meant. Credentials come from the usual places (the environment, a
profile, the machine's role) and are never written down: a URL that holds one is refused. [Teams](../team.md) tells the
rest.

`kitaru remote` alone lists the remotes.

## JSON

`list` prints `remotes`, each `name`, `url`, `options` (those of `endpoint-url`, `profile` and `region` that are set)
and `default`. `show` prints one of these, with `reachable`, `problem` (why not; else null), `is_store` (whether
anything was pushed there yet), `exclusive` (whether it tells who of two writers was first; null where we may not write
there), `runs`, `pruned`, `versions`, `flows` (how many), `people` (who started the newest runs, and how many each) of
`people_of` runs, and `standing` as in [status](status.md#json).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli import complete
from kitaru.cli.listing import listing
from kitaru.cli.options import EndpointOpt, Output, OutputOpt, ProfileOpt, RegionOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.standing import standing_json, standing_line
from kitaru.cli.text import counted

if TYPE_CHECKING:
    from kitaru.project.inspecting import Inspection
    from kitaru.project.remotes import Remote
    from kitaru.store.sync.results import Standing

app = listing()

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
    width = max((len(entry.name) for entry in found), default=0)
    for n, entry in enumerate(found):  # no table: one long URL would push what is told of the others off the screen
        _line(page, entry, "" if n else "  (default)", width)
    return page.write()


def _line(page: Page, entry: Remote, more: str = "", width: int = 0) -> None:
    told = "".join(f"  {key} {value}" for key, value in entry.options.items()) + more
    page.line((f"{entry.name:<{width}}", "bold"), f"  {entry.url}", (told, "dim"), whole=True)


def _document(entry: Remote, *, is_default: bool) -> dict[str, Any]:
    return {"name": entry.name, "url": entry.url, "options": dict(entry.options), "default": is_default}


@app.command("remove")
def remove(name: NameArg) -> None:
    """Forget a remote; what was pulled from it stays."""
    from kitaru.project import Project

    Project.open().remove_remote(name)


@app.command("show")
def show(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The remote; the default.", autocompletion=complete.remotes)
    ] = None,
    *,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Ask a remote whether it can be reached, what it can do, and whose runs it has."""
    from kitaru.project import Project

    project = Project.open()
    entry = project.remote(name)
    found = project.inspect_remote(entry.name)
    stands = project.standing()[entry.name]
    if output is Output.JSON:
        is_default = entry.name == project.remote().name
        write_json({**_document(entry, is_default=is_default), **_found_json(found), "standing": standing_json(stands)})
    else:
        _print(entry, found, stands)
    if found.problem is not None:
        raise found.problem


def _found_json(found: Inspection) -> dict[str, Any]:
    return {
        "reachable": found.problem is None,
        "problem": found.problem and found.problem.message,
        "is_store": found.is_store,
        "exclusive": found.exclusive,
        "runs": found.runs,
        "pruned": found.pruned,
        "versions": found.versions,
        "flows": found.flows,
        "people": found.people,
        "people_of": found.asked,
    }


_EXCLUSIVE = {
    True: "tells who of two writers was first",
    False: "cannot tell who of two writers was first: push refuses unless --unsafe",
    None: "we may only read there",
}


def _print(entry: Remote, found: Inspection, stands: Standing) -> None:
    page = Page()
    _line(page, entry)
    if found.problem is None:
        page.line("  a store of format 1" if found.is_store else "  nothing is there yet; the first push makes a store")
        page.line(f"  {_EXCLUSIVE[found.exclusive]}")
    if found.is_store and found.problem is None:
        page.line(f"  {counted(found.runs, 'run')}{_whose(found)}", wrap=True)
        page.line(f"  {counted(found.versions, 'version')} of {counted(found.flows, 'flow')}")
        page.line(f"  {standing_line(stands)}")
    page.write()


def _whose(found: Inspection) -> str:
    told = ", ".join(f"{name or 'not told'} {number}" for name, number in found.people.items())
    some = f" (of the newest {found.asked})" if found.asked < found.runs else ""
    return f": {told}{some}" if told else ""
