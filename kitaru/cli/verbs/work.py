"""`kitaru work`.

Begun is what was [queued](queue.md) and what [schedules](schedule.md) call for, the highest priority first, within the
limits of `[flows.NAME]` in `config.toml`: [queue and schedules](../queue.md) tells how.

Carried on are runs that were answered, whose deadline has passed or whose sleep is over, and those that somebody asked
to end; also those whose process is gone, if a worker began them, or with `--interrupted`. Each is carried on by `kitaru
resume` in a process of its own, with the code as it is then. Several workers may share a folder: one of them wins a
run. What comes no further (its code cannot be imported, say) is tried again later and later, up to five minutes. A run
whose process died five times in a row before anything more was recorded is [given up](../queue.md#workers).

The first SIGTERM or Ctrl-C has it take up nothing more and end when what is at work has ended; a second one stops that
as well, to be resumed. `--once` ends with status 0 when there is nothing left to do, and is for cron.

With `--remote NAME` it works for all who share a remote, side by side with others that do, on other machines: it pulls
what is new, claims what can be carried on, carries it on with the code that was recorded, and pushes it at once. Code
that came from elsewhere must be trusted here ([trust](trust.md)); a remote that does not answer is asked again later
and later. Without `--remote`, what is known to be queued on one is left to others. [Teams](../team.md#workers) tells
more.

## JSON

`-o json` prints one JSON object a line: `event` (`start` or `end`), `run`, `flow`, `why` (`answered`, `deadline`,
`slept`, `cancelled`, `interrupted`, `queued`, `scheduled`); of `end` also `status` (how the run stands now), `code`
(exit status of the process that carried it; 7 where another worker was faster), `took_us`, and where it came no further
`again_us` and `told` (what it wrote last).
Beside these, with `run` (or null), `text` and `hint`: `given-up`, once of each run that is left alone; `pulled`,
`pushed`, `claimed`, `diverged`, `untrusted` and `trouble` with `--remote`, and `left` without it, once of each remote
on which something is queued.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli import complete
from kitaru.cli.events import write_json_line
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, status_span
from kitaru.cli.text import duration, one_line
from kitaru.errors import RunHeld

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kitaru.project import Project
    from kitaru.project.due import Due
    from kitaru.project.runners import Runners
    from kitaru.project.working import Carried, Told, Work
    from kitaru.project.working_remote import RemoteWork

_HINT = "hint: "
_WHY = {
    "answered": "was answered",
    "deadline": "has passed its deadline",
    "slept": "has slept enough",
    "cancelled": "is to be ended",
    "interrupted": "was interrupted",
    "queued": "was queued",
    "scheduled": "was scheduled",
}


def work(
    *,
    once: Annotated[bool, typer.Option("--once", help="End when there is nothing left to do.")] = False,
    jobs: Annotated[int, typer.Option("-j", "--jobs", metavar="N", min=1, help="How many runs at once.")] = 1,
    interrupted: Annotated[bool, typer.Option("--interrupted", help="Resume also runs whose process is gone.")] = False,
    remote: Annotated[
        str,
        typer.Option("--remote", metavar="NAME", help="Also those of a remote.", autocompletion=complete.remotes),
    ] = "",
    poll: Annotated[
        float, typer.Option("--poll", metavar="S", min=0.1, help="Seconds between two looks at the remote: 5.")
    ] = 5.0,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Begin what is queued or scheduled, and carry on what can be carried on, as it comes."""
    from kitaru.project import Project
    from kitaru.project.due import Due
    from kitaru.project.runners import Runners
    from kitaru.project.working import Carried, Processes, Work
    from kitaru.project.working_here import LocalWork

    project = Project.open()
    runners = Runners(project, Processes(project.root))
    team = _team(project, remote, runners, poll) if remote else None
    start = team.start if team is not None else LocalWork(project, runners.start).start

    def before() -> Iterator[Told]:
        runners.let_go()
        yield from team.before() if team is not None else ()

    worker = Work(project, interrupted=interrupted, jobs=jobs, start=start, before=before)
    with _draining_on_signals(worker, runners):
        for told in worker.carry(once=once):
            if output is Output.JSON:
                write_json_line(_document(told))
            elif isinstance(told, Due):
                _say((told.run, "bold"), f"  {told.flow} {_WHY[told.why]}")
            elif isinstance(told, Carried):
                _say_ended(told, once=once)
            else:
                _say_told(told)
    if team is not None and team.trouble is not None and (once or team.unpushed):
        raise team.trouble


def _team(project: Project, remote: str, runners: Runners, poll_s: float) -> RemoteWork:
    from kitaru.project.working_remote import RemoteWork

    return RemoteWork(project, remote, runners.start, poll_s=poll_s)


@contextlib.contextmanager
def _draining_on_signals(worker: Work, runners: Runners) -> Iterator[None]:
    asked = itertools.count()  # one handler may run inside of another, before its first line

    def handle(*_: object) -> None:
        if next(asked):
            runners.interrupt()
        worker.drain()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(*spans: Any) -> None:  # noqa: ANN401 - as of Page.line
    page = Page()
    page.line(*spans, whole=True)
    page.write()
    sys.stdout.flush()


def _say_ended(carried: Carried, *, once: bool) -> None:
    """Say what came of a run; `once` takes none up again."""
    if carried.due.is_new and carried.code == RunHeld.exit_code and not carried.again_s:
        return _say((carried.due.run, "bold"), "  was begun by another worker")
    unknown = "not begun" if carried.due.is_new else "unreadable"
    line = [(carried.due.run, "bold"), "  ", status_span(carried.status or unknown)]
    _say(*line, (f"  {duration(int(carried.took_s * 1_000_000))}", "dim"))
    if carried.again_s:
        why, hints = _gist(carried.told)
        again = "" if once else f", once more in {duration(int(carried.again_s * 1_000_000))}"
        _say(f"  came no further{again}: {why or f'status {carried.code}'}")
        for hint in hints:
            _say(("  hint: ", "dim"), hint)
    return None


def _gist(told: str) -> tuple[str, list[str]]:
    """Return what says most of what a process wrote, of a traceback its last line; and the hints it ended with."""
    lines = told.rstrip().split("\n")
    said = list(itertools.takewhile(lambda line: line.startswith(_HINT), reversed(lines)))[::-1]
    hints = [one_line(line.removeprefix(_HINT)) for line in said]
    lines = lines[: len(lines) - len(hints)]
    fell = any("Traceback (most recent call last)" in line for line in lines)
    return one_line(lines[-1] if fell and lines else "\n".join(lines)), hints


def _say_told(told: Told) -> None:
    _say(*([(told.run, "bold"), "  "] if told.run else []), told.text)
    if told.hint:
        _say(("  hint: ", "dim"), told.hint)


def _document(told: Due | Carried | Told) -> dict[str, Any]:
    from kitaru.project.due import Due
    from kitaru.project.working import Told

    if isinstance(told, Told):
        return {"event": told.kind, "run": told.run or None, "text": told.text, "hint": told.hint or None}
    due = told if isinstance(told, Due) else told.due
    document: dict[str, Any] = {"run": due.run, "flow": due.flow, "why": due.why}
    if isinstance(told, Due):
        return {"event": "start", **document}
    document |= {"status": told.status, "code": told.code, "took_us": int(told.took_s * 1_000_000)}
    if told.again_s:
        document |= {"again_us": int(told.again_s * 1_000_000), "told": told.told}
    return {"event": "end", **document}
