"""What is shown of a question, part by part: which kind each value is, and its text.

Owns: telling markdown, tables, trees and differences apart, and that every text is made harmless and bounded on its
way to the screen. Pure; widgets are made of blocks elsewhere.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from kitaru.text import cells, clean, clip, duration, local_time

if TYPE_CHECKING:
    from kitaru.project.questions import Asked, CallLine, Given, Shown

MAX_LINES = 400
MAX_DIFF_LINES = 2_000
MAX_COLUMNS = 12
MAX_CELL = 40
MAX_NODES = 500
MAX_LEAF = 200


class Kind(StrEnum):
    """How a block is drawn."""

    MARKDOWN = "markdown"
    TREE = "tree"
    TABLE = "table"
    DIFF = "diff"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a question's page.

    Attributes:
        title: one line; empty where nothing stands above it.
        text: of markdown, of a table with a head line, or of a unified difference; clean.
        data: of a tree: JSON data.
        more: what was left out and what prints it; empty where nothing was.
    """

    kind: Kind
    title: str
    text: str = ""
    data: Any = None
    more: str = ""


def blocks_of(asked: Asked) -> list[Block]:
    """Return what is shown of a question, in order."""
    text, more = bounded(asked.text)
    found = [Block(Kind.MARKDOWN, "", text or "*no question was written*", more=asked.more or more)]
    found += _difference(asked.shown)
    found += [block_of(shown) for shown in asked.shown]
    if asked.default is not None:
        found.append(block_of(asked.default))
    if asked.calls:
        before = f"{asked.calls_before:,} before: kitaru log {asked.question.run}" if asked.calls_before else ""
        found.append(Block(Kind.TABLE, "calls", calls_text(asked.calls), more=before))
    if asked.metadata is not None:
        found.append(block_of(asked.metadata))
    return found


def blocks_of_answer(given: Given) -> list[Block]:
    """Return what is shown of an answer that was given."""
    taken = f"run {given.run} is {given.status}"
    if not given.taken:
        taken += f" and has not taken it yet: kitaru resume {given.run}"
    who = f"{given.by or 'somebody'}, {local_time(given.at)}"
    lines = [clean(given.head), "", who if given.source == "person" else f"{who}, {clean(given.source)}", taken]
    found = [Block(Kind.PLAIN, f"{clean(given.flow)} {clean(given.wait)}", "\n".join(lines)), block_of(given.value)]
    if given.note:
        found.append(Block(Kind.PLAIN, "note", bounded(given.note)[0]))
    return found


def block_of(shown: Shown) -> Block:
    """Return a value as the block that fits it."""
    title = clean(shown.name)
    left_out = f"{shown.more}: {shown.command}" if shown.more else ""
    if isinstance(shown.data, str):
        text, more = bounded(shown.data)
        return Block(Kind.MARKDOWN, title, text, more=left_out or (more and f"{more}: {shown.command}"))
    if is_table(shown.data):
        return Block(Kind.TABLE, title, rows_text(shown.data), more=left_out)
    return Block(Kind.TREE, title, data=shown.data, more=left_out)


def bounded(text: str) -> tuple[str, str]:
    """Return a text made harmless, cut where it has too many lines, and what was left out."""
    lines = text.split("\n")
    more = f"{len(lines) - MAX_LINES:,} more lines" if len(lines) > MAX_LINES else ""
    return clean("\n".join(lines[:MAX_LINES]), lines=True), more


def _difference(shown: list[Shown]) -> list[Block]:
    """Return the difference of two texts, where just two are shown."""
    texts = [s for s in shown if isinstance(s.data, str)]
    if len(texts) != 2 or max(s.data.count("\n") for s in texts) > MAX_DIFF_LINES:
        return []
    old, new = texts
    lines = difflib.unified_diff(old.data.split("\n"), new.data.split("\n"), lineterm="", n=2)
    text, more = bounded("\n".join(list(lines)[2:]))
    title = f"{clean(old.name)} → {clean(new.name)}"
    return [Block(Kind.DIFF, title, text or "no difference", more=more and f"{more}: {old.command}")]


def is_table(data: object) -> bool:
    """Tell whether JSON data is a table: a list of flat objects; a last text may say how many more there were."""
    rows = data[:-1] if isinstance(data, list) and len(data) > 1 and isinstance(data[-1], str) else data
    return isinstance(rows, list) and bool(rows) and all(isinstance(row, dict) and _is_flat(row) for row in rows)


def _is_flat(row: dict[str, Any]) -> bool:
    return bool(row) and not any(isinstance(value, (dict, list)) for value in row.values())


def rows_text(data: list[Any]) -> str:
    """Return a list of flat objects as lines with aligned columns, the first of them the heads."""
    rows = [row for row in data if isinstance(row, dict)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    heads, left = names[:MAX_COLUMNS], names[MAX_COLUMNS:]
    lines = [[*map(_cell, heads), *(["…"] if left else [])]]
    lines += [[_cell(row.get(name, "")) for name in heads] + ["…"] * bool(left) for row in rows]
    numeric = [all(_is_number(row.get(name)) for row in rows) for name in heads] + [False] * bool(left)
    return aligned(lines, numeric)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: object) -> str:
    words = {True: "true", False: "false", None: ""}
    text = words[value] if value is None or isinstance(value, bool) else str(value)[: 2 * MAX_CELL]
    return clip(clean(text), MAX_CELL)


def aligned(lines: list[list[str]], right: list[bool]) -> str:
    """Return rows of clean texts as lines with aligned columns; `right` says which stand to the right."""
    widths = [max(map(cells, column)) for column in zip(*lines, strict=True)]
    told = []
    for line in lines:
        parts = []
        for text, width, is_right in zip(line, widths, right, strict=True):
            padding = " " * (width - cells(text))
            parts.append(padding + text if is_right else text + padding)
        told.append("  ".join(parts).rstrip())
    return "\n".join(told)


def calls_text(calls: list[CallLine]) -> str:
    """Return calls as lines: name, how, how long it took, and tokens and cost where any of them said so."""
    heads, right = ["call", "how", "took"], [False, False, True]
    rows = [[clean(c.label), clean(c.how), "" if c.took_us is None else duration(c.took_us)] for c in calls]
    if any(call.tokens for call in calls):
        heads, right = [*heads, "tokens"], [*right, True]
        rows = [[*row, f"{c.tokens:,}" if c.tokens else ""] for row, c in zip(rows, calls, strict=True)]
    costs = [call.cost for call in calls if call.cost is not None]
    if costs:
        heads, right = [*heads, "cost"], [*right, True]
        rows = [[*row, "" if c.cost is None else f"${c.cost:.4f}"] for row, c in zip(rows, calls, strict=True)]
        if len(costs) > 1:
            rows.append(["all", *[""] * (len(heads) - 2), f"${sum(costs):.4f}"])
    return aligned([heads, *rows], right)


def leaf_text(value: object) -> str:
    """Return a JSON value that holds no others, on a line."""
    words = {True: "true", False: "false", None: "null"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, str):
        head = clip(clean(value[: 2 * MAX_LEAF]), MAX_LEAF)
        return f'"{head}"'
    return clean(str(value))[:MAX_LEAF]
