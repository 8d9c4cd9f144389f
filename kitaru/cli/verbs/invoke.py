"""`kitaru invoke`.

The code comes from the store, never from the working tree: it runs the same where the project's files have changed, or
are gone. `FLOW@v3` names a version, `FLOW@latest` the last one recorded, `FLOW@stable` a [route](route.md). A flow
alone is its route `stable`; or its latest version, where it has no routes. Where it has others only, which one is meant
must be said.

## Inputs

`NAME=VALUE` words and `--input` as of [run](run.md#inputs), read and checked by the JSON schema that was recorded with
the version, before any of its code is loaded: what is unknown, missing or wrong starts nothing. `kitaru flow show
FLOW@v3 -o json` prints that schema.

## What the run records

`kitaru show` tells what was typed, the version, and why it was that one: the route, the number of the entry of its log
that decided, and its weights. `--key` starts the run once, as of
[run](run.md#once-for-a-key); of a route with weights it also decides the version, always the same for one key. `kitaru
resume` and `kitaru answer` go on with the recorded code.

## JSON and events

As of [run](run.md#json). There is one more event, `invoked`: `target`, `version` (`n`, `id`), `why` (`named`, `latest`,
`route` or `weight`) and, where a route decided, `route`, `entry`, `weights` (lists of id, number, weight) and `point`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from kitaru.cli import complete
from kitaru.cli.carry import Manner, carry
from kitaru.cli.inputs import json_object, pairs
from kitaru.cli.options import (
    EventsOpt,
    MaxCallsOpt,
    MaxSecondsOpt,
    NoInputOpt,
    Output,
    OutputOpt,
    QuietOpt,
    StayOpt,
    TagOpt,
    stay_s,
)


def invoke(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FLOW[@ROUTE]", help="What to start: agent@stable, agent@v3.", autocompletion=complete.invocable
        ),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="Inputs, read by the recorded schema."),
    ] = None,
    *,
    input_file: Annotated[
        str | None, typer.Option("--input", metavar="FILE.json|-", help="Inputs from a JSON object, or from stdin.")
    ] = None,
    key: Annotated[
        str, typer.Option("--key", metavar="KEY", help="Start the run once for this key; show the one there is.")
    ] = "",
    tag: TagOpt = [],  # noqa: B006 - typer copies defaults, and shows None as a value
    max_calls: MaxCallsOpt = None,
    max_seconds: MaxSecondsOpt = None,
    stay: StayOpt = None,
    output: OutputOpt = Output.TEXT,
    quiet: QuietOpt = False,
    events: EventsOpt = False,
    no_input: NoInputOpt = False,
) -> None:
    """Start a recorded version of a flow by its name, without its source.

    Its calls are shown and its questions asked as by `kitaru run`.
    """
    from kitaru.project import Project

    typed = pairs(inputs or [])
    documents = json_object(input_file) if input_file else {}
    project = Project.open()
    carry(
        project,
        lambda observer: project.invoke(
            target,
            typed,
            text=True,
            documents=documents,
            key=key,
            tags=tag,
            max_calls=max_calls,
            max_seconds=max_seconds,
            stay_s=stay_s(stay),
            observer=observer,
            foreground=True,
        ),
        Manner(output, quiet, events, no_input),
    )
