"""Questions a run stops at: matched to recorded ones, answered, or a reason to let the process go.

Owns: a wait's digest, which binds an answer to its question, schema and what was shown, and the order in which a reply
is looked for: the record, `--answer`, the store. Knows nothing of prompts.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError, RunWaiting, UsageError, WaitInsideCheckpoint
from kitaru.model.ids import display_call
from kitaru.model.records import Answer, Note, Wait
from kitaru.runtime.context import active_call
from kitaru.runtime.schema import validate_answer, wait_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kitaru.model.history import WaitView
    from kitaru.runtime.engine import Engine
    from kitaru.store.repository import AnswerName


class Waits:
    """The waits of one execution of a run."""

    def __init__(self, engine: Engine, find_answer: Callable[[str], AnswerName | None]) -> None:
        self._engine = engine
        self._find_answer = find_answer
        self._equal: Counter[str] = Counter()
        self._made: Counter[str] = Counter()

    def wait(self, name: str, question: str, schema: Any, metadata: Mapping[str, Any] | None) -> Any:  # noqa: ANN401 - a type in, a value of it out
        """Return the answer to a question, or stop the run until there is one.

        Raises:
            WaitInsideCheckpoint: a checkpoint executes here, which cannot stop half-way.
            RunStopped: there is no answer yet.
        """
        engine = self._engine
        call = active_call.get()
        if call is not None:
            raise WaitInsideCheckpoint(
                f"kitaru.wait({name!r}) was called inside the checkpoint {call.name}, which cannot stop half-way",
                hint=f"split {call.name}: one checkpoint up to the question, kitaru.wait() in the flow, "
                "one checkpoint after it",
            )
        engine.check_latch()
        self._made[name] += 1
        asked = self._describe(name, question, wait_schema(schema))
        view = engine.plan.wait(asked.digest) or engine.plan.kept_wait(name)
        if view is None:
            engine.plan.reached_branch(name)
        ahead = self._answer_ahead(name)
        if view is None or view.closed:
            if engine.plan.dynamic:
                engine.calls.branch()
            view = self._ask(asked, metadata)
        elif view.record.digest != asked.digest:
            engine.commit(Note(engine.now(), "stale", {"order": view.record.order, "args": ["question"]}))
        engine.plan.claimed(view, view.record.order)
        if ahead is not None and (view.answer is None or view.run != engine.run):
            return self._take_ahead(view, asked, ahead, schema)
        return self._reply(view, schema)

    # -- the question ------------------------------------------------------------------------------------------

    def _describe(self, name: str, question: str, schema: dict[str, Any]) -> Wait:
        shown = self._engine.calls.last_output
        artifacts = {shown[0]: shown[1]} if shown is not None else {}
        text = json.dumps([name, "", question, schema, artifacts], sort_keys=True, separators=(",", ":"))
        self._equal[text] += 1
        digest = hashlib.sha256(f"{text}\n{self._equal[text]}".encode()).hexdigest()
        return Wait(0, name, 0, digest, question=question, schema=schema, shown=artifacts)

    def _ask(self, asked: Wait, metadata: Mapping[str, Any] | None) -> WaitView:
        engine = self._engine
        objects: list[tuple[str, bytes]] = []
        if metadata:
            encoded = engine.values.encode(dict(metadata), engine.writer.known, "metadata")
            asked.metadata, objects = encoded.id, encoded.objects
        asked.order, asked.occurrence = engine.plan.place(asked.name)
        asked.at = engine.now()
        engine.plan.asks(asked.order)
        engine.commit(asked, objects)
        engine.emit(
            "wait",
            wait=display_call(asked.name, asked.occurrence),
            question=asked.question,
            schema=asked.schema,
            shown=asked.shown,
        )
        return engine.state.waits[asked.order]

    # -- the reply ---------------------------------------------------------------------------------------------

    def _reply(self, view: WaitView, schema: Any) -> Any:  # noqa: ANN401 - a value of the schema
        if view.answer is None:
            found = self._find_answer(view.record.digest)
            if found is None:
                raise self._engine.stop(self._waiting(view))
            answer = Answer(self._engine.now(), view.id, found.value, by=found.by, answered=found.at, note=found.note)
            return self._take(view, answer, schema)
        return self._value(view.answer.value, schema)

    def _take_ahead(self, view: WaitView, asked: Wait, value: str, schema: Any) -> Any:  # noqa: ANN401 - a type in, a value of it out
        """Answer as `--answer` said; a question shared with the source is asked anew here first."""
        engine = self._engine
        if view.run != engine.run:
            if engine.plan.dynamic:
                engine.calls.branch(view.record.order)
            asked.order, asked.occurrence = view.record.order, view.record.occurrence
            asked.at = engine.now()
            engine.commit(asked)
            view = engine.state.waits[asked.order]
        now = engine.now()
        by = engine.services.user
        return self._take(view, Answer(now, view.id, value, by=by, answered=now, source="ahead"), schema)

    def _take(self, view: WaitView, answer: Answer, schema: Any) -> Any:  # noqa: ANN401 - as above
        """Record a reply as consumed, once it is known to fit."""
        engine = self._engine
        try:
            value = self._value(answer.value, schema)
        except KitaruError as error:
            raise engine.stop(error) from None
        engine.commit(answer)
        engine.emit("answer", wait=view.label, by=answer.by, source=answer.source)
        return value

    def _value(self, object_id: str, schema: Any) -> Any:  # noqa: ANN401 - as above
        return validate_answer(schema, self._engine.values.decoder(self._engine.plan.runs).decode(object_id))

    def _answer_ahead(self, name: str) -> str | None:
        try:
            return self._engine.plan.overrides.answer(name, self._made[name])
        except UsageError as error:
            raise self._engine.stop(error) from None

    def _waiting(self, view: WaitView) -> RunWaiting:
        return RunWaiting(answer_line(self._engine.run, view), hint=view.record.question)


def answer_line(run: str, view: WaitView) -> str:
    """Return the very line that answers a wait, with a value that fits its schema."""
    return f"kitaru answer {run} {view.label} {_example(view.record.schema)}"


def _example(schema: Mapping[str, Any]) -> str:
    if schema.get("enum"):
        return json.dumps(schema["enum"][0])
    kinds = {"boolean": "true", "integer": "1", "number": "1.5", "string": "TEXT", "array": "'[…]'"}
    return kinds.get(str(schema.get("type")), "'{…}'")
