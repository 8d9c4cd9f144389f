"""Flows and flow versions, as pages and as JSON.

Owns: what `kitaru flow` prints. What is told is `kitaru.project.flows`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from kitaru.cli.documents import summary_json
from kitaru.cli.page import STATUS_STYLES, Page, Span, status_span
from kitaru.cli.route_page import entry_json, where
from kitaru.cli.text import age, duration, iso, local_time, one_line, size
from kitaru.cli.value import plain
from kitaru.model.spending import dollars

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.model.summary import RunSummary
    from kitaru.project import Project
    from kitaru.project.flows import FlowLine, FlowVersion, Outcomes, VersionLine

MAX_RUNS = 10
"""Runs of a version that its page shows."""

FIELD = 12


def flow_rows(project: Project, flows: list[FlowLine], now: int) -> list[list[Span]]:
    """Return a row for each flow."""
    return [
        [
            (line.flow, "bold"),
            f"v{line.latest.n}",
            ", ".join(f"{entry.route}: {where(project, entry)}" for entry in line.routes),
            counted(line.versions, "version"),
            counted(line.runs, "run"),
            status_span(str(line.last.status)) if line.last else "",
            (age(line.last.started, now) if line.last else f"recorded {age(line.latest.at, now)}", "dim"),
        ]
        for line in flows
    ]


def flow_json(project: Project, line: FlowLine) -> dict[str, Any]:
    """Return a flow of a listing."""
    latest = line.latest
    return {
        "flow": line.flow,
        "versions": line.versions,
        "latest": {"n": latest.n, "id": latest.id, "recorded": iso(latest.at), "by": latest.by},
        "routes": [entry_json(project, entry) for entry in line.routes],
        "runs": line.runs,
        "last": summary_json(line.last) if line.last else None,
    }


def version_rows(lines: list[VersionLine]) -> list[list[Span]]:
    """Return a row for each version, with how its runs ended."""
    return [
        [
            (f"v{line.n}", "bold"),
            (local_time(line.name.at) if line.name else "has no name here", "dim"),
            line.name.by if line.name else "",
            counted(line.outcomes.runs, "run"),
            _by_status(line.outcomes),
        ]
        for line in lines
    ]


def stats_rows(lines: list[VersionLine]) -> list[list[Span]]:
    """Return a row for each version, with what its runs took."""
    return [
        [
            (f"v{line.n}", "bold"),
            counted(line.outcomes.runs, "run"),
            _by_status(line.outcomes),
            _took(line.outcomes),
            (counted(line.outcomes.calls, "call"), "dim"),
            dollars(line.outcomes.spent),
        ]
        for line in lines
    ]


def outcome_json(line: VersionLine) -> dict[str, Any]:
    """Return a version of a flow, with what became of its runs."""
    name, outcomes = line.name, line.outcomes
    return {
        "n": line.n,
        "id": line.id,
        "recorded": iso(name.at) if name else None,
        "by": name.by if name else None,
        "runs": outcomes.runs,
        "by_status": dict(outcomes.by_status),
        "median_us": outcomes.took(50),
        "p90_us": outcomes.took(90),
        "calls": outcomes.calls,
        "cost": {key: told for key, told in outcomes.spent.to_json().items() if not key.endswith("_tokens")},
    }


def version_page(page: Page, project: Project, version: FlowVersion, now: int) -> None:
    """Add all that is told of a version."""
    name = version.name
    page.line("flow ", (version.flow, "bold"), f" v{name.n}", whole=True)
    _field(page, "signature", version.signature)
    _field(page, "recorded", f"{local_time(name.at)}{f' by {name.by}' if name.by else ''}")
    for entry in version.routes:
        why = f": {one_line(entry.note)}" if entry.note else ""
        said = f"{entry.route}  {where(project, entry)}  since {local_time(entry.at)} by {entry.by}{why}"
        _field(page, "route", said)
    if version.origins:
        _field(page, "from", ", ".join(dict.fromkeys(origin.remote for origin in version.origins)))
    if not version.trusted:
        _field(page, "trust", (f"not trusted yet: kitaru trust {version.flow}@v{name.n}", "yellow"))
    _field(page, "id", (name.id, "cyan"))
    _field(page, "entry", f"{version.entry.file or version.entry.module}:{version.entry.qualname}")
    _field(page, "python", version.python)
    _field(page, "runs on", ", ".join(f"{k} {v}" for k, v in version.distributions.items()))
    _field(page, "git", _git(version.git))
    _inputs(page, version.inputs)
    _sources(page, version.files)
    _runs(page, version.runs, now)


def version_json(project: Project, version: FlowVersion) -> dict[str, Any]:
    """Return all that is told of a version; `inputs` is the JSON schema of what it takes."""
    name, entry = version.name, version.entry
    files = [
        {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for path, data in version.files.items()
    ]
    return {
        "flow": version.flow,
        "n": name.n,
        "id": name.id,
        "digest": name.digest,
        "recorded": iso(name.at),
        "by": name.by,
        "signature": version.signature,
        "inputs": plain(version.inputs),
        "entry": {"module": entry.module, "qualname": entry.qualname, "file": entry.file},
        "files": files,
        "python": version.python,
        "distributions": version.distributions,
        "git": plain(version.git),
        "routes": [entry_json(project, entry) for entry in version.routes],
        "trusted": version.trusted,
        "origins": [{"remote": o.remote, "url": o.url, "at": iso(o.at)} for o in version.origins],
        "runs": [summary_json(run) for run in version.runs],
    }


def counted(count: int, noun: str) -> str:
    """Return `1 run`, `2 runs`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _field(page: Page, name: str, told: Span) -> None:
    if told and told != "":
        page.line((f"{name:<{FIELD}}", "dim"), told, whole=True)


