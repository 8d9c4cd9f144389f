"""Answering a wait, or rejecting its run at it: once, by whoever is first, the deadline included.

Owns: which wait is meant, whether the answer fits, and what the second one is told. Carrying the run on is the verb's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.errors import AlreadyAnswered, UnknownWait
from kitaru.model.ids import parse_call
from kitaru.model.moments import utc_text
from kitaru.store.names import AnswerName

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.model.history import RunState, WaitView
    from kitaru.runtime.replies import Replies
    from kitaru.runtime.values import Values
    from kitaru.store.repository import Repository


MAX_TOLD = 200
"""Characters of an answer, or of a note, that whoever comes second is told."""


class Answering:
    """Answers waits of one project.

    Args:
        value: decodes an object for display.
        now_us: microseconds since 1970 UTC.
    """

    def __init__(
        self, repo: Repository, values: Values, value: Callable[[str, str], object], now_us: Callable[[], int]
    ) -> None:
        self._repo, self._values, self._value, self._now_us = repo, values, value, now_us

    def open_wait(self, state: RunState, name: str | None) -> WaitView:
        """Return the open wait that is meant; None means the only one.

        Raises:
            UnknownWait: there is none, or more than one.
            AlreadyAnswered: the one that is named has its answer.
        """
        found = state.open_questions
        if name is not None:
            wanted = parse_call(name)
            named = [w for w in state.ordered_waits if w.record.name == wanted.name]
            named = [w for w in named if wanted.nth in (None, w.record.occurrence)]
            found = [w for w in found if w in named]
            found = [w for w in found if w.label == name] or found  # of two that are open, `approve` is the first
            if not found and named and named[-1].answer is not None:
                taken = named[-1].answer
                given = AnswerName(taken.value, taken.by, taken.answered, taken.note, "", taken.source)
                raise self._refusal(state.run, named[-1], given)
        if len(found) != 1:
            raise UnknownWait(state.run, name, [w.label for w in state.open_questions])
        return found[0]

    def record(self, run: str, view: WaitView, value: Any, *, text: bool, by: str, note: str) -> None:  # noqa: ANN401 - whatever the schema says
        """Record the answer to a wait: JSON data, an instance of the type it asks for, or what was typed.

        Raises:
            InvalidAnswer: it does not fit the schema; nothing was recorded.
            AlreadyAnswered: somebody was first, or the deadline has passed.
        """
        from kitaru.runtime.replies import plain_answer

        replies = self._replies(run)
        standing = replies.find(view.record)
        if standing is None:
            plain = plain_answer(view.record.schema, value, text=text)
            won, standing = replies.give(view.record, plain, by=by, note=note)
            if won:
                return
        raise self._refusal(run, view, standing)

    def reject(self, run: str, view: WaitView, *, by: str, note: str) -> AnswerName:
        """Record that a run is to end at a wait; raises AlreadyAnswered as `record`."""
        from kitaru.runtime.replies import REJECTED

        replies = self._replies(run)
        standing = replies.find(view.record)
        if standing is None:
            won, standing = replies.claim(view.record, REJECTED, by=by, note=note)
            if won:
                return standing
        raise self._refusal(run, view, standing)

    def _replies(self, run: str) -> Replies:
        from kitaru.runtime.replies import Replies

        return Replies(self._repo, self._values, run, self._now_us)

    def _refusal(self, run: str, view: WaitView, standing: AnswerName) -> AlreadyAnswered:
        what, when, by = f"{view.label} of run {run}", utc_text(standing.at), standing.by or "somebody"
        if standing.source == "rejected":
            told = f"{what} was rejected by {by} at {when}{f': {standing.note[:MAX_TOLD]}' if standing.note else ''}"
        elif standing.source == "expired":
            told = f"{what} expired: nobody had answered it before its deadline, {utc_text(view.record.deadline or 0)}"
        else:
            who = (
                f"by default at {when}, its deadline had passed"
                if standing.source == "default"
                else f"by {by} at {when}"
            )
            told = f"{what} was answered {who}: {repr(self._value(standing.value, run))[:MAX_TOLD]}"
        return AlreadyAnswered(told, hint=f"kitaru log {run}")
