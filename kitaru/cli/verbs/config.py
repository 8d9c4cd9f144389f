"""`kitaru config`.

| key | values | what it is |
|---|---|---|
| `durability` | `power-loss` (default), `process-crash` | what a finished call survives |
| `on-drift` | `stop` (default), `new`, `reuse` | what to do with a call that no longer fits the recorded history |
| `user.name` | text | who you are, in answers and runs; your login name if empty |
| `default-model` | text | alias or `provider/model` that `kitaru.llm()` asks where none is named |

The file has tables besides, for [models, secrets and prices](../llm.md), for [limits of flows](../queue.md#limits)
and for [remotes](remote.md).

The file is TOML, `.kitaru/config.toml`; it never holds a secret. Setting a key keeps its comments. An unknown key or a
value that a key may not have is an error that names the line.

## JSON

`kitaru config -o json` and `kitaru config list -o json` print `settings`, key to value, and `given`, the keys that the
file itself sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json
from kitaru.config import KEYS, assign, load, read
from kitaru.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})


def _names(incomplete: str) -> list[tuple[str, str]]:
    return [(name, key.help) for name, key in KEYS.items() if name.startswith(incomplete)]


def _choices(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    key = KEYS.get(ctx.params.get("name") or "")
    return [(choice, key.help) for choice in key.choices if choice.startswith(incomplete)] if key else []


ValueArg = Annotated[str, typer.Argument(metavar="VALUE", help="What to set it to.", autocompletion=_choices)]
KeyArg = Annotated[str, typer.Argument(metavar="KEY", help=f"One of {', '.join(KEYS)}.", autocompletion=_names)]


def _file() -> Path:
    """Return where the settings are, without reading them: a file that cannot be read must still be mended here."""
    from kitaru.project.places import STORE, find_root

    return find_root(None) / STORE / "config.toml"


@app.callback(invoke_without_command=True)
def config(context: typer.Context, *, output: OutputOpt = Output.TEXT) -> None:
    """Read and change the project's settings; without a word after it, list them."""
    if context.invoked_subcommand is None:
        list_(output=output)
    elif output is not Output.TEXT:
        raise UsageError("-o belongs after the word", hint=f"kitaru config {context.invoked_subcommand} -o {output}")


@app.command("get")
def get(name: KeyArg) -> None:
    """Print one setting, its default where the file does not set it."""
    _print(load(_file()).get(name))


@app.command("set")
def set_(name: KeyArg, value: ValueArg) -> None:
    """Change one setting, keeping the comments of the file."""
    assign(_file(), name, value)


@app.command("list")
def list_(*, output: OutputOpt = Output.TEXT) -> None:
    """List every setting, and which ones the file sets."""
    file = _file()
    settings, given = load(file).items(), read(file)
    if output is Output.JSON:
        write_json({"settings": dict(settings), "given": sorted(given)})
        return
    page = Page()
    page.table([[name, value, ("" if name in given else "(default)", "dim")] for name, value in settings])
    page.write()


@app.command("path")
def path() -> None:
    """Print where the settings are."""
    _print(str(_file()))


def _print(text: str) -> None:
    page = Page()
    page.line(text, whole=True)
    page.write()
