"""The inbox: every open question as plain data, cheap to look at again and again, and answering them.

Owns: what a list of questions, a question in full and a recent answer hold; and that an answer goes to the very
question that was read, by its digest. Shows nothing. Safe from any thread: reading is one at a time.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError, UnknownWait
from kitaru.model.history import Status
from kitaru.model.spending import model_calls, spent
from kitaru.project.questions import (
    MAX_CALLS,
    MAX_SHOWN,
    Asked,
    CallLine,
    Given,
    Question,
    Shown,
    bounded_plain,
    bounded_text,
    head_of,
    spending_of,
    usage_of,
)
from kitaru.store import layout
from kitaru.store.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kitaru.model.history import CallView, RunState, WaitView
    from kitaru.model.records import Call
    from kitaru.model.summary import RunSummary
    from kitaru.project.detached import Detached
    from kitaru.project.project import Project

NOT_CARRIED = "not carried on"


class Inbox:
    """The open questions of a project.

    Args:
        project: where they are.
        only: a revision that names one run; all runs by default.
        carry_on: starts what carries a run on without anybody waiting for it; a process of its own by default.

    Raises:
        UnknownRun, AmbiguousRevision: of `only`.
    """

    def __init__(
        self, project: Project, only: str = "", carry_on: Callable[[str], Detached | None] | None = None
    ) -> None:
        self._project = project
        self.only = project.find_run(only) if only else ""
        self._carry_on = carry_on
        self._catalog = Catalog(project.repo)
        self._known: dict[str, tuple[object, list[Question]]] = {}
        self._carriers: dict[str, Detached] = {}
        self._guard = threading.Lock()
        self.damaged = 0

    @property
    def name(self) -> str:
        """The project's name: of its directory."""
        return self._project.root.name

    def now_us(self) -> int:
        """Return the time, microseconds since 1970 UTC."""
        return self._project.services.clock_us()

    # -- the list ------------------------------------------------------------------------------------------------

    def questions(self) -> list[Question]:
        """Return the open questions that have no answer yet, oldest first; runs that did not change are not read."""
        with self._guard:
            asking = [summary for summary in self._asking() if not self.only or summary.run == self.only]
            stamps = self._stamps(asking)
            known = {summary.run: self._look(summary, stamps.get(summary.run)) for summary in asking}
            self._known = {run: found for run, found in known.items() if found[0] is not None}
            answered = set(self._project.repo.blobs.children(layout.ANSWERS))
            open_ = [q for run, (_, found) in known.items() for q in found if not self._is_given(q, run, answered)]
            return sorted(open_, key=lambda q: (q.asked, q.run, q.wait))

    def _asking(self) -> list[RunSummary]:
        summaries = self._catalog.summaries()
        self.damaged = len(self._catalog.damaged)
        return [summary for summary in summaries if summary.waits]

    def _stamps(self, summaries: Iterable[RunSummary]) -> dict[str, int]:
        """Return what changes with each thing that is recorded, of the runs that nobody executes."""
        blobs = self._project.repo.blobs
        executing = set(blobs.children(layout.OPEN))
        parts = {layout.escape(summary.run): summary.run for summary in summaries}
        stamps = blobs.stamps(layout.RUNS, [part for part in parts if part not in executing])
        return {parts[part]: stamp for part, stamp in stamps.items()}

    def _look(self, summary: RunSummary, stamp: int | None) -> tuple[object, list[Question]]:
        """Return a run's questions with what tells whether it changed; None where that cannot be told."""
        state_of_run = None if stamp is None else (summary, stamp)
        known = self._known.get(summary.run)
        if known is not None and known[0] == state_of_run:
            return known
        try:
            state = self._project.state(summary.run)
        except KitaruError:
            self.damaged += 1
            return None, []
        return state_of_run, [_question(state, view) for view in state.open_questions]

    def _is_given(self, question: Question, run: str, answered: set[str]) -> bool:
        return layout.escape(run) in answered and self._project.repo.answer(run, question.digest) is not None

    def statuses(self, runs: Iterable[str]) -> dict[str, str]:
        """Return how runs stand now; a run that cannot be read has none.

        One that waits although an answer lies there for it is `resuming`: nobody has taken it up yet. It is
        `not carried on` where the process that was to do so is over; `why_not` says why.
        """
        with self._guard:
            found = {}
            for run in runs:
                with contextlib.suppress(KitaruError):
                    found[run] = self._status(run)
            return found

    def _status(self, run: str) -> str:
        carrier = self._carriers.get(run)
        is_over = (
            carrier is not None and carrier.is_over
        )  # before the run is read, which it may have taken up till then
        state = self._project.state(run)
        is_given = any(self._project.given(state, view) for view in state.open_questions)
        if not is_given or state.status is not Status.WAITING:
            return str(state.status)
        return NOT_CARRIED if is_over else "resuming"

    def why_not(self, run: str) -> str:
        """Return why a run is not carried on, as the process said that was to do so."""
        carrier = self._carriers.get(run)
        return carrier.told() if carrier is not None and carrier.is_over else ""

    # -- one question --------------------------------------------------------------------------------------------

    def read(self, question: Question) -> Asked:
        """Return a question in full.

        Raises:
            UnknownWait: it is no longer asked.
            Damaged: its run cannot be read.
        """
        with self._guard:
            state = self._project.state(question.run)
            view = self._find(state, question)
            record, command = view.record, f"kitaru show {state.run}:{view.label}"
            text, more = bounded_text(record.question)
            calls = state.ordered_calls
            return Asked(
                question=question,
                status=str(state.status),
                text=text,
                more=more and f"{more}: {command}",
                schema=record.schema,
                shown=self._shown(record.shown, view.run, command),
                metadata=self._value("metadata", record.metadata, view.run, command),
                default=self._value("default", record.default, view.run, command),
                calls=[self._call(call, state.run) for call in calls[-MAX_CALLS:]],
                calls_before=max(0, len(calls) - MAX_CALLS),
            )

    def _find(self, state: RunState, question: Question) -> WaitView:
        found = [view for view in state.ordered_waits if view.record.digest == question.digest]
        if not found:
            raise UnknownWait(state.run, question.wait, [view.label for view in state.open_questions])
        return found[0]

    def _shown(self, ids: Mapping[str, str], run: str, command: str) -> list[Shown]:
        found = [self._value(name, object_id, run, command) for name, object_id in list(ids.items())[:MAX_SHOWN]]
        return [shown for shown in found if shown is not None]

    def _value(self, name: str, object_id: str | None, run: str, command: str) -> Shown | None:
        if object_id is None:
            return None
        try:
            data, more = bounded_plain(self._project.value(object_id, run))
        except KitaruError as error:
            return Shown(name, f"cannot be read: {error.message}", command=command)
        return Shown(name, data, more, command)

    def _call(self, call: CallView, run: str) -> CallLine:
        record = call.record
        asked = [one for stored in call.attempts for one in model_calls(stored.record)]  # type: ignore[arg-type]  # attempts are calls
        if record is None:
            return CallLine(call.label, "in flight", None, *spending_of(spent(asked)))
        how = "reused" if call.run != run or record.how == "reused" else "failed" if record.error else record.how
        cost, tokens = spending_of(spent(asked)) if asked else usage_of(self._metadata(record, call.run))
        return CallLine(call.label, how, record.at - record.began, cost, tokens)

    def _metadata(self, record: Call, run: str) -> object:
        if record.metadata is None:
            return None
        try:
            return self._project.value(record.metadata, run)
        except KitaruError:
            return None

    def misfits(self, schema: dict[str, Any], value: object) -> list[str]:
        """Return why an answer does not fit a recorded schema, each with the field's place before it; none if it does.

        `address.city: Field required`, or without a place where the answer as a whole does not fit.
        """
        from kitaru.runtime.answers import misfits

        return misfits(schema, value)

    def describe(self, schema: dict[str, Any], part: dict[str, Any]) -> str:
        """Return a part of a recorded schema in a few words."""
        from kitaru.runtime.answers import described

        return described(schema, part)

    # -- answering -----------------------------------------------------------------------------------------------

    def answer(self, question: Question, value: object, *, note: str = "") -> None:
        """Record the answer to the question that was read, and have its run carried on by a process of its own.

        Args:
            value: JSON data.
            note: why, for the record.

        Raises:
            UnknownWait: it is no longer asked.
            InvalidAnswer, AlreadyAnswered: as of `Project.answer`; nothing was recorded.
            StoreError: the answer could not be recorded, or is and the process could not be started.
        """
        with self._guard:
            view = self._find(self._project.state(question.run), question)
        self._project.answer(question.run, view.label, value, note=note, resume=False)
        self.carry_on(question.run)

    def reject(self, question: Question, *, note: str = "") -> None:
        """End a run at the question that was read, instead of answering it.

        Args:
            note: why, for the record.

        Raises:
            UnknownWait: it is no longer asked.
            AlreadyAnswered: as of `Project.reject`.
        """
        with self._guard:
            view = self._find(self._project.state(question.run), question)
        self._project.reject(question.run, view.label, note=note)

    def carry_on(self, run: str) -> None:
        """Have a run carried on by a process of its own."""
        if self._carry_on is not None:
            made = self._carry_on(run)
        else:
            from kitaru.project.detached import resume_detached

            made = resume_detached(self._project.root, run)
        if made is not None:
            self._carriers[run] = made

    def recent(self, limit: int = 100) -> list[Given]:
        """Return the latest answers, newest first, with how their runs stand."""
        with self._guard:
            stamps = self._project.repo.blobs.stamps(layout.ANSWERS)
            runs = [layout.unescape(part) for part in sorted(stamps, key=stamps.__getitem__, reverse=True)[:limit]]
            found = [given for run in runs if self.only in ("", run) for given in self._answers(run)]
        return sorted(found, key=lambda given: given.at, reverse=True)[:limit]

    def fate(self, question: Question) -> Given | None:
        """Return the answer that a question has by now; None where it has none.

        Raises:
            UnknownWait, Damaged: as of `read`.
        """
        with self._guard:
            state = self._project.state(question.run)
            return self._given(state, self._find(state, question))

    def _answers(self, run: str) -> list[Given]:
        try:
            state = self._project.state(run)
            return [g for view in state.ordered_waits if not view.is_sleep and (g := self._given(state, view))]
        except KitaruError:
            return []

    def _given(self, state: RunState, view: WaitView) -> Given | None:
        answer, waiting = view.answer, self._project.given(state, view)
        if answer is not None:
            value, by, at, note, source = answer.value, answer.by, answer.answered, answer.note, answer.source
        elif waiting is not None:
            value, by, at, note, source = waiting.value, waiting.by, waiting.at, waiting.note, waiting.source
        else:
            return None
        shown = self._value("answer", value, view.run, f"kitaru show {state.run}:{view.label}")
        return Given(
            run=state.run,
            wait=view.label,
            flow=state.start.flow,
            head=head_of(view.record.question),
            value=shown or Shown("answer", None),
            by=by,
            at=at,
            note=note,
            source=source,
            taken=answer is not None,
            status=str(state.status),
        )


def _question(state: RunState, view: WaitView) -> Question:
    record = view.record
    return Question(
        run=state.run,
        wait=view.label,
        digest=record.digest,
        flow=state.start.flow,
        version=int(state.version.get("n", 0)),
        asked=record.at,
        head=head_of(record.question),
        deadline=record.deadline or 0,
        is_approval=record.schema.get("type") == "boolean",
    )
