"""`kitaru status`.

A run is interrupted when it is not over and no process executes it: it was killed, or its machine went down. Failures
of the last seven days are shown, five at most.

Where there are remotes, it is told how many runs are to be pushed to and pulled from each, as of the last push, fetch
or pull: no remote is asked.

With `--watch` the page is drawn again as things change, until Ctrl-C; where stdout is no terminal, each run is told
when it begins and whenever its status, or what it waits for, changes.

## JSON

`--watch -o json` prints a [summary](json.md#summary) a line, whenever one changes. Without it:
`running`, `waiting`, `interrupted` and `failed`, each a list of [summaries](json.md#summary); those that wait
also have `answered`, the names of open waits whose answer is recorded and was not carried on yet. `queued` and
`delayed`: how many invocations wait for a worker, and how many for their time. `remotes`, each `name`, `at`
(when it was looked at last; null for never), `ahead`, `behind` and `diverged` (runs of which something is only here,
only there, or that went on on both sides), `names_ahead` and `names_behind` (how many other names are).
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli.answered import left_off
from kitaru.cli.damage import tell_damaged
from kitaru.cli.documents import summary_json
from kitaru.cli.events import write_json_line
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, Span, has_colour, status_span, write_json
from kitaru.cli.standing import standing_json, standing_line
from kitaru.cli.text import age, one_line, sleeps

if TYPE_CHECKING:
    from kitaru.model.summary import RunSummary
    from kitaru.project import Project

RECENT_US = 7 * 86400 * 1_000_000
"""Failures are shown for a week."""

MAX_FAILED = 5

WATCH_EVERY_S = 1.0
_CLEAR = "\x1b[H\x1b[2J"
_OPEN = ("running", "waiting", "interrupted")

_SECTIONS = {
    "running": ("Running:", 'use "kitaru log RUN" to see its calls'),
    "waiting": (
        "Waiting for an answer, or asleep:",
        'use "kitaru waits" to see the questions, "kitaru answer RUN WAIT VALUE" to answer',
    ),
    "interrupted": ("Interrupted:", 'use "kitaru resume RUN" to carry on'),
    "failed": ("Failed lately:", 'use "kitaru show RUN" to see why, "kitaru resume RUN" to try again'),
}


def status(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it as it changes, until Ctrl-C.")] = False,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Show what is running, waiting, interrupted or has failed lately."""
    from kitaru.project import Project

    project = Project.open()
    if watch:
        _watch(project, output)
        return
    runs, total = project.unfinished()
    found = _sections(project, runs)
    if output is Output.JSON:
        told: dict[str, Any] = {name: [_document(project, s) for s in section] for name, section in found.items()}
        stands = [{"name": name, **standing_json(standing)} for name, standing in project.standing().items()]
        write_json({**told, **_queue(project), "remotes": stands})
    else:
        _print(project, found, total)
    tell_damaged(project)


def _sections(project: Project, runs: list[RunSummary]) -> dict[str, list[RunSummary]]:
    now = project.services.clock_us()
    found = {name: [s for s in runs if s.status == name] for name in _SECTIONS}
    found["failed"] = [s for s in found["failed"] if (s.ended or s.started) >= now - RECENT_US][:MAX_FAILED]
    return found


def _watch(project: Project, output: Output) -> None:
    """Show the page, or what changes of it, until Ctrl-C."""
    draw = output is Output.TEXT and has_colour(sys.stdout)
    changes = Changes()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            runs = project.log()
            if draw:
                sys.stdout.write(_CLEAR)
                _print(project, _sections(project, runs), len(runs))
            else:
                _tell(project, changes.of(runs), output)
            sys.stdout.flush()
            time.sleep(WATCH_EVERY_S)


class Changes:
    """Which runs stand otherwise than when they were looked at last; at first, those that are not over."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[object, ...]] | None = None

    def of(self, runs: list[RunSummary]) -> list[RunSummary]:
        """Return the runs that changed, oldest first."""
        stand: dict[str, tuple[object, ...]] = {s.run: (s.status, s.waits, s.wakes, s.given_up) for s in runs}
        before, self._before = self._before, stand
        if before is None:
            return [s for s in reversed(runs) if s.status in _OPEN]
        return [s for s in reversed(runs) if before.get(s.run) != stand[s.run]]


def _tell(project: Project, runs: list[RunSummary], output: Output) -> None:
    page, now = Page(), project.services.clock_us()
    for run in runs:
        if output is Output.JSON:
            write_json_line(summary_json(run))
        else:
            page.line(
                (run.run, "bold"),
                "  ",
                status_span(str(run.status), 11),
                f"  {run.flow} v{run.version}",
                *_told(run, now),
            )
    page.write()


def _print(project: Project, found: dict[str, list[RunSummary]], total: int) -> None:
    page, now = Page(), project.services.clock_us()
    page.line(f"project {project.root}", whole=True)
    for name, section in found.items():
        if section:
            _section(page, project, name, section, now)
    if not any(found.values()):
        page.line(f"nothing runs, waits or was interrupted; {total} run{'s' * (total != 1)} in all")
    _queued(page, project)
    _remotes(page, project, now)
    page.write()


def _queue(project: Project) -> dict[str, int]:
    states = [queued.state for queued in project.queue()]
    return {state: states.count(state) for state in ("queued", "delayed")}


def _queued(page: Page, project: Project) -> None:
    told = [f"{count} {state}" for state, count in _queue(project).items() if count]
    if told:
        page.gap()
        page.line(("queue", "bold"), f": {', '.join(told)}; ", ("kitaru work", "bold"), " begins them", wrap=True)


def _remotes(page: Page, project: Project, now: int) -> None:
    stands = project.standing()
    if stands:
        page.gap()
    for name, standing in stands.items():
        page.line((name, "bold"), f": {standing_line(standing, now)}", wrap=True)


def _document(project: Project, run: RunSummary) -> dict[str, Any]:
    if not run.waits:
        return summary_json(run)
    state = project.state(run.run)
    return {**summary_json(run), "answered": [w.label for w in state.open_waits if project.given(state, w)]}


def _section(page: Page, project: Project, name: str, runs: list[RunSummary], now: int) -> None:
    title, hint = _SECTIONS[name]
    page.gap()
    page.line(title)
    page.line((f"  ({hint})", "dim"), wrap=True)
    for run in runs:
        page.line("    ", (run.run, "bold"), f"  {run.flow} v{run.version}", *_told(run, now))
        for told in _left_off(project, run):
            page.line((f"      {told}", "yellow"), whole=True)


def _left_off(project: Project, run: RunSummary) -> list[str]:
    """Return a line for each wait whose answer the run has not taken yet."""
    if not run.waits:
        return []
    state = project.state(run.run)
    told = [(wait.label, left_off(project, state, wait)) for wait in state.open_waits]
    return [f"{label} {text}" for label, text in told if text]


def _told(run: RunSummary, now: int) -> list[Span]:
    told: list[Span] = [(f"  {', '.join(run.waits)}", "yellow")] if run.waits else []
    if run.wakes:
        told.append((f"  {sleeps(run.wakes, now)}", "yellow"))
    if run.given_up:
        told.append(("  given up by workers", "red"))
    told.append((f"  {age(run.ended or run.started, now)}", "dim"))
    if run.error:
        told.append((f"  {one_line(run.error)}", "red"))
    return told
