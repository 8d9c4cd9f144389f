"""`kitaru du`.

Every byte of every file counts once, so the sizes add up to the total. A journal is shared out among the values in it
by their length; what several runs share counts for the oldest run that has it. A replay costs only what it adds. Sizes
are those of files: compressed, and without what the file system rounds up.

In parentheses stands what is no artifact: `(records)` are the records themselves and the indexes, `(nothing reaches
it)` is what `kitaru gc` removes. Pruned runs are counted until gc has removed them.

## JSON

`by`, `total` (bytes), and `uses`, the largest first, each `size` with `flow`, `run` and `artifact`, which are null
where they are not told apart or there is none.
"""

from __future__ import annotations

from collections import defaultdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.text import size

if TYPE_CHECKING:
    from kitaru.store.usage import Use

DEFAULT_LIMIT = 20


class By(StrEnum):
    """What is told apart."""

    FLOW = "flow"
    RUN = "run"
    ARTIFACT = "artifact"


_Key = tuple[str, str, str]


def du(
    *,
    by: Annotated[By, typer.Option("--by", metavar="flow|run|artifact", help="What to tell apart.")] = By.FLOW,
    limit: Annotated[
        int, typer.Option("-n", "--limit", metavar="N", min=0, help="At most so many lines; 0 for all.")
    ] = DEFAULT_LIMIT,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Show what takes the room in the store."""
    from kitaru.project import Project

    found = summed(Project.open().usage(), by)
    total = sum(found.values())
    rows = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    shown = rows[:limit] if limit else rows
    if output is Output.JSON:
        return write_json({"by": by.value, "total": total, "uses": [_document(key, bytes_) for key, bytes_ in shown]})
    page = Page()
    for key, bytes_ in shown:
        page.line(f"{size(bytes_):>9}  {_label(key)}", whole=True)
    rest = sum(bytes_ for _, bytes_ in rows[len(shown) :])
    if rest:
        page.line((f"{size(rest):>9}  {len(rows) - len(shown)} more; kitaru du -n 0 lists all", "dim"))
    page.line(f"{size(total):>9}  ", ("in all", "bold"))
    return page.write()


def summed(uses: list[Use], by: By) -> dict[_Key, int]:
    """Return flow, run and artifact, as far as they are told apart, to bytes."""
    found: dict[_Key, int] = defaultdict(int)
    for use in uses:
        aside = "" if use.flow else use.artifact
        run = use.run if by is not By.FLOW and use.flow else ""
        artifact = use.artifact if by is By.ARTIFACT else aside
        found[use.flow, run, artifact] += use.size
    return {key: bytes_ for key, bytes_ in found.items() if bytes_}


def _label(key: _Key) -> str:
    flow, run, artifact = key
    if not flow:
        return artifact
    if run:
        return f"{run}:{artifact}  {flow}" if artifact else f"{run}  {flow}"
    return f"{flow} {artifact}" if artifact else flow


def _document(key: _Key, bytes_: int) -> dict[str, object]:
    flow, run, artifact = key
    return {"size": bytes_, "flow": flow or None, "run": run or None, "artifact": artifact or None}
