"""Answers that are given but not yet written: each can be taken back until its time has come.

Owns: the countdown, and what became of the answers given since the inbox was opened. Pure; the time is told to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kitaru.text import clean, clip
from kitaru.tui.fields import label_of

if TYPE_CHECKING:
    from kitaru.project.questions import Question

UNDO_S = 5.0
MAX_VALUE = 30
OVER = frozenset({"completed", "failed", "cancelled", "waiting"})
"""How a run stands that need not be looked at any more: its answer was taken, and it goes on no further for now."""


@dataclass(eq=False)
class Pending:
    """An answer on its way.

    Attributes:
        due_us: when it is written, microseconds since 1970 UTC.
        is_rejection: the run is to end there, instead.
        is_writing: it is being written, and cannot be taken back.
    """

    question: Question
    value: Any
    note: str
    due_us: int
    is_rejection: bool = False
    is_writing: bool = False

    def left_s(self, now_us: int) -> int:
        """Return how many seconds are left, rounded up."""
        return max(0, -(-(self.due_us - now_us) // 1_000_000))

    @property
    def told(self) -> str:
        """The answer on a line."""
        return "reject" if self.is_rejection else answer_told(self.value)


@dataclass(eq=False)
class Session:
    """The answers of one session.

    Attributes:
        pending: those not yet written, oldest first.
        sent: what was answered, by the question's key.
        statuses: how the runs stand that were carried on.
    """

    undo_s: float = UNDO_S
    pending: list[Pending] = field(default_factory=list)
    sent: dict[tuple[str, str], Pending] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)

    def give(
        self, question: Question, value: object, note: str, now_us: int, *, is_rejection: bool = False
    ) -> Pending | None:
        """Begin to answer a question, or to reject its run; None where it is being answered already."""
        if self.find(question) is not None or question.key in self.sent:
            return None
        made = Pending(question, value, note, now_us + int(self.undo_s * 1_000_000), is_rejection)
        self.pending.append(made)
        return made

    def find(self, question: Question) -> Pending | None:
        """Return the answer to a question that is on its way, if one is."""
        return next((p for p in self.pending if p.question.key == question.key), None)

    @property
    def has_undo(self) -> bool:
        """Whether there is an answer that can be taken back."""
        return any(not pending.is_writing for pending in self.pending)

    def undo(self) -> Pending | None:
        """Take back the latest answer that can be, and return it."""
        found = next((p for p in reversed(self.pending) if not p.is_writing), None)
        if found is not None:
            self.pending.remove(found)
        return found

    def due(self, now_us: int) -> list[Pending]:
        """Return the answers whose time has come."""
        return [p for p in self.pending if not p.is_writing and p.due_us <= now_us]

    def written(self, pending: Pending) -> None:
        """Note that an answer is recorded."""
        self.pending.remove(pending)
        self.sent[pending.question.key] = pending
        self.statuses[pending.question.run] = "resuming"

    def failed(self, pending: Pending) -> None:
        """Note that an answer could not be recorded."""
        self.pending.remove(pending)

    @property
    def followed(self) -> list[str]:
        """The runs that are looked at until they stop."""
        return [run for run, status in self.statuses.items() if status not in OVER]

    def told(self, now_us: int) -> str:
        """Return what is on its way and what became of the latest answer, on a line."""
        if self.pending:
            last = self.pending[-1]
            more = f" and {len(self.pending) - 1} more" if len(self.pending) > 1 else ""
            when = "now" if last.is_writing else f"in {last.left_s(now_us)} s · u takes it back"
            return f"{last.question.wait} of {last.question.run} = {last.told}{more} · written {when}"
        if self.sent:
            last = next(reversed(self.sent.values()))
            status = self.statuses.get(last.question.run, "")
            return f"{last.question.wait} of {last.question.run} = {last.told} · run {status}"
        return ""


def answer_told(value: object) -> str:
    """Return an answer on a line."""
    words = {True: "yes", False: "no"}
    return words[value] if isinstance(value, bool) else clip(clean(label_of(value)), MAX_VALUE)
