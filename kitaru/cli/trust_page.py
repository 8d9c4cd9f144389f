"""A flow version as it is looked at before it is trusted, and what was decided; as pages and as JSON.

Owns: what `kitaru trust` prints. All of it is text that somebody else wrote: the page makes it harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.cli.text import age, clean_source, iso, one_line, size
from kitaru.cli.version_page import version_json, version_page
from kitaru.runtime.source_text import shown_source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kitaru.cli.page import Page, Span
    from kitaru.project.trusting import Covered, Review
    from kitaru.store.trust import Decision

_KINDS = {"versions": "version", "flows": "flow", "remotes": "remote"}


def review_page(page: Page, review: Review, now: int, *, whole: bool) -> None:
    """Add what there is to see of a version: whole, or what differs from one that is trusted."""
    page.line("flow version ", (review.name, "bold"), "  ", _state(review.trusted), whole=True)
    for fact in _facts(review, now):
        page.line(f"  {fact}", wrap=True)
    page.gap()
    if review.changes is None or whole:
        for path, data in review.value["files"].items():
            text, warning = shown_source(data)
            page.line((str(path), "bold"), (f"  {size(len(data))}", "dim"), whole=True)
            if warning:
                page.line((f"  {warning}", "yellow"), whole=True)
            page.block(clean_source(text.rstrip("\n")))
            page.gap()
    else:
        page.line("what differs from the newest version that is trusted:")
        version_page(page, review.changes, stat=False)
    if review.decision is not None:
        page.gap()
        decision_line(page, review.decision, now)


def _facts(review: Review, now: int) -> Iterable[str]:
    if review.by or review.at:
        yield f"recorded by {one_line(review.by) or 'somebody'}, {age(review.at, now)}"
    for origin in review.origins:
        yield f"came from {one_line(origin.remote)}, {one_line(origin.url)}, {age(origin.at, now)}"
    entry, git = review.value.get("entry"), review.value.get("git")
    if isinstance(entry, dict):
        yield f"begins at {one_line(str(entry.get('qualname')))} in {one_line(str(entry.get('file')))}"
    yield f"runs on Python {one_line(str(review.value.get('python')))}{_distributions(review.value)}"
    if isinstance(git, dict):
        dirty = ", with changes that are not committed" if git.get("dirty") else ""
        yield f"git commit {one_line(str(git.get('commit')))}{dirty}"


def _distributions(value: dict[str, Any]) -> str:
    found = value.get("distributions")
    if not isinstance(found, dict) or not found:
        return ""
    told = [f"{one_line(str(name), 80)} {one_line(str(version), 40)}" for name, version in found.items()]
    return f" with {', '.join(told)}"  # all of them: --env recorded executes what installs them


def covered_page(page: Page, covered: list[Covered], now: int) -> None:
    """Add the versions that a decision about a flow or remote is about."""
    if not covered:
        page.line("no version of it is here yet")
    rows: list[list[Span]] = [
        [
            (c.name, "bold"),
            _state(c.trusted),
            f"recorded by {one_line(c.version.by) or 'somebody'}",
            age(c.version.at, now),
        ]
        for c in covered
    ]
    page.table(rows, whole=True)


def decision_line(page: Page, decision: Decision, now: int) -> None:
    """Add what was decided, by whom and why."""
    page.line(*_decision(decision), whole=True)
    why = f": {one_line(decision.why)}" if decision.why else ""
    page.line((f"  by {one_line(decision.by) or 'somebody'}, {age(decision.at, now)}{why}", "dim"), whole=True)


def _decision(decision: Decision) -> list[Span]:
    what = one_line(decision.what or decision.name)
    spans: list[Span] = [f"{_KINDS[decision.kind]} ", (what, "bold")]
    if decision.kind == "remotes" and decision.name != what:
        spans.append(f" ({one_line(decision.name)})")
    return [*spans, "  ", _state(decision.trusted)]


def _state(trusted: bool) -> Span:
    return ("trusted", "green") if trusted else ("not trusted", "yellow")


# -- JSON --------------------------------------------------------------------------------------------------------------


def review_json(review: Review) -> dict[str, Any]:
    """Return what there is to see of a version, as one document."""
    value = review.value
    return {
        "version": review.name,
        "flow": review.flow or None,
        "id": review.id,
        "by": review.by or None,
        "at": iso(review.at) if review.at else None,
        "trusted": review.trusted,
        "origins": [{"remote": o.remote, "url": o.url, "at": iso(o.at)} for o in review.origins],
        "python": value.get("python"),
        "distributions": value.get("distributions"),
        "git": value.get("git"),
        "entry": value.get("entry"),
        "files": {path: shown_source(data)[0] for path, data in value["files"].items()},
        "changes": version_json(review.changes, stat=False) if review.changes else None,
    }


def covered_json(covered: list[Covered]) -> list[dict[str, Any]]:
    """Return the versions that a decision is about."""
    return [
        {"version": c.name, "id": c.version.id, "by": c.version.by, "at": iso(c.version.at), "trusted": c.trusted}
        for c in covered
    ]


def decision_json(decision: Decision) -> dict[str, Any]:
    """Return one decision."""
    return {
        "kind": _KINDS[decision.kind],
        "name": decision.name,
        "what": decision.what or None,
        "trusted": decision.trusted,
        "why": decision.why or None,
        "by": decision.by or None,
        "at": iso(decision.at),
    }
