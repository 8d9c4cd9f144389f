"""`kitaru run`.

## Inputs

`NAME=VALUE` words are read by the annotation of the parameter: `n=3` is a number for `n: int` and a text for `n: str`;
for anything larger write JSON, as in `plan='{"steps": 2}'`. `--input FILE.json` gives several at once; a word overrides
the file. A missing or unknown name prints the signature.

## Result and progress

The result goes to stdout: a string as it is (made harmless only on a terminal), anything else as indented JSON.
Everything else goes to stderr: a live list of calls on a terminal, one line per call elsewhere, nothing with `-q`.
What the flow's own code prints is shown there too, line by line, with the call that printed it.

## Once for a key

`--key KEY` starts a run of this flow once for one key, however many processes ask at once and whichever of them crash.
Where there is one already it is shown as it stands, whatever the inputs are now (those that differ are named): its
result, or its question, and an exit status as if it had been carried here (0 while another process executes it). It is
not carried on; `kitaru resume` does that. A key stays taken when its run is pruned.

## Limits

`--max-calls` counts the calls that the run executes, `--max-seconds` the time that it executes, through all resumes;
time in which no process had it does not count. A run that reaches one fails, and says with which limit a resume goes
on. A call in flight when the time is up ends first, unless it is async or isolated.

## JSON

`-o json` prints, also where the run failed or waits: `run`, `flow`, `status`, `result` (the value as JSON), `output`
(its id), `waits` (open ones), `questions` (each `wait`, `question`, and `answer_with`, a line to type as it
stands), `wakes` (when a sleeping run goes on, or null), `invoked` (how it was [invoked](json.md#run), or null),
`existing` (whether the run was there already, for the same `--key`), `other_inputs` (names of inputs that it was
started with otherwise), `error` (`type`, `message`, `hint`; null where the run completed or waits).

## Events

`--events` prints one JSON object a line. Each has `event` and `run`; by event there are more fields:

- `run`: `flow`, `version`, `inputs` (name to id), `source`, `resumed`
- `version`: `flow`, `n`, `new`
- `code`: `changes` (pairs of path and `changed`, `added` or `removed`), `recorded` (version), `executes`
  (`working-tree` or `recorded`)
- `torn`: `text`, what a crash left half-written, and where it was kept
- `begin`: `call`, `name`, `order`
- `call`: `call`, `name`, `order`, `how` (`ran`, `recorded`, `shared`, `pinned` or `reused`), `duration_us`, `output`,
  `reused` (`run`, `record` and `call` that a cached result came from, or null), `error`, `stale`, `mutated`, `drift`,
  `delay_us` (until a failed attempt is made again, or null), `overran_us` (beyond a timeout that could not stop it),
  `llm` (what was asked of models, as [the format](../format.md) has it)
- `cache`: `text`, why the result cache is not used
- `output`: `call`, `stream` (`stdout`, `stderr`, `log`, or `llm` for a reply as it comes), `text`
- `progress`: `call`, `order`, `message`, `percent`, `current`, `total`, `text` (all of it in one line)
- `wait`: `wait`, `question`, `schema`, `shown`, `asked`, `deadline` (microseconds since 1970 UTC, or null)
- `sleep`: `wait`, `until`
- `answer`: `wait`, `by`, `source` (`person`, `ahead`, `default`, `expired`, `rejected`, or `time` for a sleep that is
  over)
- `branched`: `cut`, the call order at which a replay left its source
- `drift`: `call`, `policy`, `text` (one line), `difference` (as many as it takes, 20 or so)
- `unclaimed`: `calls`, recorded calls that the code no longer makes
- `stopping`: `calls`, those in flight that the run waits for before it stops
- `end`: `status`
- `result`: as `-o json`; always the last line
"""

from __future__ import annotations

from typing import Annotated

import typer

from kitaru.cli import complete
from kitaru.cli.carry import carry
from kitaru.cli.groups import Limits, Manner, spread
from kitaru.cli.inputs import json_object, pairs
from kitaru.cli.options import CacheOpt, OnDriftOpt, TagOpt, policy


@spread
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
    cache: CacheOpt = None,
    key: Annotated[
        str, typer.Option("--key", metavar="KEY", help="Start the run once for this key; show the one there is.")
    ] = "",
    limits: Limits,
    manner: Manner,
) -> None:
    """Run a flow, showing its calls; the result goes to stdout.

    On a terminal a run that stops at a wait asks for the answer and goes on. Elsewhere the command ends with status 3
    and the line that answers it.
    """
    from kitaru.project import Project

    typed = pairs(inputs or [])
    documents = json_object(input_file) if input_file else {}
    project = Project.open()
    carry(
        project,
        lambda observer: project.run(
            target,
            typed,
            text=True,
            documents={name: value for name, value in documents.items() if name not in typed},
            tags=tag,
            on_drift=policy(on_drift),
            cache=cache,
            key=key,
            **limits.given(),
            observer=observer,
            foreground=True,
        ),
        manner,
    )
