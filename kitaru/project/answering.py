"""Answering a wait: once, by whoever is first.

Owns: which wait is meant, whether the answer fits, and what the second one is told. Carrying the run on is the verb's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.errors import AlreadyAnswered, UnknownWait
from kitaru.model.ids import parse_call
from kitaru.model.moments import utc_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.model.history import RunState, WaitView
    from kitaru.runtime.values import Values
    from kitaru.store.repository import Repository


MAX_ANSWER = 1 << 30
"""An answer is not shortened for display, as other plain data is."""


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
            if not found and named and named[-1].answer is not None:
                answer = named[-1].answer
                raise self._refusal(state.run, named[-1], answer.by, answer.answered, answer.value)
        if len(found) != 1:
            raise UnknownWait(state.run, name, [w.label for w in state.open_questions])
        return found[0]

    def record(self, run: str, view: WaitView, value: Any, *, text: bool, by: str, note: str) -> None:  # noqa: ANN401 - whatever the schema says
        """Record the answer to a wait: JSON data, an instance of the type it asks for, or what was typed.

        Raises:
            InvalidAnswer: it does not fit the schema; nothing was recorded.
            AlreadyAnswered: somebody was first.
        """
        from kitaru.runtime.schema import to_plain, validate_answer_json

        digest = view.record.digest
        standing = self._repo.answer(run, digest)
        if standing is None:
            given = value if text else to_plain(value, max_items=MAX_ANSWER, max_text=MAX_ANSWER)
            plain = validate_answer_json(view.record.schema, given, text=text)
            encoded = self._values.encode(plain, frozenset(), view.label)
            self._repo.put_objects(encoded.objects)
            won, standing = self._repo.put_answer(run, digest, value=encoded.id, by=by, at=self._now_us(), note=note)
            if won:
                return
        raise self._refusal(run, view, standing.by, standing.at, standing.value)

    def _refusal(self, run: str, view: WaitView, by: str, at: int, value: str) -> AlreadyAnswered:
        shown = repr(self._value(value, run))
        return AlreadyAnswered(
            f"{view.label} of run {run} was answered by {by or 'somebody'} at {utc_text(at)}: {shown[:200]}",
            hint=f"kitaru log {run}",
        )
