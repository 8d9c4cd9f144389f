"""`kitaru run`."""

from __future__ import annotations

from typing import Annotated

import typer

from kitaru.cli import complete
from kitaru.cli.carry import Manner, carry
from kitaru.cli.inputs import flow_inputs
from kitaru.cli.options import EventsOpt, NoInputOpt, OnDriftOpt, Output, OutputOpt, QuietOpt, TagOpt, policy


def run(
    target: Annotated[
        str, typer.Argument(metavar="FILE:FLOW", help="The flow to run.", autocompletion=complete.targets)
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="Inputs, read by the flow's own annotations."),
    ] = None,
    *,
    input_file: Annotated[
        str | None, typer.Option("--input", metavar="FILE.json|-", help="Inputs from a JSON object, or from stdin.")
    ] = None,
    tag: TagOpt = [],  # noqa: B006 - typer copies defaults, and shows None as a value
    on_drift: OnDriftOpt = None,
    output: OutputOpt = Output.TEXT,
    quiet: QuietOpt = False,
    events: EventsOpt = False,
    no_input: NoInputOpt = False,
) -> None:
    """Run a flow, showing its calls; the result goes to stdout.

    On a terminal a run that stops at a wait asks for the answer and goes on. Elsewhere the command ends with status 3
    and the line that answers it.
    """
    from kitaru.project import Project

    given, text = flow_inputs(inputs or [], input_file)
    project = Project.open()
    carry(
        project,
        lambda observer: project.run(
            target, given, text=text, tags=tag, on_drift=policy(on_drift), observer=observer, foreground=True
        ),
        Manner(output, quiet, events, no_input),
    )
