"""`kitaru cost`.

Every attempt counts: what failed was paid for, too. What recorded results saved stands apart: calls that a replay
shares with its source, and those taken from the result cache. A cost that is not known is shown as unknown, never as 0;
[a price in `config.toml`](../llm.md#cost) makes it known for what is asked from then on.

## JSON

`by`, `total` and `costs`, the most expensive first, each `key` with `paid` and `saved`, which have `model_calls`,
`prompt_tokens`, `completion_tokens`, `cost_usd` (null where nothing of it is known) and `unpriced` (how many calls have
no known cost); so has `total`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli.damage import tell_damaged
from kitaru.cli.options import FlowOpt, Output, OutputOpt, SinceOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.text import since

if TYPE_CHECKING:
    from kitaru.cli.page import Span
    from kitaru.project.models import Cost


class By(StrEnum):
    """What is told apart."""

    MODEL = "model"
    FLOW = "flow"
    RUN = "run"
    CHECKPOINT = "checkpoint"


def cost(
    *,
    by: Annotated[By, typer.Option("--by", metavar="model|flow|run|checkpoint", help="What to tell apart.")] = By.MODEL,
    flow: FlowOpt = "",
    since_: SinceOpt = None,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Show what runs spent on models."""
    from kitaru.project import Project
    from kitaru.project.models import total

    project = Project.open()
    after = since(since_, project.services.clock_us()) if since_ else None
    lines = project.cost(by.value, flow=flow or None, since_us=after)
    summed = total(lines)
    if output is Output.JSON:
        write_json({"by": by.value, "total": _document(summed), "costs": [_document(line) for line in lines]})
    else:
        page = Page(None)
        page.table([_row(line) for line in [*lines, summed]], whole=True)
        page.write()
    tell_damaged(project)


def _row(line: Cost) -> list[Span]:
    from kitaru.model.spending import dollars

    paid, saved = line.paid, line.saved
    told = f"saved {dollars(saved)} of {_calls(saved.calls)}" if saved.calls else ""
    tokens = f"{paid.prompt:,} + {paid.completion:,} tokens"
    return [(line.key, "bold"), dollars(paid) or "$0.00", _calls(paid.calls), (tokens, "dim"), (told, "green")]


def _calls(count: int) -> str:
    return f"{count} call{'s' * (count != 1)}"


def _document(line: Cost) -> dict[str, Any]:
    return {"key": line.key, "paid": line.paid.to_json(), "saved": line.saved.to_json()}
