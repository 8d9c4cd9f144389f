"""The replies to a run's waits: who was first, a person or the deadline.

Owns: that an answer, a default, an expiry and a rejection compete for one write-once name, and what each leaves there.
Knows nothing of executing; a person's answer comes by way of the project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.runtime.answers import validate_answer_json
from kitaru.runtime.plain import to_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.model.records import Wait
    from kitaru.runtime.values import Values
    from kitaru.store.repository import AnswerName, Repository

MAX_ANSWER = 1 << 30
"""An answer is not shortened for display, as other plain data is."""

PERSON, DEFAULT, EXPIRED, REJECTED = "person", "default", "expired", "rejected"


def plain_answer(schema: dict[str, Any], value: object, *, text: bool = False) -> object:
    """Return the JSON data of an answer that fits a recorded schema.

    Args:
        value: JSON data, an instance of the type that is asked for, or what was typed (`text`).

    Raises:
        InvalidAnswer: it does not fit.
    """
    given = value if text else to_plain(value, max_items=MAX_ANSWER, max_text=MAX_ANSWER)
    return validate_answer_json(schema, given, text=text)


class Replies:
    """The replies to the waits of one run.

    Args:
        now_us: microseconds since 1970 UTC.
    """

    def __init__(self, repo: Repository, values: Values, run: str, now_us: Callable[[], int]) -> None:
        self._repo, self._values, self._run, self._now_us = repo, values, run, now_us

    def find(self, wait: Wait) -> AnswerName | None:
        """Return the reply that stands, durable: where nobody gave one, that of the deadline, if it has passed."""
        return self._repo.answer(self._run, wait.digest, settle=True) or self.fire(wait)

    def fire(self, wait: Wait) -> AnswerName | None:
        """Settle a wait whose deadline has passed; return the reply that stands then, or None before that time."""
        if not wait.deadline or self._now_us() < wait.deadline:
            return None
        source = EXPIRED if wait.default is None else DEFAULT
        return self.claim(wait, source, value=wait.default)[1]

    def give(self, wait: Wait, value: object, *, by: str, note: str) -> tuple[bool, AnswerName]:
        """Give a person's answer.

        Args:
            wait: as the run recorded it.
            value: JSON data, checked against the wait's schema before.
            by: who answers.
            note: what he has to say besides, or empty.

        Returns:
            Whether this answer won, and the reply that stands.
        """
        encoded = self._values.encode(value, frozenset(), wait.name)
        self._repo.put_objects(encoded.objects)
        return self.claim(wait, PERSON, value=encoded.id, by=by, note=note)

    def claim(
        self, wait: Wait, source: str, *, value: str | None = None, by: str = "", note: str = ""
    ) -> tuple[bool, AnswerName]:
        """Take the one name of a wait's reply.

        Args:
            wait: as the run recorded it.
            source: where the reply is from: a person, the default, the deadline.
            value: id of a value that is stored; None for the reply `None`.
            by: who replies; empty for nobody.
            note: what he has to say besides, or empty.

        Returns:
            Whether this reply won, and the one that stands.
        """
        if value is None:
            nothing = self._values.encode(None, frozenset(), wait.name)
            self._repo.put_objects(nothing.objects)
            value = nothing.id
        return self._repo.put_answer(
            self._run, wait.digest, value=value, by=by, at=self._now_us(), note=note, source=source
        )
