"""`kitaru inbox`.

It needs `pip install 'kitaru[tui]'`. Where stdin or stdout is no terminal, it prints what [waits](waits.md) prints, and
ends with status 0.

An answer is written five seconds after it is given; until then `u` takes it back. The run is then carried on by a
process of its own, which goes on when the inbox is closed. docs/approvals.md shows the screens.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kitaru.cli import complete
from kitaru.cli.damage import tell_damaged
from kitaru.cli.verbs.waits import print_waits


def inbox(
    run: Annotated[
        str,
        typer.Argument(metavar="[RUN]", help="Only the questions of this run.", autocompletion=complete.runs),
    ] = "",
) -> None:
    """Answer open questions on a screen that shows them all, with what there is to see and a form for each."""
    from kitaru.project import Project

    project = Project.open()
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        wanted = project.find_run(run) if run else ""
        print_waits(project, [wait for wait in project.waits() if wanted in ("", wait.state.run)])
        tell_damaged(project)
        return
    from kitaru.tui import open_inbox

    open_inbox(project, run)
