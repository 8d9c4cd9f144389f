"""Progress of a run on stderr: a live list of calls on a terminal, one line per call elsewhere.

Owns: what is on the screen while a run executes. Events come from any thread. rich is imported only where there is a
terminal to draw on; no text is ever parsed as its markup.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from kitaru.cli.events import MAX_NAMED, REUSED, Lines, call_spans, lines, write_event
from kitaru.cli.page import Page, Span, has_colour
from kitaru.cli.text import clean
from kitaru.runtime.events import MODEL_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType
    from rich.text import Text

    from kitaru.runtime.events import Event


MAX_TAIL = 60
"""Characters of what a model is writing."""

MAX_SHOWN = 8
"""Calls in flight that are drawn; of others only the number."""


@contextmanager
def watching(*, quiet: bool, events: bool) -> Iterator[Callable[[Event], None]]:
    """Yield the observer that shows a run while it executes.

    Args:
        quiet: show nothing.
        events: print JSON lines on stdout instead.
    """
    stream = sys.stderr  # while a run executes, sys.stderr belongs to the capture of what user code prints
    if events:
        out = sys.stdout
        yield lambda event: write_event(event, out)
    elif quiet:
        yield lambda event: None
    elif has_colour(stream):
        with _Live(stream) as live:
            yield live
    else:
        plain = _Plain(stream)
        yield plain
        plain.finish()


def _lines(event: Event, printed: Lines) -> list[list[Span]]:
    """Return the lines that an event completes; a call that is over has no more to say."""
    if event.kind == "output":
        return printed.add(event.data)
    ended = printed.rest(str(event.data["call"])) if event.kind == "call" else []
    return [*ended, *lines(event)]


class _Plain:
    """One line per event."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._printed = Lines()

    def __call__(self, event: Event) -> None:
        with self._lock:
            for line in _lines(event, self._printed):
                self._write(line)

    def finish(self) -> None:
        with self._lock:
            for line in self._printed.rest():
                self._write(line)

    def _write(self, line: list[Span]) -> None:
        if line:
            page = Page(self._stream)
            page.line(*line, wrap=True)
            page.write()
            self._stream.flush()


@dataclass(slots=True)
class _Flight:
    """A call in flight as it is drawn; `told` is what it said of its progress."""

    label: str
    spinner: Any
    began: float
    told: str = ""


class _Live:
    """Finished calls scroll by; those in flight stay below, each with a spinner and its time."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._lock = threading.RLock()
        self._flying: dict[int, _Flight] = {}
        self._drawn: list[_Flight] = []
        self._reused: list[str] = []
        self._printed = Lines()
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=10,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> _Live:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._flush_reused()
            self._drawn = []
            for line in self._printed.rest():
                self._say(line)
        self._live.stop()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if event.kind == "begin":
                self._begin(event.data)
            elif event.kind == "call":
                self._call(event.data)
            elif event.kind == "progress" and event.data["order"] in self._flying:
                self._flying[event.data["order"]].told = clean(event.data["text"])
            else:
                self._flush_reused()
                if event.kind == "output" and event.data["stream"] == MODEL_TEXT:
                    self._write_tail(event.data)
                for line in _lines(event, self._printed):
                    self._say(line)

    def _begin(self, data: dict[str, Any]) -> None:
        from rich.spinner import Spinner

        began = self._console.get_time()  # not the spinner's own start: measuring a column resets that
        self._flying[data["order"]] = _Flight(clean(str(data["call"])), Spinner("dots", style="cyan"), began)
        self._drawn = list(self._flying.values())

    def _call(self, data: dict[str, Any]) -> None:
        if self._flying.pop(data.get("order", 0), None):
            self._drawn = list(self._flying.values())
        for line in self._printed.rest(str(data["call"])):
            self._say(line)
        if data.get("how") in REUSED and not any(data.get(mark) for mark in ("error", "stale", "drift", "reused")):
            self._reused.append(str(data.get("call", "")))
            return
        self._flush_reused()
        self._say(call_spans(data))

    def _write_tail(self, data: dict[str, Any]) -> None:
        """Draw the end of what a model is writing beside its call: whole lines scroll by as any output."""
        label = clean(str(data["call"]))
        for flight in self._flying.values():
            if flight.label == label:
                flight.told = clean((flight.told + data["text"]).rsplit("\n", 1)[-1])[-MAX_TAIL:]

    def _flush_reused(self) -> None:
        if not self._reused:
            return
        more = len(self._reused) - MAX_NAMED
        named = ", ".join(self._reused[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
        self._reused.clear()
        self._say(["  ", ("= ", "dim"), named, ("  reused", "dim")])

    def _say(self, line: list[Span]) -> None:
        if line:
            self._console.print(_text(line))

    def _draw(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        # no lock here: rich draws holding its own, and a thread that prints takes ours first, then rich's
        flying = self._drawn
        grid = Table.grid(padding=(0, 1))
        now = self._console.get_time()
        for flight in flying[:MAX_SHOWN]:
            label = f"{flight.label}  {flight.told}" if flight.told else flight.label
            elapsed = f"{max(now - flight.began, 0):.1f} s"
            grid.add_row(
                " ", flight.spinner, Text(label, overflow="ellipsis", no_wrap=True), Text(elapsed, style="dim")
            )
        if len(flying) > MAX_SHOWN:
            grid.add_row(" ", "", Text(f"and {len(flying) - MAX_SHOWN} more in flight", style="dim"), "")
        return grid


def _text(line: list[Span]) -> Text:
    from rich.text import Text

    parts = [(span, "") if isinstance(span, str) else span for span in line]
    return Text.assemble(*[(clean(text), style) for text, style in parts], overflow="fold")
