"""`kitaru cache`.

The result cache says which call of which run gave the result of a checkpoint with `cache=True`. What it names is in the
runs themselves, so that `kitaru cache clear` loses nothing but the time to execute such calls again.

## JSON

`entries` (results that are kept; null where that cannot be read), `bytes` (what the cache takes on disk), `cleared`
(whether that is gone now).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.text import size


class Deed(StrEnum):
    """What is done with the cache."""

    INFO = "info"
    CLEAR = "clear"


def cache(
    deed: Annotated[Deed, typer.Argument(metavar="info|clear", help="Show what it holds, or forget it.")] = Deed.INFO,
    *,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Show what the result cache holds, or clear it."""
    from kitaru.project import Project

    project, clears = Project.open(), deed is Deed.CLEAR
    use = project.clear_cache() if clears else project.cache_use()
    if output is Output.JSON:
        return write_json({"entries": use.entries, "bytes": use.size, "cleared": clears})
    page = Page()
    count = "results that cannot be read" if use.entries is None else f"{use.entries} result{'s' * (use.entries != 1)}"
    page.line(f"{'cleared ' if clears else ''}{count}, {size(use.size)}")
    return page.write()
