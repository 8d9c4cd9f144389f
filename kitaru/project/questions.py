"""Questions, what is shown with them, and answers, as plain data for a screen.

Owns: what each holds, and how a value becomes data small enough to be shown. Knows neither stores nor screens.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kitaru.model.spending import NANO

if TYPE_CHECKING:
    from kitaru.model.spending import Spent

HEAD = 300
"""Characters of a question that its line holds."""
MAX_TEXT = 20_000
"""Characters of a text that are given for showing; the whole is a verb away."""
MAX_ITEMS = 1_000
MAX_ROWS = 100
MAX_CALLS = 200
MAX_SHOWN = 20
MAX_NUMBER = 1e15


@dataclass(frozen=True, slots=True)
class Question:
    """One line of the inbox: an open question of a run.

    Attributes:
        wait: its label: `approve`, `approve#2`.
        digest: binds an answer to it.
        asked, deadline: microseconds since 1970 UTC; a deadline of 0 is none.
        head: how it begins.
        is_approval: whether yes or no is the answer.
    """

    run: str
    wait: str
    digest: str
    flow: str
    version: int
    asked: int
    head: str
    deadline: int = 0
    is_approval: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from all others: runs of a flow ask the same question, under one digest."""
        return self.run, self.digest


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as plain data, bounded.

    Attributes:
        name: of the artifact, or of whatever it is.
        data: JSON data; a data frame comes as a list of dicts.
        more: what was left out, in words; empty where nothing was.
        command: prints all of it.
    """

    name: str
    data: Any
    more: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class CallLine:
    """A call of the run that asks.

    Attributes:
        how: `ran`, `failed`, `pinned`, `reused` or `in flight`.
        took_us: None while it is in flight.
        cost: of the models that it asked, in all its attempts, or what its metadata says: US dollars; None where that
            is not known.
        tokens: likewise; 0 where that is not known.
    """

    label: str
    how: str
    took_us: int | None
    cost: float | None = None
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A question in full.

    Attributes:
        text: the question, bounded; `more` says what is left out.
        schema: JSON schema of the answer.
        default: what it is answered with when the deadline passes; None where that is nothing.
        calls: the latest of the run's calls, in call order; `calls_before` counts those left out.
    """

    question: Question
    status: str
    text: str
    schema: dict[str, Any]
    shown: list[Shown]
    more: str = ""
    metadata: Shown | None = None
    default: Shown | None = None
    calls: list[CallLine] = field(default_factory=list)
    calls_before: int = 0
    unread: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that somebody gave.

    Attributes:
        at: when, microseconds since 1970 UTC.
        taken: whether the run has taken it; otherwise `kitaru resume` carries the run on.
        status: of the run, now.
    """

    run: str
    wait: str
    flow: str
    head: str
    value: Shown
    by: str
    at: int
    note: str
    source: str
    taken: bool
    status: str


def head_of(text: str) -> str:
    """Return how a question begins, on one line."""
    return " ".join(text[:HEAD].split())


def bounded_text(text: str) -> tuple[str, str]:
    """Return a text, cut where it is too long to be shown, and what was left out."""
    if len(text) <= MAX_TEXT:
        return text, ""
    return text[:MAX_TEXT], f"{len(text) - MAX_TEXT:,} more characters"


def bounded_plain(value: object) -> tuple[Any, str]:
    """Return a value as JSON data small enough to be shown, and in words what was left out."""
    from kitaru.runtime.schema import to_plain

    if isinstance(value, str):
        return bounded_text(value)
    rows = _rows(value)
    if rows is not None:
        value, count = rows
        more = f"{count - len(value):,} more rows" if count > len(value) else ""
    elif isinstance(value, (list, tuple)) and not hasattr(value, "_fields") and len(value) > MAX_ROWS:
        value, more = value[:MAX_ROWS], f"{len(value) - MAX_ROWS:,} more items"
    else:
        more = ""
    return to_plain(value, max_items=MAX_ITEMS, max_text=MAX_TEXT), more


def _rows(value: Any) -> tuple[list[dict[str, Any]], int] | None:  # noqa: ANN401 - any value
    """Return the first rows of a data frame and how many it has; None of anything else."""
    pandas = sys.modules.get("pandas")  # a data frame cannot be here without it
    if pandas is None or not isinstance(value, pandas.DataFrame):
        return None
    head = value.head(MAX_ROWS)
    names = [str(name) for name in head.columns]
    rows = zip(head.index, head.itertuples(index=False, name=None), strict=True)
    return [{"": str(at), **dict(zip(names, map(_cell, row), strict=True))} for at, row in rows], len(value)


def _cell(value: object) -> object:
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def spending_of(spent: Spent) -> tuple[float | None, int]:
    """Return cost, None where no price is known, and tokens of the models that a call asked."""
    is_known = spent.calls > spent.unpriced
    return (spent.nano_usd / NANO if is_known else None), spent.prompt + spent.completion


def usage_of(metadata: object) -> tuple[float | None, int]:
    """Return cost and tokens, where a call's metadata says them: at its top, or under `usage`."""
    cost, tokens = None, 0.0
    for said in (metadata, metadata.get("usage") if isinstance(metadata, dict) else None):
        if isinstance(said, dict):
            cost = next(iter(_numbers(said, "cost", "cost_usd")), cost)
            tokens = tokens or sum(_numbers(said, "total_tokens")) or sum(_numbers(said, *_TOKENS))
    return cost, int(tokens)


_TOKENS = ("input_tokens", "output_tokens", "prompt_tokens", "completion_tokens")


def _numbers(said: dict[Any, Any], *names: str) -> list[float]:
    found = [said.get(name) for name in names]
    return [float(n) for n in found if isinstance(n, (int, float)) and not isinstance(n, bool) and abs(n) < MAX_NUMBER]
