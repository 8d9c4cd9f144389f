"""`kitaru fetch`.

Brings the content of what others pushed, verified, and changes nothing that is visible here: a [pull](pull.md)
afterwards has little left to do, and [status](status.md) tells how far the remote is ahead.

## JSON

As of [push](push.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.cli.options import FlowOpt, Output, OutputOpt, PulledArg, QuietOpt, RunsOnlyOpt, SinceOpt
from kitaru.cli.sync_verbs import carry_out
from kitaru.cli.text import since as time_of

if TYPE_CHECKING:
    from kitaru.project.remotes import Remote
    from kitaru.store.sync.results import Outcome, Tell


def fetch(
    words: PulledArg = [],  # noqa: B006 - typer copies defaults, and shows None as a value
    *,
    flow: FlowOpt = "",
    since: SinceOpt = None,
    runs_only: RunsOnlyOpt = False,
    quiet: QuietOpt = False,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Bring the content of what others pushed, without showing it yet."""
    from kitaru.project import Project

    project = Project.open()
    began = time_of(since, project.services.clock_us()) if since else None

    def act(remote: Remote, runs: list[str], tell: Tell) -> Outcome:
        return project.fetch(
            remote.name, runs=runs, flow=flow, since_us=began, runs_only=runs_only, strict=False, tell=tell
        )

    carry_out(project, "fetch", words, act, quiet=quiet, output=output)
