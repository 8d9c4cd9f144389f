"""What differs between two flow versions, as a page and as JSON.

Owns: what `kitaru diff FLOW@v1 FLOW@v2` prints. What differs is `kitaru.project.versions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.cli.diff_page import arrow, coloured, fact_lines, facts_json, part_json
from kitaru.cli.text import clean_source

if TYPE_CHECKING:
    from kitaru.cli.page import Page
    from kitaru.project.versions import FileDiff, VersionDiff

_MARKS = {"changed": ("~", "yellow"), "added": ("+", "green"), "removed": ("-", "red")}


def version_page(page: Page, diff: VersionDiff, *, stat: bool) -> None:
    """Add all that differs; `stat` counts lines instead of showing them."""
    page.line("flow version ", (diff.old, "bold"), " → ", (diff.new, "bold"), whole=True)
    for fact in diff.facts:
        fact_lines(page, fact)
    for part in diff.inputs.found:
        page.line("  ", (part.path, "cyan"), arrow(part), whole=True)
    for file in diff.files:
        _file(page, file, stat=stat)
    page.gap()
    lines = f"{sum(f.added for f in diff.files)} lines added, {sum(f.removed for f in diff.files)} removed"
    page.line((f"files: {len(diff.files)} differ; {lines}", "dim"), wrap=True)


def _file(page: Page, file: FileDiff, *, stat: bool) -> None:
    if not stat:
        page.gap()
    page.line(_MARKS[file.kind], " ", (file.path, "bold"), (f"  +{file.added} -{file.removed}", "dim"), whole=True)
    if file.warning:
        page.line((f"  {file.warning}", "yellow"), whole=True)
    if not stat:
        coloured(page, map(clean_source, file.lines), "  ")


def version_json(diff: VersionDiff, *, stat: bool) -> dict[str, Any]:
    """Return all that differs as one document; `stat` leaves out the lines."""
    return {
        "old": diff.old,
        "new": diff.new,
        "differs": diff.differs,
        "files": [_file_json(file, stat=stat) for file in diff.files],
        "facts": facts_json(diff.facts),
        "inputs": [part_json(part) for part in diff.inputs.found],
    }


def _file_json(file: FileDiff, *, stat: bool) -> dict[str, Any]:
    document: dict[str, Any] = {"path": file.path, "kind": file.kind, "added": file.added, "removed": file.removed}
    document |= {"warning": file.warning} if file.warning else {}
    return document if stat else {**document, "diff": file.lines}
