"""`kitaru model`.

An alias stands for a model as `provider/model`, with a secret and settings of its own; it lies in
`.kitaru/config.toml`, so that a team shares it. Several models are tried in order: what follows the first are
fallbacks. [Asking models](../llm.md) tells the rest.

## JSON

`list` prints `models`, each `name`, `models` (in order), `secret`, `api_base`, `set`, `default`; `show` prints one
of these. `test` prints `model`, `answered`, `text`, `took_us`, `prompt_tokens`, `completion_tokens`, `cost_usd` (null
where it is not known).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli.inputs import pairs
from kitaru.cli.listing import listing
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.text import duration, one_line

if TYPE_CHECKING:
    from kitaru.cli.page import Span
    from kitaru.project import Project

app = listing()

NameArg = Annotated[str, typer.Argument(metavar="NAME", help="The alias.")]


@app.callback()
def model() -> None:
    """Name the models that kitaru.llm() asks."""


@app.command("add")
def add(
    name: NameArg,
    models: Annotated[list[str], typer.Argument(metavar="PROVIDER/MODEL...", help="The model, and its fallbacks.")],
    *,
    secret: Annotated[str, typer.Option("--secret", metavar="NAME", help="The secret with its key.")] = "",
    set_: Annotated[
        list[str], typer.Option("--set", metavar="OPTION=JSON", help="An option of each request: temperature=0.")
    ] = [],  # noqa: B006 - typer copies defaults, and shows None as a value
    api_base: Annotated[str, typer.Option("--api-base", metavar="URL", help="Where it is asked, if not there.")] = "",
    default: Annotated[bool, typer.Option("--default", help="Ask it where no model is named.")] = False,
) -> None:
    """Write an alias, over one of that name."""
    from kitaru.project import Project

    options = {key: _value(text) for key, text in pairs(set_, "OPTION=JSON").items()}
    Project.open().add_model(name, models, secret=secret, api_base=api_base, options=options, default=default)


def _value(text: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(text)
    except ValueError:
        return text


@app.command("list")
def list_(*, output: OutputOpt = Output.TEXT) -> None:
    """List the aliases."""
    from kitaru.project import Project

    project = Project.open()
    found = [_document(project, name) for name in project.models()]
    if output is Output.JSON:
        return write_json({"models": found})
    page = Page()
    page.table(_row(entry) for entry in found)
    return page.write()


def _document(project: Project, name: str) -> dict[str, Any]:
    table = project.model(name)
    models = table["model"] if isinstance(table.get("model"), list) else [table.get("model")]
    return {
        "name": name,
        "models": models,
        "secret": table.get("secret"),
        "api_base": table.get("api-base"),
        "set": dict(table.get("set", {})),
        "default": project.config.default_model == name,
    }


def _row(entry: dict[str, Any]) -> list[Span]:
    told = [
        f"secret {entry['secret']}" if entry["secret"] else "",
        f"at {entry['api_base']}" if entry["api_base"] else "",
        *(f"{key}={json.dumps(value)}" for key, value in entry["set"].items()),
        "(default)" if entry["default"] else "",
    ]
    return [(entry["name"], "bold"), ", then ".join(map(str, entry["models"])), ("  ".join(filter(None, told)), "dim")]


@app.command("show")
def show(name: NameArg, *, output: OutputOpt = Output.TEXT) -> None:
    """Show one alias."""
    from kitaru.project import Project

    entry = _document(Project.open(), name)
    if output is Output.JSON:
        return write_json(entry)
    page = Page()
    page.line(*[part for span in _row(entry) for part in (span, "  ")], whole=True)
    return page.write()


@app.command("remove")
def remove(name: NameArg) -> None:
    """Remove an alias."""
    from kitaru.project import Project

    Project.open().remove_model(name)


@app.command("test")
def test(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="An alias or a model; the default.")] = None,
    *,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Ask it for one word, and show how long that took and what it cost."""
    from kitaru.model.spending import dollars, spent
    from kitaru.project import Project

    reply = Project.open().test_model(name)
    usage = reply.usage
    if output is Output.JSON:
        told = {"model": usage.model, "answered": usage.answered, "text": reply.text, "took_us": usage.took_us}
        tokens = {"prompt_tokens": usage.prompt, "completion_tokens": usage.completion, "cost_usd": reply.cost_usd}
        return write_json({**told, **tokens})
    page = Page()
    page.line(
        (usage.model, "bold"),
        f"  {one_line(reply.text, 60)}  ",
        (duration(usage.took_us), "dim"),
        f"  {dollars(spent([usage]))}",
    )
    return page.write()
