"""What a run's records add up to: its status, and views of its calls and waits.

Owns: statuses, and what a state is made of; `model.folding` makes it. Pure: it knows no disk, and whether a process is
alive is told to it (`live_status`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from kitaru.model.ids import display_call
from kitaru.model.records import SLEEP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.model.records import Answer, Begun, Call, End, Note, Resumed, Start, Stored, Wait


class Status(StrEnum):
    """Where a run stands. `interrupted` is never recorded: it is a run that is not over and that nobody executes."""

    RUNNING = "running"
    WAITING = "waiting"
    INTERRUPTED = "interrupted"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


OVER = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
"""The statuses that an `end` may record."""


@dataclass(slots=True, eq=False)
class CallView:
    """One call of a run, with all its attempts.

    Attributes:
        record: the latest finished attempt, or None while the first is in flight.
        id: id of that record.
        attempts: every finished attempt, oldest first.
        begun: the note that it is in flight, or None.
        run: the run whose record it is: another one's where a branch shares it.
        stale: arguments that differed when a replay kept the call on purpose.
        drift: policy by which it was executed (`new`) or its record taken (`reuse`) although it had drifted, or empty.
    """

    name: str
    order: int
    occurrence: int
    scope: str
    run: str
    record: Call | None = None
    id: str = ""
    attempts: list[Stored] = field(default_factory=list)
    begun: Begun | None = None
    stale: list[str] = field(default_factory=list)
    drift: str = ""

    @property
    def label(self) -> str:
        """The call as shown and typed: `fetch`, `fetch#2`."""
        return display_call(self.name, self.occurrence)


@dataclass(slots=True, eq=False)
class WaitView:
    """One wait of a run, and its answer where it has one.

    Attributes:
        closed: the code no longer asks it.
        ended: how the run ended while it was open; empty where it was not, or the run was taken up again.
        stale: a replay kept its answer on purpose although its question had changed.
    """

    record: Wait
    id: str
    run: str
    answer: Answer | None = None
    closed: bool = False
    stale: bool = False
    ended: str = ""

    @property
    def label(self) -> str:
        """The wait as shown and typed: `approve`, `approve#2`."""
        return display_call(self.record.name, self.record.occurrence)

    @property
    def is_open(self) -> bool:
        """Whether an answer is still asked for."""
        return self.answer is None and not self.closed and not self.ended

    @property
    def is_sleep(self) -> bool:
        """Whether it waits for its deadline alone, and asks nobody."""
        return self.record.name == SLEEP


@dataclass(slots=True, eq=False)
class RunState:
    """All that a run's records add up to.

    Attributes:
        calls, waits: keyed by order, those shared with the source included.
        sequence: the orders of calls and waits, in call order. It differs from their numbers where changed code put a
            new call between recorded ones, and never depends on which of several calls at once finished first.
        after: by order, which one a call or wait was put behind by changed code.
        head: id of the last record.
        cut: for a branch, the order of the source's first call or wait that it does not share, once that is decided.
        executed: what began the last execution that recorded a call, a wait or an end, with the version and the kind of
            code it executed; one that stopped before it came to anything does not count.
        doomed: ids of failed calls' records that ended the run, or that another attempt is to follow: a resume executes
            these again.
        refused: digests of waits whose answer did not fit.
        unmade: places that were kept for calls which then were not made: name and occurrence to the scope of the call.
        barren: executions in a row, up to the last, that recorded no call, wait, answer or end, and did not stop in an
            orderly way either.
        numbers: by id, the numbers that its versions have now, where they are known: they may be others than recorded.
    """

    run: str
    start: Start
    status: Status = Status.RUNNING
    calls: dict[int, CallView] = field(default_factory=dict)
    waits: dict[int, WaitView] = field(default_factory=dict)
    sequence: list[int] = field(default_factory=list)
    after: dict[int, int] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    resumed: list[Resumed] = field(default_factory=list)
    end: End | None = None
    head: str | None = None
    cut: int | None = None
    doomed: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    unmade: dict[tuple[str, int], str] = field(default_factory=dict)
    barren: int = 0
    numbers: dict[str, int] = field(default_factory=dict)
    executed: Start | Resumed = field(init=False)

    def __post_init__(self) -> None:
        self.executed = self.start

    @property
    def ordered_calls(self) -> list[CallView]:
        """The calls in call order."""
        return [self.calls[o] for o in self.sequence if o in self.calls]

    @property
    def ordered_waits(self) -> list[WaitView]:
        """The waits in call order."""
        return [self.waits[o] for o in self.sequence if o in self.waits]

    @property
    def open_waits(self) -> list[WaitView]:
        """What the run waits for, questions and sleeps, in call order; nothing once the run is over."""
        return [w for w in self.ordered_waits if w.is_open]

    @property
    def open_questions(self) -> list[WaitView]:
        """Those of the open waits that somebody is to answer."""
        return [w for w in self.open_waits if not w.is_sleep]

    @property
    def wakes(self) -> int:
        """When the first open sleep is over, microseconds since 1970 UTC; 0 where nothing sleeps."""
        return min((w.record.deadline or 0 for w in self.open_waits if w.is_sleep), default=0)

    @property
    def due(self) -> int:
        """When the first deadline of an open question passes, microseconds since 1970 UTC; 0 where none has one."""
        return min((w.record.deadline for w in self.open_questions if w.record.deadline), default=0)

    @property
    def version(self) -> dict[str, Any]:
        """The flow version that a call, a wait or an end was last recorded under: `{"n", "id"}`."""
        return self.numbered(self.executed.version)

    def numbered(self, version: Mapping[str, Any]) -> dict[str, Any]:
        """Return a version that a record of this run names, with the number that it has now."""
        number = self.numbers.get(str(version.get("id")))
        return dict(version) if number is None else {**version, "n": number}


def live_status(recorded: Status, *, held: bool) -> Status:
    """Return the status to show: a run that is not over and that no process executes is interrupted."""
    return Status.INTERRUPTED if recorded is Status.RUNNING and not held else recorded
