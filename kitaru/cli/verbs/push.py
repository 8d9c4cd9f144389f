"""`kitaru push`.

The first word is a remote, if there is one of that name; every other one names a run. Without any, the default remote
is meant, and what is finished or waits and is not there yet. A run goes with what it reaches: its flow version, the
runs it branched from, its large objects, its answers. Objects go first and names last, so that a push that is
interrupted leaves nothing half-visible there; push again.

Names that are written here and there are never overwritten. Where somebody else was first, his stands, the other is
kept in `lost/`, and this command says so at the end, after all else has gone: with status 10 where a run was continued
on both sides (what was done here is a run of its own then), and with 6 where a question was answered by another first.
A flow version whose number is another's there gets the next free one, on both sides. [Teams](../team.md) tells more.

## JSON

`remote` and `url`; `runs` (each `run`, `flow`, `new`, `segments`: how many more of it), `versions` (each `flow`, `n`,
`id`, `was`: the number it had here, where it changed), `names` (how many others, by kind), `lost` (names that were
second: `kind`, `owner`, `key`, `by`, `at`), `diverged` (`run`, `new_run`, `number` of the segment, `by`, `host`, `at`),
`refused` and `skipped` (each `what` and `why`), `files`, `bytes`, `requests`, `dry_run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kitaru.cli import complete
from kitaru.cli.options import DryRunOpt, FlowOpt, Output, OutputOpt, QuietOpt
from kitaru.cli.sync_verbs import carry_out

if TYPE_CHECKING:
    from kitaru.project.remotes import Remote
    from kitaru.store.sync.results import Outcome, Tell


def push(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[REMOTE] [RUN]...", help="Where to, and which runs.", autocompletion=complete.remotes_and_runs
        ),
    ] = [],  # noqa: B006 - typer copies defaults, and shows None as a value
    *,
    all_: Annotated[bool, typer.Option("-a", "--all", help="Also runs that were interrupted.")] = False,
    flow: FlowOpt = "",
    dry_run: DryRunOpt = False,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Also to a remote that cannot tell who of two writers was first.")
    ] = False,
    quiet: QuietOpt = False,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Send runs to a remote, with what they reach."""
    from kitaru.project import Project

    project = Project.open()

    def act(remote: Remote, runs: list[str], tell: Tell) -> Outcome:
        return project.push(
            remote.name, runs=runs, everything=all_, flow=flow, dry_run=dry_run, unsafe=unsafe, strict=False, tell=tell
        )

    carry_out(project, "push", words, act, quiet=quiet, output=output)
