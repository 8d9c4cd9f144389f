"""`kitaru logs`.

What the run's calls printed and logged, what `kitaru.progress` told, and when calls began and ended, from the records;
of calls in flight too, where the run executes on this machine. `-f` goes on as things happen, from any terminal, until
the run is over, or waits or sleeps with no process (then it says for what; `--wait` goes on through that). It ends with
status 0 however the run came out. With `[CALL]` only that call is shown: `fetch` means each call of that name.

What calls in flight write lies in `.kitaru/cache/live/` while they execute. It is never synced, and if that directory
is deleted, nothing is lost but the view.

## JSON

`-o json` prints `run`, `status` and `lines`. With `-f` each line is printed by itself, as one JSON object. A line has
`at`, `kind` (`start`, `begin`, `output`, `end`, `wait`, `sleep`, `answer`, `resumed`, `over`, or `lost` where output in
flight came too fast to be kept), `call`, `stream` (`stdout`, `stderr`, `log` or `progress`), `text`, and `data`: of
`end` `how`, `duration_us`, `error`; of `sleep` `until`; of `answer` `by`, `source`; of `over` `message`. With `-f` a
line of kind `stopped` comes last where the run is not over.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kitaru.cli import complete
from kitaru.cli.events import Lines, call_spans, settled, write_json_line
from kitaru.cli.options import Output, OutputOpt, RunArg
from kitaru.cli.page import Page, Span, write_json
from kitaru.cli.text import iso, local_time, one_line, sleeps

if TYPE_CHECKING:
    from kitaru.model.history import RunState
    from kitaru.project import Project
    from kitaru.project.following import Follower, Line


def _calls(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    found = complete.calls_of(ctx.params.get("run") or "@")
    return [(name, kind) for name, kind in found if kind != "wait" and name.startswith(incomplete)]


def logs(
    run: RunArg = "@",
    call: Annotated[
        str | None, typer.Argument(metavar="[CALL]", help="Only this call: fetch, or fetch#2.", autocompletion=_calls)
    ] = None,
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as things happen.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="With -f: go on while the run waits, until it is over.")] = False,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Show what a run's calls wrote, and follow it while it executes."""
    from kitaru.project import Project

    project = Project.open()
    if follow:
        _follow(project, project.follow(run, call, wait=wait), output)
        return
    state, lines = project.logs(run, call)
    if output is Output.JSON:
        write_json({"run": state.run, "status": str(state.status), "lines": [_document(line) for line in lines]})
        return
    shown = _Shown()
    shown.add(lines)
    shown.finish()


def _follow(project: Project, follower: Follower, output: Output) -> None:
    shown = _Shown()
    for lines in follower.lines():
        if output is Output.JSON:
            for line in lines:
                write_json_line(_document(line))
        else:
            shown.add(lines)
    stopped = _why_stopped(project, follower.state)
    if output is Output.TEXT:
        shown.finish(stopped)
    elif stopped:
        write_json_line({"at": None, "kind": "stopped", "call": "", "stream": "", "text": stopped, "data": {}})


def _why_stopped(project: Project, state: RunState) -> str:
    """Return why nothing more comes of a run that is not over; empty of one that is."""
    if state.end is not None:
        return ""
    told = [f"{wait.label}" for wait in state.open_questions]
    if told:
        return f"run {state.run} waits for {', '.join(told)}; kitaru waits"
    if state.wakes:
        return f"run {state.run} {sleeps(state.wakes, project.services.clock_us())}"
    return f"run {state.run} was interrupted; kitaru resume {state.run}"


def _document(line: Line) -> dict[str, Any]:
    data = {**line.data, "until": iso(line.data["until"])} if "until" in line.data else line.data
    return {
        "at": iso(line.at),
        "kind": line.kind,
        "call": line.call,
        "stream": line.stream,
        "text": line.text,
        "data": data,
    }


class _Shown:
    """Lines on stdout, each in one piece, whatever writes at once."""

    def __init__(self) -> None:
        self._printed = Lines()

    def add(self, lines: list[Line]) -> None:
        page = Page()
        for line in lines:
            for spans in self._spans(line):
                page.line(*spans, whole=True)
        page.write()
        sys.stdout.flush()

    def finish(self, note: str = "") -> None:
        page = Page()
        for spans in self._printed.rest():
            page.line(*spans, whole=True)
        page.write()
        sys.stdout.flush()
        if note:
            page = Page(sys.stderr)
            page.line(note, wrap=True)
            page.write()

    def _spans(self, line: Line) -> list[list[Span]]:
        if line.kind == "output":
            data = {"call": line.call, "stream": line.stream, "text": line.text.replace("\r", "\n")}
            return self._printed.add(data)
        ended = line.call if line.kind == "end" else None
        rest = self._printed.rest(ended) if line.kind in ("end", "over") else []
        return [*rest, _told(line)]


def _told(line: Line) -> list[Span]:
    if line.kind == "end":
        return call_spans({"call": line.call, **line.data})
    if line.kind == "begin":
        return ["  ", ("> ", "cyan"), line.call, (f"  {local_time(line.at)}", "dim")]
    if line.kind == "lost":
        return [(f"  {line.call} | … some output is not shown", "yellow")]
    return [(f"{local_time(line.at)}  ", "dim"), _of_run(line)]


def _of_run(line: Line) -> str:
    message = line.data.get("message")
    words = {
        "start": f"runs {line.text}",
        "resumed": f"resumed by {line.text or 'somebody'}",
        "wait": f"waits for {line.call}  {one_line(line.text)}",
        "sleep": f"{line.call}  until {local_time(line.data.get('until', 0))}",
        "answer": f"{line.call}  {settled(line.data)}",
        "over": f"{line.text}: {one_line(str(message))}" if message else line.text,
    }
    return words.get(line.kind, line.text)
