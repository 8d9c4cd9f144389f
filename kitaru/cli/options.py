"""Arguments and options that several verbs share, each written once.

Owns: their spelling, help and completion.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

import typer

from kitaru.cli import complete


class Output(StrEnum):
    """How a reading verb prints."""

    TEXT = "text"
    JSON = "json"


class OnDrift(StrEnum):
    """What to do with a call that no longer fits the recorded history."""

    STOP = "stop"
    NEW = "new"
    REUSE = "reuse"


RunArg: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run: its id or a unique prefix, @ for the latest, @~2 for the third latest.",
        autocompletion=complete.runs,
    ),
]
OutputOpt: TypeAlias = Annotated[
    Output, typer.Option("-o", "--output", metavar="text|json", help="Text for people, or one JSON document.")
]
OnDriftOpt: TypeAlias = Annotated[
    OnDrift | None,
    typer.Option(
        "--on-drift",
        metavar="stop|new|reuse",
        help="For calls that no longer fit the recorded history: stop before them, execute them, or reuse the record.",
    ),
]
AsRecordedOpt: TypeAlias = Annotated[
    bool | None,
    typer.Option("--as-recorded/--working-tree", help="Execute the recorded code, or the working tree's."),
]
CacheOpt: TypeAlias = Annotated[
    bool | None,
    typer.Option("--cache/--no-cache", help="Take results of earlier runs for equal calls; or execute them anew."),
]
CheckOpt: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--check",
        help="Only tell what would be reused, executed or stopped, and why: the flow's body runs, no checkpoint "
        "executes, nothing is written.",
    ),
]
TagOpt: TypeAlias = Annotated[list[str], typer.Option("--tag", metavar="TAG", help="Tag the run; may be repeated.")]
EndpointOpt: TypeAlias = Annotated[
    str, typer.Option("--endpoint-url", metavar="URL", help="Where the S3 server is, if it is not Amazon's.")
]
ProfileOpt: TypeAlias = Annotated[
    str, typer.Option("--profile", metavar="NAME", help="The profile of ~/.aws whose credentials are used.")
]
RegionOpt: TypeAlias = Annotated[str, typer.Option("--region", metavar="NAME", help="Where the bucket is.")]
PulledArg: TypeAlias = Annotated[
    list[str],
    typer.Argument(metavar="[REMOTE] [RUN]...", help="Where from, and which runs.", autocompletion=complete.remotes),
]
FlowOpt: TypeAlias = Annotated[
    str, typer.Option("--flow", metavar="NAME", help="Only runs of this flow.", autocompletion=complete.flows)
]
SinceOpt: TypeAlias = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="Only runs started since then: 2d, 12h, or an ISO date."),
]
RunsOnlyOpt: TypeAlias = Annotated[
    bool, typer.Option("--runs-only", help="Leave large objects there until they are first read.")
]
DryRunOpt: TypeAlias = Annotated[
    bool, typer.Option("-n", "--dry-run", help="Tell what would be done, and change nothing.")
]
QuietOpt: TypeAlias = Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")]
EventsOpt: TypeAlias = Annotated[
    bool, typer.Option("--events", help="Print what happens, and the result, as one JSON object a line on stdout.")
]
OfflineOpt: TypeAlias = Annotated[
    bool, typer.Option("--offline", help="Ask no remote whether another machine carries the run on, or has.")
]
NoInputOpt: TypeAlias = Annotated[
    bool, typer.Option("--no-input", help="Never ask; a run that waits ends this command with status 3.")
]


RemoteOpt: TypeAlias = Annotated[
    str | None,
    typer.Option("--remote", metavar="NAME", help="On this remote, instead of here.", autocompletion=complete.remotes),
]
MaxCallsOpt: TypeAlias = Annotated[
    int | None, typer.Option("--max-calls", metavar="N", min=1, help="Stop the run before it executes more calls.")
]
MaxSecondsOpt: TypeAlias = Annotated[
    float | None, typer.Option("--max-seconds", metavar="N", help="Stop the run when it has executed so long.")
]
StayOpt: TypeAlias = Annotated[
    str | None,
    typer.Option("--stay", metavar="SPAN", help="Stay for sleeps as long as this (90s, 5m, 2h), instead of 5s."),
]


def policy(on_drift: OnDrift | None) -> str:
    """Return the policy as `Project` takes it: empty where none was given."""
    return on_drift.value if on_drift else ""
