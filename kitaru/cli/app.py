"""The typer application: global options, and verbs that are imported only when they are typed.

Owns: how words become a call of a verb's function. Knows nothing of what verbs do, and leaves every error to `main`.
"""

from __future__ import annotations

import difflib
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from kitaru.cli.table import VERBS, help_page
from kitaru.errors import UsageError
from kitaru.notices import listen
from kitaru.text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

_SAID_OTHERWISE = {"help": "kitaru --help", "version": "kitaru --version"}
_NAMES = {"help_option_names": ["-h", "--help"]}


def invoke(words: Sequence[str]) -> int:
    """Run a command line and return its exit status.

    Raises:
        KitaruError: a mistake in the words, or whatever the verb met.
    """
    if os.environ.get("_KITARU_COMPLETE", "").startswith("complete"):
        from kitaru.cli.complete import answer_shell

        return answer_shell(lambda: _run(words))
    silence = listen(_notice)
    try:
        return _run(words)
    finally:
        silence()


def _notice(text: str) -> None:
    sys.stderr.write(f"{clean(text)}\n")


def _run(words: Sequence[str]) -> int:
    try:
        status = application().main(args=list(words), prog_name="kitaru", standalone_mode=False)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except Exception as error:
        complaint = _complaint(error)
        if complaint is None:
            raise
        raise complaint from error
    return status if isinstance(status, int) else 0


def _complaint(error: Exception) -> UsageError | None:
    """Turn typer's own complaint into ours; its classes are private, but all tell a context and a message."""
    if getattr(error, "exit_code", None) != 2 or not hasattr(error, "format_message"):
        return None
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "kitaru"
    return UsageError(error.format_message().rstrip("."), hint=f"{path} --help")


class LazyGroup(TyperGroup):
    """Verbs from the table; a verb's file is imported when its name is typed."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - typer's context class is private
        """Return the verbs in the order of the help page."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - as above, and so is its command class
        """Return a verb's command, or None where there is no such verb."""
        return verb(cmd_name) if cmd_name in VERBS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - as above
        """Find the verb, or say which ones are spelled like it."""
        if args[0] not in VERBS and not args[0].startswith("-"):
            meant = _SAID_OTHERWISE.get(args[0], "")
            if meant:
                if args[0] == "help" and args[1:2] and args[1] in VERBS:
                    meant = f"kitaru {args[1]} --help"
                raise UsageError(f"there is no verb {args[0]!r}", hint=meant)
            close = difflib.get_close_matches(args[0], VERBS, n=3)
            meant = f"did you mean {' or '.join(f'`kitaru {c}`' for c in close)}?" if close else "kitaru --help"
            raise UsageError(f"there is no verb {args[0]!r}", hint=meant)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        """Run the verb; say an interrupt in the one way that typer does not take for an exit that was told already."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise typer.Abort from interrupt

    def get_help(self, ctx: Any) -> str:  # noqa: ANN401 - as above
        """Return the page that `main` prints without loading typer."""
        return help_page().rstrip("\n")


def verb(name: str) -> Any:  # noqa: ANN401 - typer's command class is private
    """Return the typer command of a verb, importing its file.

    The file is named for the verb and holds a function of that name (with `_` for `-`); a verb with subcommands holds
    a typer application called `app` instead.
    """
    module = import_module(f"kitaru.cli.verbs.{name.replace('-', '_')}")
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=_NAMES)
        app.command(name, **getattr(module, "SETTINGS", {}))(getattr(module, name.replace("-", "_")))
    return get_command(app)


def application() -> Any:  # noqa: ANN401 - as above
    """Return the whole command."""
    app = typer.Typer(cls=LazyGroup, rich_markup_mode=None, context_settings=_NAMES)
    app.callback()(_globals)
    return get_command(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from kitaru import __version__

        sys.stdout.write(f"kitaru {__version__}\n")
        raise typer.Exit


def _enter(directory: str | None) -> None:
    if directory is None:
        return
    try:
        os.chdir(directory)
    except OSError as error:
        raise UsageError(f"cannot enter {directory}: {error.strerror}", hint="kitaru -C DIR VERB") from error


def _globals(
    directory: Annotated[str | None, typer.Option("-C", metavar="DIR", callback=_enter, is_eager=True)] = None,
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    """Durable execution for Python agents, as git does history."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the current directory is not there any more", hint="cd to one that is") from error
