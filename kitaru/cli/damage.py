"""Runs that a listing had to leave out, because they cannot be read.

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
    """Name the damaged runs on stderr and end with the status of a damaged store; do nothing where there are none."""
    if not project.damaged:
        return
    sys.stdout.flush()
    page = Page(sys.stderr)
    for run, error in sorted(project.damaged.items()):
        page.line(("damaged: ", "red"), f"run {run} is left out: {error.message}", whole=True)
    page.line("hint: kitaru fsck", whole=True)
    page.write()
    raise typer.Exit(Damaged.exit_code)
