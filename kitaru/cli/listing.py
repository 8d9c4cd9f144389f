"""Verbs that have verbs of their own, of which `list` is meant where none is typed.

Owns: that rule, the same for all of them, as git has it for `remote` and `branch`. Knows nothing of what is listed.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup


class Listing(TyperGroup):
    """A group whose first word is `list` if none, or an option, stands there."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - typer's context class is private
        """Read the words behind the verb."""
        is_help = args[:1] in (["-h"], ["--help"])
        if not ctx.resilient_parsing and not is_help and (not args or args[0].startswith("-")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def listing() -> typer.Typer:
    """Return the application of such a verb, to which its own verbs are added."""
    return typer.Typer(
        cls=Listing,
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
