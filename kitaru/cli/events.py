"""What an observer is told, as lines of JSON and as lines of text: `--events`, and progress off a terminal.

Owns: the wording of progress. Knows nothing of terminals.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import TYPE_CHECKING, Any, TextIO

from kitaru.cli.invoked import differs_line
from kitaru.cli.text import clean, duration, error_name, one_line
from kitaru.model.spending import ModelCall, dollars, spent

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.cli.page import Span
    from kitaru.runtime.events import Event

REUSED = frozenset({"recorded", "shared", "reused"})

MAX_NAMED = 6
"""Calls that are named in one line; of others only the number."""


def write_event(event: Event, stream: TextIO) -> None:
    """Print an event as one line of JSON."""
    write_json_line({"event": event.kind, "run": event.run, **event.data}, stream)


def write_json_line(document: dict[str, Any], stream: TextIO | None = None) -> None:
    """Print one line of JSON, at once, whole, whatever other threads print; on stdout if nothing else is said."""
    out = stream or sys.stdout
    with _STDOUT:
        out.write(json.dumps(document, default=str) + "\n")
        out.flush()


_STDOUT = threading.Lock()


def spans(event: Event) -> list[Span]:
    """Return what to tell about an event, in one line; nothing for those that only matter to a live display."""
    tell = _WORDS.get(event.kind)
    return tell(event.data, event.run) if tell else []


def lines(event: Event) -> list[list[Span]]:
    """Return what to tell about an event, line by line; one line but for a difference that takes more."""
    rest = str(event.data.get("difference", "")).split("\n") if event.kind == "drift" else []
    more: list[list[Span]] = [[f"  {line}"] for line in rest] if len(rest) > 1 else []
    return [spans(event), *more]


def _run(data: dict[str, Any], run: str) -> list[Span]:
    verb = "resumes" if data.get("resumed") else f"replays {data['source']}" if data.get("source") else "runs"
    version = f" v{data['version']}" if data.get("version") else ""
    return [("run ", ""), (run, "bold"), f" {verb} {data.get('flow', '')}{version}"]


def _code(data: dict[str, Any], _run: str) -> list[Span]:
    if data.get("executes") == "recorded":
        return [("note: ", "yellow"), f"executes the recorded code, v{data.get('recorded')}"]
    changes = data.get("changes") or []
    if not changes:
        return []
    named = ", ".join(f"{path} {what}" for path, what in changes[:5])
    more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
    return [("note: ", "yellow"), f"the code is not what was recorded: {named}{more}"]


def _invoked(data: dict[str, Any], _run: str) -> list[Span]:
    route = f"by route {data['route']}, entry {data.get('entry')}" if data.get("route") else ""
    told = "; ".join(filter(None, [route, differs_line(data)]))
    return [("note: ", "dim"), (told, "dim")] if told else []


def _version(data: dict[str, Any], _run: str) -> list[Span]:
    return [("note: ", "dim"), (f"new flow version v{data['n']}", "dim")] if data.get("new") else []


def _note(data: dict[str, Any], _run: str) -> list[Span]:
    return [("note: ", "yellow"), str(data.get("text", ""))]


def call_spans(data: dict[str, Any]) -> list[Span]:
    """Return the line of a finished call."""
    failed, reused = data.get("error"), data.get("how") in REUSED
    mark: Span = ("✗ ", "red") if failed else ("= ", "dim") if reused else ("✓ ", "green")
    how = "pinned" if data.get("how") == "pinned" else "reused" if reused else duration(data.get("duration_us") or 0)
    if data.get("reused"):
        how += f" from {origin(data['reused'])}"
    line: list[Span] = ["  ", mark, str(data.get("call", "")), (f"  {how}", "dim")]
    if data.get("llm") and (cost := dollars(spent(ModelCall.from_json(item) for item in data["llm"]))):
        line.append((f"  {'saved ' if reused else ''}{cost}", "dim"))
    if failed:
        line.append((f"  {error_name(failed)}: {one_line(str(failed.get('message', '')))}", "red"))
    return line + _marks(data)


def origin(reused: dict[str, Any]) -> str:
    """Return the call that a result of the cache came from, as it is typed."""
    return f"{reused.get('run', '')}:{reused.get('call', '')}"


def _marks(data: dict[str, Any]) -> list[Span]:
    marks: list[Span] = []
    if data.get("stale"):
        marks.append((f"  kept although {', '.join(data['stale'])} changed", "yellow"))
    if data.get("mutated"):
        marks.append((f"  changed its argument {', '.join(data['mutated'])} in place", "yellow"))
    if data.get("drift"):
        marks.append((f"  drifted ({data['drift']})", "yellow"))
    if data.get("delay_us") is not None:
        marks.append((f"  once more in {duration(data['delay_us'])}", "yellow"))
    if data.get("overran_us"):
        marks.append((f"  {duration(data['overran_us'])} longer than its timeout", "yellow"))
    return marks


def _wait(data: dict[str, Any], _run: str) -> list[Span]:
    return ["  ", ("? ", "yellow"), str(data.get("wait", "")), f"  {one_line(str(data.get('question', '')))}"]


def _sleep(data: dict[str, Any], _run: str) -> list[Span]:
    return ["  ", ("z ", "yellow"), str(data.get("wait", "")), f"  until {data.get('until', '')}"]


def _progress(data: dict[str, Any], _run: str) -> list[Span]:
    call = str(data.get("call") or "")
    return [(f"  {call} | " if call else "  | ", "dim"), ("… ", "cyan"), str(data.get("text", ""))]


def _answer(data: dict[str, Any], _run: str) -> list[Span]:
    style = "yellow" if data.get("source") in ("default", "expired", "rejected") else "dim"
    return ["  ", ("= ", style), str(data.get("wait", "")), (f"  {settled(data)}", style)]


def settled(data: dict[str, Any]) -> str:
    """Return how a wait was settled, by the source of its answer and who gave it."""
    by = f"answered by {data['by']}" if data.get("by") else "answered"
    return _SETTLED.get(str(data.get("source")), by)


_SETTLED = {
    "time": "awake",
    "default": "its deadline has passed, answered by default",
    "expired": "its deadline has passed, nobody answered",
    "rejected": "rejected",
}


def _drift(data: dict[str, Any], _run: str) -> list[Span]:
    return [("drift: ", "yellow"), str(data.get("text", ""))]


def _unclaimed(data: dict[str, Any], _run: str) -> list[Span]:
    return [("note: ", "yellow"), f"the code no longer makes these recorded calls: {', '.join(data.get('calls', []))}"]


def _stopping(data: dict[str, Any], _run: str) -> list[Span]:
    named = data.get("calls", [])
    more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
    calls = f"{', '.join(named[:MAX_NAMED])}{more}"
    return [("note: ", "yellow"), f"stops; waits for {calls} to end (Ctrl-C does not wait)"]


_WORDS: dict[str, Callable[[dict[str, Any], str], list[Span]]] = {
    "run": _run,
    "code": _code,
    "version": _version,
    "invoked": _invoked,
    "torn": _note,
    "cache": _note,
    "call": lambda data, _run: call_spans(data),
    "wait": _wait,
    "sleep": _sleep,
    "progress": _progress,
    "answer": _answer,
    "drift": _drift,
    "unclaimed": _unclaimed,
    "stopping": _stopping,
}


class Lines:
    """Text that a run prints, cut into whole lines, each with the call that printed it."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], str] = {}

    def add(self, data: dict[str, Any]) -> list[list[Span]]:
        """Take an `output` event and return the lines it completes."""
        call, stream = str(data.get("call") or ""), str(data.get("stream", ""))
        *whole, rest = (self._open.pop((call, stream), "") + str(data.get("text", ""))).split("\n")
        if rest and stream == "log":
            whole.append(rest)
        elif rest:
            self._open[call, stream] = rest
        return [_printed(call, line) for line in whole]

    def rest(self, call: str | None = None) -> list[list[Span]]:
        """Return what never got its line end: of a call that is over, or of all."""
        ended = [key for key in self._open if call in (None, key[0])]
        return [_printed(key[0], self._open.pop(key)) for key in ended]


def _printed(call: str, line: str) -> list[Span]:
    return [(f"  {call} | " if call else "  | ", "dim"), clean(line.rstrip("\r").replace("\t", "    "))]
