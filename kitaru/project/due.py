"""Runs that have something to go on with.

Owns: which runs a worker can take up, and why. Takes nothing up. What is queued and not begun is `due_invocations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError
from kitaru.model.history import Status
from kitaru.project.giving_up import GivingUp
from kitaru.store import layout
from kitaru.store.catalog import Catalog

if TYPE_CHECKING:
    from kitaru.model.summary import RunSummary
    from kitaru.project.project import Project

QUEUED, SCHEDULED = "queued", "scheduled"


@dataclass(frozen=True, slots=True)
class Due:
    """A run that has something to go on with.

    Attributes:
        why: `answered`, `deadline`, `slept`, `cancelled` or `interrupted`; or of one that is to be begun, `queued` or
            `scheduled`.
        token: what it has; where that is the same after a process took the run up, it came no further.
    """

    run: str
    flow: str
    why: str
    token: tuple[Any, ...]

    @property
    def is_new(self) -> bool:
        """Whether it is an invocation, whose run is to be begun."""
        return self.why in (QUEUED, SCHEDULED)


class DueRuns:
    """The runs of a project that can be taken up.

    Args:
        project: whose runs.
        interrupted: also those whose process is gone; without it only such of them as were queued.

    Attributes:
        given_up: those that had something to go on with at the last look, and are left alone all the same.
    """

    def __init__(self, project: Project, *, interrupted: bool) -> None:
        self._project, self._interrupted = project, interrupted
        self._catalog = Catalog(project.repo)
        self.giving_up = GivingUp(project.config)
        self.given_up: dict[str, RunSummary] = {}
        self._looked: dict[str, tuple[object, Due | None]] = {}
        self._parted: dict[str, str] = {}

    def forget(self, run: str) -> None:
        """Have a run read again."""
        self._looked.pop(run, None)

    def all(self) -> list[Due]:
        """Return them, those first that have waited longest."""
        now = self._project.services.clock_us()
        named = (key.split("/") for key in self._project.repo.blobs.keys(layout.PARTED))
        self._parted = {parts[2]: parts[1] for parts in named if len(parts) == 3}
        summaries = [s for s in self._catalog.unfinished() if s.status in (Status.RUNNING, Status.WAITING)]
        self._looked = {s.run: self._looked[s.run] for s in summaries if s.run in self._looked}
        found = [(due, summary) for summary in reversed(summaries) if (due := self._due(summary, now)) is not None]
        found = [(due, summary) for due, summary in found if not self._project.repo.is_held(due.run)]
        self.given_up = {s.run: s for due, s in found if due.why != "cancelled" and self.giving_up.is_given_up(s)}
        return [due for due, _ in found if due.run not in self.given_up]

    def _due(self, summary: RunSummary, now_us: int) -> Due | None:
        run, repo = summary.run, self._project.repo
        if repo.is_cancellation_there(run):
            return Due(run, summary.flow, "cancelled", ())
        if layout.run_part(run) in self._parted:
            return self._answered_anew(summary)
        if summary.status == Status.RUNNING:
            return self._cut_short(summary)
        if 0 < summary.wakes <= now_us:
            return Due(run, summary.flow, "slept", (summary.wakes,))
        if 0 < summary.due <= now_us:
            return Due(run, summary.flow, "deadline", (summary.due,))
        return (self._answered(summary) if summary.waits else None) or self._cut_short(summary)

    def _cut_short(self, summary: RunSummary) -> Due | None:
        """Return a run whose process is gone. It may wait in one branch, with others at work: its journal is open."""
        if not self._interrupted and not self._is_ours(summary.run):
            return None
        if summary.status != Status.RUNNING and not self._project.repo.blobs.children(layout.open_key(summary.run)):
            return None
        return Due(summary.run, summary.flow, "interrupted", (summary.calls, summary.asked))

    def _answered(self, summary: RunSummary) -> Due | None:
        """Return a run with an answer that it has not taken; it is read only where its answers or records changed."""
        names = tuple(sorted(self._project.repo.blobs.children(layout.answer_key(summary.run))))
        if not names:
            return None
        looked = names, summary
        known = self._looked.get(summary.run)
        if known is None or known[0] != looked:
            known = self._looked[summary.run] = looked, self._read(summary)
        return known[1]

    def _answered_anew(self, summary: RunSummary) -> Due | None:
        """Return a run that parted from another if somebody answered it since: all else is done by the other one."""
        due = self._answered(summary) if summary.waits else None
        repo = self._project.repo
        try:
            other = layout.unescape(self._parted[layout.run_part(summary.run)])
            waits = map(layout.unescape, repo.blobs.children(layout.answer_key(other)))
            copied = {answer.nonce for wait in waits if (answer := repo.answer(other, wait)) is not None}
        except (KitaruError, ValueError):
            return None
        return due if due is not None and not copied.issuperset(due.token) else None

    def _read(self, summary: RunSummary) -> Due | None:
        try:
            state = self._project.state(summary.run)
            given = [self._project.given(state, view) for view in state.open_questions]
        except KitaruError:
            return None
        nonces = tuple(answer.nonce for answer in given if answer is not None)
        return Due(summary.run, summary.flow, "answered", nonces) if nonces else None

    def _is_ours(self, run: str) -> bool:
        """Tell whether a worker began this run: nobody else looks after it."""
        return self._project.repo.blobs.exists(layout.queue_key(run))
