"""What of a question to a model goes into the record of the call that it is asked in.

Owns: the one place where a `ModelCall` is added to an executing call, with messages and reply as values.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kitaru.runtime.context import active_call, current_engine

if TYPE_CHECKING:
    from collections.abc import Container

    from kitaru.model.spending import ModelCall
    from kitaru.runtime.context import ActiveCall
    from kitaru.runtime.engine import Engine


class _Known:
    """Ids that the store has, or that the call at hand will bring: a history is not gathered anew by each request."""

    def __init__(self, stored: Container[str], gathered: list[tuple[str, bytes]]) -> None:
        self._stored, self._gathered = stored, {object_id for object_id, _ in gathered}

    def __contains__(self, object_id: object) -> bool:
        return object_id in self._gathered or object_id in self._stored


def keep(usage: ModelCall) -> None:
    """Add a question to the record of the call that executes here; nothing where none does."""
    active = active_call.get()
    if active is not None:
        active.llm.append(usage.to_json())


def keep_value(value: object, what: str) -> str:
    """Have a value recorded with the call that executes here, and return its id; empty where none does.

    Raises:
        SecretLeak: it holds a known secret.
        Unencodable: it cannot be stored.
    """
    engine, active = current_engine.get(), active_call.get()
    if engine is None or active is None:
        return ""
    return _gather(engine, active, value, what)


def _gather(engine: Engine, active: ActiveCall, value: Any, what: str) -> str:  # noqa: ANN401 - any value
    encoded = engine.values.encode(value, _Known(engine.writer.known, active.objects), what)
    active.objects += encoded.objects
    return encoded.id


def with_values(usage: ModelCall, prompt_id: str, response: object) -> ModelCall:
    """Return a question with the ids of messages and reply, where a call of somebody else's executes here."""
    return replace(usage, prompt_id=prompt_id, response_id=keep_value(response, "the model's reply"))
