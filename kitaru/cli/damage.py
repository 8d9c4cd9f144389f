"""Runs and flows that a listing had to leave out, because they cannot be read.

Owns: the warning, and that a listing which lacks something does not end as if it were whole.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from kitaru.cli.page import Page
from kitaru.errors import Damaged

if TYPE_CHECKING:
    from kitaru.project import Project


def tell_damaged(project: Project) -> None:
    """Name what is damaged on stderr and end with the status of a damaged store; do nothing where there are none."""
    damaged = [(f"run {run}", error) for run, error in sorted(project.damaged.items())]
    damaged += [(f"flow {flow}", error) for flow, error in sorted(project.damaged_flows.items())]
    if not damaged:
        return
    sys.stdout.flush()
    page = Page(sys.stderr)
    for what, error in damaged:
        page.line(("damaged: ", "red"), f"{what} is left out: {error.message}", whole=True)
    page.line("hint: kitaru fsck", whole=True)
    page.write()
    raise typer.Exit(Damaged.exit_code)
