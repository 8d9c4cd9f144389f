"""`kitaru prune`.

A run goes if it is named, or fits every condition given. `--keep-last` counts for each flow by itself. A pruned run is
no longer listed nor found, and a tombstone says who removed it and when. Its bytes are given back by [gc](gc.md), but
for what replays of it share with it: these stay as they are.

A run that waits or was interrupted is kept unless `--force`, and so is one that is named and cannot be read; one that
is running is always kept. There is no way back.

## JSON

`pruned`, each a [summary](json.md#summary), and `kept`, each a summary with `why`: its status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kitaru.cli import complete
from kitaru.cli.damage import tell_damaged
from kitaru.cli.documents import summary_json
from kitaru.cli.options import FlowOpt, Output, OutputOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.text import age, since

if TYPE_CHECKING:
    from kitaru.project import Project
    from kitaru.project.upkeep import Pruned


def prune(
    run: Annotated[
        list[str], typer.Argument(metavar="[RUN]...", help="Runs to remove, by name.", autocompletion=complete.runs)
    ] = [],  # noqa: B006 - typer copies defaults, and shows None as a value
    *,
    keep_last: Annotated[
        int | None, typer.Option("--keep-last", metavar="N", min=0, help="Keep the newest N runs of each flow.")
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="WHEN", help="Only runs started before: 30d, 12h, or an ISO date."),
    ] = None,
    flow: FlowOpt = "",
    force: Annotated[bool, typer.Option("--force", help="Also runs that wait or were interrupted.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would go, and change nothing.")] = False,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Remove old runs, on purpose."""
    from kitaru.project import Project

    project = Project.open()
    before = since(older_than, project.services.clock_us()) if older_than else None
    found = project.prune(
        runs=run, keep_last=keep_last, before_us=before, flow=flow or None, force=force, dry_run=dry_run
    )
    if output is Output.JSON:
        write_json(_document(found))
    else:
        _print(project, found, dry_run=dry_run)
    tell_damaged(project)


def _document(found: list[Pruned]) -> dict[str, object]:
    return {
        "pruned": [summary_json(p.summary) for p in found if not p.kept],
        "kept": [{**summary_json(p.summary), "why": p.kept} for p in found if p.kept],
    }


def _print(project: Project, found: list[Pruned], *, dry_run: bool) -> None:
    page, now = Page(), project.services.clock_us()
    for item in found:
        run = item.summary
        told = f"kept, for it is {item.kept}" if item.kept else "would go" if dry_run else "pruned"
        facts = f"  {run.flow} v{run.version}  {age(run.started, now)}" if run.flow else ""
        page.line((run.run, "bold"), (facts, "dim"), f"  {told}")
    gone = sum(not item.kept for item in found)
    page.line(f"{gone} run{'s' * (gone != 1)} {'would be ' * dry_run}pruned", f", {len(found) - gone} kept")
    if gone and not dry_run:
        page.line(("kitaru gc gives the room back", "dim"))
    page.write()
