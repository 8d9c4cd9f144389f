"""`kitaru invoke`.

The code comes from the store, never from the working tree: it runs the same where the project's files have changed, or
are gone. `FLOW@v3` names a version, `FLOW@latest` the last one recorded, `FLOW@stable` a [route](route.md). A flow
alone is its route `stable`; or its latest version, where it has no routes. Where it has others only, which one is meant
must be said.

## Inputs

`NAME=VALUE` words and `--input` as of [run](run.md#inputs), read and checked by the JSON schema that was recorded with
the version, before any of its code is loaded: what is unknown, missing or wrong starts nothing. `kitaru flow show
FLOW@v3 -o json` prints that schema.

## What the run records

`kitaru show` tells what was typed, the version, and why it was that one: the route, the number of the entry of its log
that decided, and its weights. `--key` starts the run once, as of [run](run.md#once-for-a-key); of a route with weights
it also decides the version, always the same for one key. `kitaru resume` and `kitaru answer` go on with the recorded
code.

## Where it executes

What is installed here and is not as the version recorded it is told in a line, and recorded. `--env recorded` executes
the run on what was recorded instead: an environment that [uv](https://docs.astral.sh/uv/) builds of those versions,
once, below `.kitaru/cache/environments`. Where it cannot be built, nothing is started.

`--detach` executes it in a process of its own, prints its id as soon as it has begun, and ends with status 0; `kitaru
logs -f` follows it. `--queue` leaves it to a [worker](work.md): its id, which will be the run's, is printed; the
version is chosen when it starts. `--priority` and `--not-before` (a span such as `2h`, or a time) say when. `--wait`
with either tells the id on stderr, waits until the run has come to its end or to a stop, and tells as if it had been
executed here; Ctrl-C ends only the waiting.

## JSON and events

As of [run](run.md#json). There is one more event, `invoked`: `target`, `version` (`n`, `id`), `why` (`named`, `latest`,
`route` or `weight`) and, where a route decided, `route`, `entry`, `moved` (when that entry was made), `weights` (lists
of id, number, weight) and `point`;
`differs` (lists of name, recorded and present version). `--detach` and `--queue` without `--wait` print `run`,
`target`, and `queued` (whether a worker is to begin it).
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli import complete
from kitaru.cli.carry import carry
from kitaru.cli.groups import Limits, Manner, spread
from kitaru.cli.inputs import json_object, pairs
from kitaru.cli.options import Output, TagOpt
from kitaru.cli.other_python import become, handed_run
from kitaru.cli.page import Page, write_json
from kitaru.cli.text import since, span
from kitaru.errors import RunInterrupted, UsageError
from kitaru.model.ids import new_run_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kitaru.project import Project


class Env(StrEnum):
    """What a run executes on."""

    CURRENT = "current"
    RECORDED = "recorded"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be invoked, as `Project.invoke` takes it, and how it is shown.

    Attributes:
        given: what `invoke` and `enqueue` take alike.
        limits: of the run, which what is queued does not have.
        wait: of what executes elsewhere, tell the end.
    """

    project: Project
    target: str
    inputs: Mapping[str, str]
    given: Mapping[str, Any]
    limits: Mapping[str, Any]
    manner: Manner
    wait: bool


@spread
def invoke(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FLOW[@ROUTE]", help="What to start: agent@stable, agent@v3.", autocompletion=complete.invocable
        ),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="Inputs, read by the recorded schema."),
    ] = None,
    *,
    input_file: Annotated[
        str | None, typer.Option("--input", metavar="FILE.json|-", help="Inputs from a JSON object, or from stdin.")
    ] = None,
    key: Annotated[
        str, typer.Option("--key", metavar="KEY", help="Start the run once for this key; show the one there is.")
    ] = "",
    tag: TagOpt = [],  # noqa: B006 - typer copies defaults, and shows None as a value
    limits: Limits,
    env: Annotated[
        Env,
        typer.Option("--env", metavar="current|recorded", help="Execute it on what is installed, or was recorded."),
    ] = Env.CURRENT,
    detach: Annotated[bool, typer.Option("--detach", help="Execute it in a process of its own; print its id.")] = False,
    queue: Annotated[bool, typer.Option("--queue", help="Leave it to a worker; print its id.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="With --detach or --queue: wait for its end, and tell it.")
    ] = False,
    priority: Annotated[
        int, typer.Option("--priority", metavar="N", help="In the queue: the higher, the earlier.")
    ] = 0,
    not_before: Annotated[
        str | None, typer.Option("--not-before", metavar="SPAN|TIME", help="In the queue: not before then, or so long.")
    ] = None,
    manner: Manner,
) -> None:
    """Start a recorded version of a flow by its name, without its source.

    Its calls are shown and its questions asked as by `kitaru run`.
    """
    from kitaru.project import Project

    typed = pairs(inputs or [])
    project = Project.open()
    documents = json_object(input_file) if input_file else {}
    given: dict[str, Any] = {"text": True, "documents": documents, "key": key, "tags": tag}
    given["env"] = str(env) if env is Env.RECORDED else ""
    asked = _Asked(project, target, typed, given, limits.given(), manner, wait)
    _check_fits(asked, queue=queue, detach=detach, timed=bool(priority) or not_before is not None)
    if queue:
        return _queue(asked, priority, not_before)
    if detach:
        return _detach(asked)
    run = handed_run()
    if env is Env.RECORDED:
        words = _words({"--input": input_file, "--key": key, **limits.typed()}, tag, manner)
        run = _on_recorded(asked, [*words, "--", target, *(inputs or [])], run)
    return carry(
        project,
        lambda observer: project.invoke(
            target, typed, **given, **asked.limits, run=run, observer=observer, foreground=True
        ),
        manner,
    )


