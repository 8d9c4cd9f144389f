"""What differs between two runs, as a page and as JSON.

Owns: what `kitaru diff` prints. What counts as a difference is `kitaru.project.differences`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from kitaru.cli.text import duration, iso, one_line, short
from kitaru.model.history import CallView
from kitaru.project.differences import took_us
from kitaru.runtime.difference import MISSING, SHOWN_CHARS, Part, difference, shown, unified
from kitaru.runtime.plain import to_plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kitaru.cli.page import Page
    from kitaru.model.alignment import View
    from kitaru.model.history import RunState
    from kitaru.project import Project
    from kitaru.project.differences import FactChange, RunDiff, StepDiff, ValueChange
    from kitaru.runtime.difference import Parts

MAX_SHOWN_PARTS = 20
MAX_TEXT_LINES = 60
_JSON_ITEMS = 10_000
_JSON_TEXT = 64 * 1024
_MARKS = {"changed": ("~", "yellow"), "added": ("+", "green"), "removed": ("-", "red"), "same": ("=", "dim")}
_LINE_STYLES = {"+": "green", "-": "red"}


# -- the page ----------------------------------------------------------------------------------------------------------


def diff_page(page: Page, project: Project, diff: RunDiff, *, stat: bool) -> None:
    """Add all that differs; `stat` tells what differs and not how."""
    page.line("run ", (diff.old.run, "bold"), " → ", (diff.new.run, "bold"), f"  {diff.new.start.flow}", whole=True)
    _changes(page, project, diff, diff.facts, diff.values, stat=stat)
    for step in diff.steps:
        if step.kind != "same":
            _step(page, project, diff, step, stat=stat)
    page.gap()
    page.line((_summary(project, diff), "dim"), wrap=True)


def _step(page: Page, project: Project, diff: RunDiff, step: StepDiff, *, stat: bool) -> None:
    page.gap()
    page.line(_MARKS[step.kind], " ", (_label(step), "bold"), (_times(step), "dim"), whole=True)
    _changes(page, project, diff, step.facts, step.values, stat=stat)


def _changes(
    page: Page,
    project: Project,
    diff: RunDiff,
    facts: Iterable[FactChange],
    values: Iterable[ValueChange],
    *,
    stat: bool,
) -> None:
    if stat:
        told = [c.what for c in facts] + [c.title for c in values]
        if told:
            page.line(f"  {', '.join(told)}", wrap=True)
        return
    for fact in facts:
        fact_lines(page, fact)
    for value in values:
        _value(page, value, project.differing_parts(value, diff, MAX_SHOWN_PARTS))


def fact_lines(page: Page, fact: FactChange) -> None:
    """Add a fact that differs: on one line, or as a diff of its text."""
    diff = unified(fact.was, fact.now, MAX_TEXT_LINES) if "\n" in fact.was + fact.now else []
    if diff:
        page.line("  ", (fact.what, "cyan"), whole=True)
        return coloured(page, diff)
    was, now = one_line(fact.was) or "none", one_line(fact.now) or "none"
    return page.line("  ", (fact.what, "cyan"), f": {was} → {now}", whole=True)


def _value(page: Page, change: ValueChange, parts: Parts) -> None:
    if not parts.found:
        was, now = short(change.was), short(change.now)
        more = ", too far inside to be shown" if parts.more else ", which shows the same"
        page.line("  ", (change.title, "cyan"), f": {was} → {now}{more}", whole=True)
    for part in parts.found:
        _part(page, change, part)
    if parts.found and parts.more:
        page.line("    and more", whole=True)


def _part(page: Page, change: ValueChange, part: Part) -> None:
    name = f"{change.what} {part.path}" if change.name else part.path
    diff = _text_diff(part)
    if diff:
        page.line("  ", (name, "cyan"), whole=True)
        return coloured(page, diff)
    return page.line("  ", (name, "cyan"), arrow(part), whole=True)


def arrow(part: Part) -> str:
    """Return how a part differs, to stand behind its path."""
    if part.was is MISSING:
        return f" is new: {shown(part.now)}"
    if part.now is MISSING:
        return f" is gone: {shown(part.was)}"
    was, now = shown(part.was), shown(part.now)
    if was == now or max(len(was), len(now)) >= SHOWN_CHARS:
        return difference("", part.was, part.now).short
    return f": {was} → {now}"


def _text_diff(part: Part) -> list[str]:
    if not isinstance(part.was, str) or not isinstance(part.now, str) or "\n" not in part.was + part.now:
        return []
    return unified(part.was, part.now, MAX_TEXT_LINES)


def coloured(page: Page, lines: Iterable[str], indent: str = "    ") -> None:
    """Add the lines of a diff."""
    for line in lines:
        page.block(line, indent, _LINE_STYLES.get(line[:1], ""))


def _label(step: StepDiff) -> str:
    old, new = step.old, step.new
    labels = dict.fromkeys(view.label for view in (old, new) if view is not None)
    return " → ".join(labels)


def _times(step: StepDiff) -> str:
    took = [took_us(view) for view in (step.old, step.new) if view is not None]
    known = [duration(us) for us in took if us is not None]
    return f"  {' → '.join(known)}" if known else ""


def _summary(project: Project, diff: RunDiff) -> str:
    counts = Counter(step.kind for step in diff.steps)
    names = (("same", "the same"), ("changed", "changed"), ("added", "added"), ("removed", "removed"))
    told = [f"{counts[kind]} {word}" for kind, word in names if counts[kind]] or ["no calls"]
    parts = [f"calls and waits: {', '.join(told)}", f"time in calls {' → '.join(map(duration, diff.took_us))}"]
    parts += [f"{name} {was:g} → {now:g}" for name, (was, now) in project.numbers(diff).items()]
    return "; ".join(parts)


# -- JSON --------------------------------------------------------------------------------------------------------------


def diff_json(project: Project, diff: RunDiff, *, stat: bool) -> dict[str, Any]:
    """Return all that differs as one document; `stat` leaves out where values differ."""

    def changes(facts: Iterable[FactChange], values: Iterable[ValueChange]) -> dict[str, Any]:
        return {
            "facts": facts_json(facts),
            "values": [_value_json(project, diff, value, stat=stat) for value in values],
        }

    return {
        "old": _run_json(diff.old),
        "new": _run_json(diff.new),
        "took_us": list(diff.took_us),
        "differs": diff.differs,
        **changes(diff.facts, diff.values),
        "numbers": {name: {"was": was, "now": now} for name, (was, now) in project.numbers(diff).items()},
        "steps": [{**_step_json(step), **changes(step.facts, step.values)} for step in diff.steps],
    }


def facts_json(facts: Iterable[FactChange]) -> list[dict[str, Any]]:
    """Return facts that differ; null where a side has none."""
    return [{"what": fact.what, "was": fact.was or None, "now": fact.now or None} for fact in facts]


def _run_json(state: RunState) -> dict[str, Any]:
    return {
        "run": state.run,
        "flow": state.start.flow,
        "version": state.version.get("n"),
        "status": str(state.status),
        "started": iso(state.start.at),
        "ended": iso(state.end.at) if state.end else None,
    }


def _step_json(step: StepDiff) -> dict[str, Any]:
    kind = "call" if isinstance(step.new or step.old, CallView) else "wait"
    return {"step": kind, "kind": step.kind, "old": _view_json(step.old), "new": _view_json(step.new)}


def _view_json(view: View | None) -> dict[str, Any] | None:
    if view is None:
        return None
    order = view.order if isinstance(view, CallView) else view.record.order
    return {"label": view.label, "order": order, "run": view.run, "record": view.id or None, "took_us": took_us(view)}


def _value_json(project: Project, diff: RunDiff, change: ValueChange, *, stat: bool) -> dict[str, Any]:
    document: dict[str, Any] = {"what": change.what, "name": change.name, "was": change.was, "now": change.now}
    if not stat:
        parts = project.differing_parts(change, diff)
        document |= {"parts": [part_json(part) for part in parts.found], "more": parts.more}
    return document


def part_json(part: Part) -> dict[str, Any]:
    """Return where and how a value differs; null on the side that lacks the part."""
    kind = "new" if part.was is MISSING else "gone" if part.now is MISSING else "changed"
    return {
        "path": part.path,
        "kind": kind,
        "was": None if part.was is MISSING else to_plain(part.was, max_items=_JSON_ITEMS, max_text=_JSON_TEXT),
        "now": None if part.now is MISSING else to_plain(part.now, max_items=_JSON_ITEMS, max_text=_JSON_TEXT),
        "diff": _text_diff(part),
    }
