"""`kitaru cancel`.

A run that waits, sleeps or was interrupted is ended at once. One that executes is ended by its own process, which looks
for a request several times a second: isolated calls are killed, async ones cancelled, a call that executes in a thread
of that process is the last one. This command waits a few seconds for that; the request stands whether it does or not,
and whoever takes up the run later ends it instead of executing it. What was recorded stays, and can be replayed.

A run that is over cannot be cancelled (status 2). Who asks second is told who was first, with status 6. A `kitaru run`
whose run was cancelled ends with status 8.

## JSON

`run`, `by`, `at`, `reason`, and `ended`: false while a process still executes the run; then `holder` says which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kitaru.cli.options import Output, OutputOpt, RunArg
from kitaru.cli.page import Page, write_json
from kitaru.cli.text import iso

if TYPE_CHECKING:
    from kitaru.project.cancelling import Cancellation


def cancel(
    run: RunArg,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")] = "",
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who asks; you, if left out.")] = "",
    output: OutputOpt = Output.TEXT,
) -> None:
    """End a run, wherever it executes; it is never carried on."""
    from kitaru.project import Project

    done = Project.open().cancel(run, reason=reason, by=by)
    if output is Output.JSON:
        write_json(
            {
                "run": done.run,
                "by": done.by,
                "at": iso(done.at),
                "reason": done.reason,
                "ended": done.ended,
                "holder": done.holder or None,
            }
        )
    else:
        _print(done)


def _print(done: Cancellation) -> None:
    page = Page()
    if done.ended:
        page.line("run ", (done.run, "bold"), " is cancelled")
    else:
        page.line(
            "run ",
            (done.run, "bold"),
            f" is asked to stop: {done.holder} ends it when its calls in flight are done",
            wrap=True,
        )
    page.write()