def _check_fits(asked: _Asked, *, queue: bool, detach: bool, timed: bool) -> None:
    """Refuse options that do not go together; `timed` are those that say when something queued may begin."""
    if queue and (detach or any(limit is not None for limit in asked.limits.values())):
        raise UsageError("--queue goes with neither --detach nor limits of the run", hint="leave them out")
    if timed and not queue:
        raise UsageError("--priority and --not-before are for what is queued", hint="add --queue")
    if asked.wait and not (queue or detach):
        raise UsageError("--wait is for what is queued or detached", hint="leave it out: this command waits by itself")


def _queue(asked: _Asked, priority: int, not_before: str | None) -> None:
    """Leave the run to a worker."""
    moment = _moment(not_before, asked.project)
    found = asked.project.enqueue(asked.target, asked.inputs, **asked.given, priority=priority, not_before=moment)
    _leave(asked, found.run, queued=True)


def _detach(asked: _Asked) -> None:
    """Start the run in a process of its own; one that was there already, for the same key, is told as it stands."""
    handle = asked.project.invoke(asked.target, asked.inputs, **asked.given, **asked.limits, detach=True)
    if handle.outcome is not None:
        return carry(asked.project, lambda _: handle, asked.manner)
    return _leave(asked, handle.exec_id, queued=False)


def _on_recorded(asked: _Asked, words: Sequence[str], run: str) -> str:
    """Go on in the Python that the version was recorded with; where this is it, return the id that the run gets.

    Args:
        words: this command, as it would be typed there.
        run: an id that was chosen before, or empty.
    """
    project, documents, key = asked.project, asked.given["documents"], asked.given["key"]
    run = run or new_run_id(project.services.random_bytes)
    project.check_inputs(asked.target, asked.inputs, text=True, documents=documents, key=key or run)
    environment = project.environment_for(asked.target, key or run)
    if not environment.is_this:
        become(environment.build(project.root), words, run, documents)
    return run


def _words(options: Mapping[str, object], tags: Sequence[str], manner: Manner) -> list[str]:
    """Return the options of this command as they would be typed."""
    words = ["invoke", "--env", str(Env.RECORDED), "--output", str(manner.output)]
    words += [word for name, value in options.items() if value not in (None, "") for word in (name, str(value))]
    words += [word for tag in tags for word in ("--tag", tag)]
    flags = {"--quiet": manner.quiet, "--events": manner.events, "--no-input": manner.no_input}
    return [*words, *(flag for flag, given in flags.items() if given)]


def _moment(text: str | None, project: Project) -> int | None:
    """Return the time that a span from now, or a time, stands for, in microseconds since 1970 UTC."""
    if text is None:
        return None
    now = project.services.clock_us()
    with contextlib.suppress(UsageError):
        return now + span(text)
    return since(text, now)


def _wait(asked: _Asked, run: str, *, queued: bool) -> None:
    """Wait for a run that another process executes or is to begin; say which, also when the waiting is cut short."""
    project = asked.project
    try:
        if not asked.manner.quiet and (not queued or project.invocation(run).is_pending):
            page = Page(sys.stderr)
            told = f"queued {run}; kitaru work begins it" if queued else f"run {run} has begun; kitaru logs -f {run}"
            page.line(("note: ", "yellow"), told, whole=True)
            page.write()
        project.await_run(run)
    except KeyboardInterrupt:
        if queued and project.invocation(run).is_pending:
            raise RunInterrupted(f"interrupted; {run} is still queued", hint=f"kitaru queue show {run}") from None
        raise RunInterrupted(f"interrupted; run {run} goes on", hint=f"kitaru log {run}") from None


def _leave(asked: _Asked, run: str, *, queued: bool) -> None:
    """Tell the id of a run that another process executes or is to begin; or wait until it is over."""
    project, manner = asked.project, asked.manner
    if asked.wait:
        _wait(asked, run, queued=queued)
        return carry(project, lambda _: project.follow_up(run), manner)
    if manner.output is Output.JSON or manner.events:
        return write_json({"run": run, "target": asked.target, "queued": queued})
    sys.stdout.write(f"{run}\n")
    if not manner.quiet:
        page = Page(sys.stderr)
        follow = "kitaru work" if queued else f"kitaru logs -f {run}"
        page.line(("hint: ", ""), follow, whole=True)
        page.write()
    return None
