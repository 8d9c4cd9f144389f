"""`kitaru fetch`.

Brings the content of what others pushed, verified, and changes nothing that is visible here: a [pull](pull.md)
afterwards has little left to do, and [status](status.md) tells how far the remote is ahead.

## JSON

As of [push](push.md).
"""

from __future__ import annotations

from kitaru.cli.options import FlowOpt, Output, OutputOpt, PulledArg, QuietOpt, RunsOnlyOpt, SinceOpt
from kitaru.cli.sync_verbs import bring


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
    bring("fetch", words, flow=flow, since=since, runs_only=runs_only, quiet=quiet, output=output)