def _git(state: dict[str, Any] | None) -> str:
    if state is None:
        return ""
    return f"{state.get('commit', '?')}{', with changes that were not committed' if state.get('dirty') else ''}"


def _inputs(page: Page, schema: dict[str, Any]) -> None:
    from kitaru.runtime.answers import described

    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict) or not properties:
        return
    needed = required if isinstance(required, list) else []
    page.gap()
    page.line(("inputs", "bold"))
    rows: list[list[Span]] = [
        [f"  {name}", described(schema, of), ("" if name in needed else _default(of), "dim")]
        for name, of in properties.items()
        if isinstance(of, dict)
    ]
    page.table(rows, whole=True)


def _sources(page: Page, files: Mapping[str, bytes]) -> None:
    if files:
        page.gap()
        page.line(("sources", "bold"))
        page.table([[f"  {path}", (size(len(data)), "dim")] for path, data in files.items()], whole=True)


def _default(schema: dict[str, Any]) -> str:
    import json

    return f"default {json.dumps(plain(schema['default']))}" if "default" in schema else "may be left out"


def _runs(page: Page, runs: list[RunSummary], now: int) -> None:
    if not runs:
        return
    page.gap()
    page.line(("runs", "bold"))
    page.table(_run_row(run, now) for run in runs[:MAX_RUNS])
    if len(runs) > MAX_RUNS:
        page.line((f"  {len(runs) - MAX_RUNS} more", "dim"))


def _run_row(run: RunSummary, now: int) -> list[Span]:
    return [
        (f"  {run.run}", "bold"),
        status_span(str(run.status)),
        (age(run.started, now), "dim"),
        (duration(run.ended - run.started) if run.ended else "", "dim"),
        (dollars(run.spent), "dim"),
        (one_line(run.error), "red") if run.error else "",
    ]


def _by_status(outcomes: Outcomes) -> Span:
    told = [f"{count} {status}" for status in STATUS_STYLES if (count := outcomes.by_status.get(status))]
    return ", ".join(told)


def _took(outcomes: Outcomes) -> Span:
    median, most = outcomes.took(50), outcomes.took(90)
    return "" if median is None or most is None else f"{duration(median)} median, {duration(most)} p90"
