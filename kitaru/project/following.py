"""What a run did and wrote, line by line: from its records, and while it executes also from its calls in flight.

Owns: the lines, their order, and following a run from another process with nothing but the folder. What calls in flight
write is believed only until their records say it. Shows nothing.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError
from kitaru.model.history import OVER, RunState
from kitaru.model.ids import CallName, display_call
from kitaru.model.records import SLEEP, Answer, Begun, Call, End, Resumed, Start, Wait
from kitaru.store import layout
from kitaru.store.live import LiveReader, path_of
from kitaru.store.states import run_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kitaru.model.records import Record, Stored
    from kitaru.store.live import Piece
    from kitaru.store.repository import Repository

LOOK_EVERY_S = 0.2
REST = 3
"""Reading the records of a long run takes its time: so many times as long a follower rests after it."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something a run did, or a line that it wrote.

    Attributes:
        at: microseconds since 1970 UTC.
        kind: `start`, `begin`, `output`, `end` (of a call), `wait`, `sleep`, `answer`, `resumed`, `over`, or `lost`
            for output that was written and is known no more.
        call: the call or wait, as typed; empty for what the run did itself.
        stream: of output: `stdout`, `stderr`, `log` or `progress`.
        text: of output, with its line end if it has one; what was asked, how the run ended.
        data: of a finished call `how`, `duration_us`, `error`; of a sleep `until`.
    """

    at: int
    kind: str
    call: str = ""
    stream: str = ""
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)


class Lines:
    """Turns the records of a run, and what its calls in flight write, into lines, each told once.

    Args:
        value: returns the value of an object of the run.
        only: the call that is wanted; None for all.
        number: returns the number that a version of a flow has now.
    """

    def __init__(
        self, value: Callable[[str], object], only: CallName | None, number: Callable[[str, dict[str, Any]], int]
    ) -> None:
        self._value, self._only, self._number = value, only, number
        self._known = 0
        self._begun: set[tuple[int, int]] = set()
        self._over: set[tuple[int, int]] = set()
        self._shown: defaultdict[tuple[int, int], dict[str, int]] = defaultdict(dict)
        self._waits: dict[str, str] = {}

    def recorded(self, records: list[Stored]) -> Iterator[Line]:
        """Yield what records tell that were not told before; `records` are all of the run."""
        for stored in records[self._known :]:
            self._known += 1
            yield from self._record(stored)

    def live(self, piece: Piece) -> Iterator[Line]:
        """Yield what a piece of output of a call in flight tells."""
        attempt = piece.order, piece.began
        if attempt in self._over or not self._is_wanted(piece.call):
            return
        yield from self._begin(attempt, piece.call)
        shown = self._shown[attempt]
        before = shown.get(piece.stream, 0)
        if piece.start > before:
            yield Line(piece.at, "lost", piece.call, piece.stream)
        shown[piece.stream] = max(before, piece.start + len(piece.text))
        text = piece.text[max(before - piece.start, 0) :]
        if text:
            yield Line(piece.at, "output", piece.call, piece.stream, text)

    def _record(self, stored: Stored) -> Iterator[Line]:
        record = stored.record
        match record:
            case Call():
                if self._is_wanted(display_call(record.name, record.occurrence)):
                    yield from self._call(record)
            case Begun():
                label = display_call(record.name, record.occurrence)
                if self._is_wanted(label):
                    yield from self._begin((record.order, record.began), label)
            case Wait():
                self._waits[stored.id] = display_call(record.name, record.occurrence)
        if self._only is None:
            line = _of_run(record, self._waits, self._number)
            if line is not None:
                yield line

    def _is_wanted(self, label: str) -> bool:
        wanted = self._only
        if wanted is None:
            return True
        name, _, nth = label.partition("#")
        return name == wanted.name and wanted.nth in (None, 0, int(nth) if nth.isdecimal() else 1)

    def _begin(self, attempt: tuple[int, int], label: str) -> Iterator[Line]:
        if attempt not in self._begun:
            self._begun.add(attempt)
            yield Line(attempt[1], "begin", label)

    def _call(self, record: Call) -> Iterator[Line]:
        attempt, label = (record.order, record.began), display_call(record.name, record.occurrence)
        yield from self._begin(attempt, label)
        self._over.add(attempt)
        yield from self._output(record, label, self._shown.pop(attempt, {}))
        error = record.error and {"type": record.error.get("type"), "message": record.error.get("message")}
        yield Line(
            record.at,
            "end",
            label,
            data={"how": record.how, "duration_us": record.at - record.began, "error": error},
        )

    def _output(self, record: Call, label: str, shown: dict[str, int]) -> Iterator[Line]:
        """Yield what a call wrote, less what was told while it was in flight."""
        told: dict[str, int] = defaultdict(int)
        for after, stream, text in _pieces(self._value, record.logs):
            skipped = min(max(shown.get(stream, 0) - told[stream], 0), len(text))
            told[stream] += len(text)
            if text[skipped:]:
                yield Line(record.began + after, "output", label, stream, text[skipped:])


def _pieces(value: Callable[[str], object], logs: str | None) -> Iterator[tuple[int, str, str]]:
    """Yield the recorded output of a call, as far as it has the right form."""
    try:
        found = value(logs) if logs is not None else ()
    except KitaruError as error:
        found = ((0, "log", f"{error.message}\n"),)
    for piece in found if isinstance(found, list | tuple) else ():
        match piece:
            case (int() as after, str() as stream, str() as text):
                yield after, stream, text


def _of_run(record: Record, waits: dict[str, str], number: Callable[[str, dict[str, Any]], int]) -> Line | None:
    """Return what a record tells of the run itself, if anything."""
    line: Line | None = None
    match record:
        case Start():
            line = Line(record.at, "start", text=f"{record.flow} v{number(record.flow, record.version)}")
        case Wait():
            label = display_call(record.name, record.occurrence)
            line = Line(record.at, "wait", label, text=record.question)
            if record.name == SLEEP:
                line = Line(record.at, "sleep", label, data={"until": record.deadline})
        case Answer():
            data = {"by": record.by, "source": record.source}
            line = Line(record.at, "answer", waits.get(record.wait, ""), data=data)
        case Resumed():
            line = Line(record.at, "resumed", text=str(record.origin.get("user", "")))
        case End():
            message = str((record.error or {}).get("message", ""))
            line = Line(record.at, "over", text=record.status, data={"message": message})
    return line


class Follower:
    """Follows one run until nobody executes it any more.

    Args:
        only: the call that is wanted; None for all.
        wait: go on while the run waits, until it is over.

    Attributes:
        state: the run as it was read last.
    """

    def __init__(
        self,
        repo: Repository,
        run: str,
        value: Callable[[str], object],
        *,
        only: CallName | None = None,
        wait: bool = False,
        rest: Callable[[float], object] = time.sleep,
    ) -> None:
        self._repo, self._run, self._wait, self._rest = repo, run, wait, rest
        self._lines = Lines(value, only, repo.version_number)
        self._live = LiveReader(path_of(repo.blobs, run))
        self._stamp: object = None
        self._settled = False
        self._took = 0.0
        self.state: RunState

    def lines(self) -> Iterator[list[Line]]:
        """Yield lines as they come, those of one look together; ends when the run has come to an end or a stop."""
        while True:
            held = self._repo.is_held(self._run)  # before the records: what they say is then no older than this
            yield self._look()
            if not held and self._is_at_rest():
                yield self._look()
                return
            self._rest(max(LOOK_EVERY_S, REST * self._took))

    def _is_at_rest(self) -> bool:
        return self.state.status in OVER or not self._wait

    def _look(self) -> list[Line]:
        found = [line for piece in self._live.read() for line in self._lines.live(piece)]
        if self._has_changed():
            began = time.monotonic()
            records = self._repo.records(self._run)
            self.state, _ = run_state(self._repo, self._run, records)
            found += self._lines.recorded(records)
            self._took = time.monotonic() - began
        return sorted(found, key=lambda line: line.at)

    def _has_changed(self) -> bool:
        """Tell whether the run's files changed since the last look; a change is looked at twice.

        Two changes in one tick of the clock have one time, and the first look may fall between them.
        """
        blobs, stamps = self._repo.blobs, []
        for directory in (layout.open_key(self._run), layout.run_key(self._run)):
            for name in blobs.children(directory):
                try:
                    stamps.append((name, blobs.stamp(f"{directory}/{name}")))
                except KeyError:  # sealed in between
                    stamps.append((name, 0))
        changed = stamps != self._stamp
        look = changed or not self._settled
        self._stamp, self._settled = stamps, not changed
        return look


def recorded_lines(
    repo: Repository, run: str, value: Callable[[str], object], only: CallName | None, pieces: list[Piece]
) -> list[Line]:
    """Return all lines of a run as they were in time; `pieces` are of its calls in flight."""
    lines = Lines(value, only, repo.version_number)
    found = list(lines.recorded(repo.records(run)))
    found += [line for piece in pieces for line in lines.live(piece)]
    return sorted(found, key=lambda line: line.at)
