"""`kitaru secret`.

A secret has a name and a source; its value is never printed, stored or pushed. Sources are `env:VARIABLE`,
`file:PATH`, `keyring:SERVICE/USER`, `cmd:LINE`, and what entry points of the group `kitaru.secrets` add. They lie in
`.kitaru/config.toml`; [asking models](../llm.md#secrets) tells what is kept from being captured.

## JSON

`list` prints `secrets`, each `name` and `source`; `show` prints one of these. `check` prints `secrets`, each `name`,
`source`, `found` and `why` (why it is not there); its status is 1 where one is not.
"""

from __future__ import annotations

from typing import Annotated

import typer

from kitaru.cli.listing import listing
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, Span, write_json
from kitaru.errors import UnknownSecret

app = listing()

NameArg = Annotated[str, typer.Argument(metavar="NAME", help="The secret.")]


@app.callback()
def secret() -> None:
    """Say where the keys of models are, never what they are."""


@app.command("add")
def add(
    name: NameArg, source: Annotated[str, typer.Argument(metavar="SOURCE", help="Such as env:OPENAI_API_KEY.")]
) -> None:
    """Say where a secret is."""
    from kitaru.project import Project

    Project.open().add_secret(name, source)


@app.command("remove")
def remove(name: NameArg) -> None:
    """Forget where a secret is."""
    from kitaru.project import Project

    Project.open().remove_secret(name)


@app.command("list")
def list_(*, output: OutputOpt = Output.TEXT) -> None:
    """List the secrets and their sources."""
    from kitaru.project import Project

    found = Project.open().secrets()
    if output is Output.JSON:
        return write_json({"secrets": [{"name": name, "source": source} for name, source in found.items()]})
    page = Page()
    page.table([(name, "bold"), source] for name, source in found.items())
    return page.write()


@app.command("show")
def show(name: NameArg, *, output: OutputOpt = Output.TEXT) -> None:
    """Show where one secret is."""
    from kitaru.project import Project

    found = Project.open().secrets()
    if name not in found:
        raise UnknownSecret(f"there is no secret {name!r}", hint=f"kitaru secret add {name} env:VARIABLE")
    if output is Output.JSON:
        return write_json({"name": name, "source": found[name]})
    page = Page()
    page.line((name, "bold"), f"  {found[name]}", whole=True)
    return page.write()


@app.command("check")
def check(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The secret; all of them.")] = None,
    *,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Look whether secrets are where they are said to be; their values are not shown."""
    from kitaru.project import Project

    project = Project.open()
    found = [project.check_secret(each) for each in ([name] if name else project.secrets())]
    if output is Output.JSON:
        keys = ("name", "source", "found", "why")
        write_json({"secrets": [{key: getattr(status, key) for key in keys} for status in found]})
    else:
        page = Page()
        for status in found:
            mark: Span = ("✓", "green") if status.found else ("✗", "red")
            page.line(mark, f" {status.name}  ", status.source if status.found else status.why, whole=True)
        page.write()
    if not all(status.found for status in found):
        raise typer.Exit(1)
