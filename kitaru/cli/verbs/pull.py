"""`kitaru pull`.

The first word is a remote, if there is one of that name; every other one names a run there. Without any, all is
brought that the default remote has and this store has not: runs, flow versions, routes, answers, requests to cancel.
Every byte is verified before anything becomes visible; what is not as it should be is refused by name, and all else
comes all the same.

Where somebody else was first, his answer or version stands, and what was here is kept in `lost/`. A run that was
continued on both sides is the remote's now, and what was done here is a run of its own. The code of flow versions that
came with a pull is executed from the store only once it is [trusted](trust.md). [Teams](../team.md) tells more.

## JSON

As of [push](push.md), and `untrusted`: the versions that came and whose code may not be executed yet, each `flow` and
`n`.
"""

from __future__ import annotations

from kitaru.cli.options import DryRunOpt, FlowOpt, Output, OutputOpt, PulledArg, QuietOpt, RunsOnlyOpt, SinceOpt
from kitaru.cli.sync_verbs import bring


def pull(
    words: PulledArg = [],  # noqa: B006 - typer copies defaults, and shows None as a value
    *,
    flow: FlowOpt = "",
    since: SinceOpt = None,
    runs_only: RunsOnlyOpt = False,
    dry_run: DryRunOpt = False,
    quiet: QuietOpt = False,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Bring what others pushed."""
    bring("pull", words, flow=flow, since=since, runs_only=runs_only, dry_run=dry_run, quiet=quiet, output=output)
