"""Questions a run stops at: matched to recorded ones, answered, or a reason to let the process go.

Owns: a wait's digest, which binds an answer to its question, schema and what was shown, and the order in which a reply
is looked for: the record, `--answer`, the store. Knows nothing of prompts.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kitaru.errors import InvalidAnswer, KitaruError, RunWaiting, SchemaChanged, UsageError, WaitInsideCheckpoint
from kitaru.model.ids import display_call, is_call_name
from kitaru.model.records import Answer, Note, Wait
from kitaru.runtime.context import active_call
from kitaru.runtime.examples import example_text
from kitaru.runtime.plan import Place
from kitaru.runtime.schema import validate_answer, wait_schema
from kitaru.runtime.scopes import scope_here

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kitaru.model.history import WaitView
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.stopping import RunStopped
    from kitaru.store.repository import AnswerName


def inside_checkpoint(name: str, call: str) -> WaitInsideCheckpoint:
    """Return the error of a wait of this name that a checkpoint asks for."""
    return WaitInsideCheckpoint(
        f"kitaru.wait({name!r}) was called inside the checkpoint {call}, which cannot stop half-way",
        hint=f"split {call}: one checkpoint up to the question, kitaru.wait() in the flow, one checkpoint after it",
    )


class Waits:
    """The waits of one execution of a run."""

    def __init__(self, engine: Engine, find_answer: Callable[[str], AnswerName | None]) -> None:
        self._engine = engine
        self._find_answer = find_answer
        self._equal: Counter[str] = Counter()
        self._made: Counter[str] = Counter()
        self._objects: list[tuple[str, bytes]] = []

    def wait(self, name: str, question: str, schema: Any, metadata: Mapping[str, Any] | None) -> Any:  # noqa: ANN401 - a type in, a value of it out
        """Return the answer to a question, or stop the run until there is one.

        Raises:
            WaitInsideCheckpoint: a checkpoint executes here, which cannot stop half-way.
            UsageError: a name that cannot be typed, or a schema that cannot be asked for.
            RunStopped: there is no answer yet.
        """
        engine = self._engine
        if not is_call_name(name):
            raise UsageError(f"{name!r} is no name for a wait", hint="use letters, digits, - and _, as in 'approve'")
        call = active_call.get()
        if call is not None:
            raise inside_checkpoint(name, call.name)
        engine.check_latch()
        self._made[name] += 1
        asked = self._describe(name, question, wait_schema(schema))
        self._objects = []
        if metadata:
            encoded = engine.values.encode(dict(metadata), engine.writer.known, "metadata")
            asked.metadata, self._objects = encoded.id, encoded.objects
        view = engine.plan.wait(asked.digest) or engine.plan.kept_wait(name)
        ahead = self._answer_ahead(name, view.record.occurrence if view is not None else self._made[name])
        if view is None or view.closed:
            view = self._ask_anew(asked)
        elif ahead is not None and view.run != engine.run:
            view = self._ask_instead(asked, view)
        elif view.record.digest != asked.digest:
            self._note_stale(view)
        engine.plan.claimed(view, view.record.order)
        if ahead is not None and view.answer is None:
            now = engine.now()
            answer = Answer(now, view.id, ahead, by=engine.services.user, answered=now, source="ahead")
            return self._take(view, answer, schema)
        return self._reply(view, schema)

    # -- the question ------------------------------------------------------------------------------------------

    def _describe(self, name: str, question: str, schema: dict[str, Any]) -> Wait:
        scope = scope_here(self._engine.scope)
        last = scope.shown
        artifacts = {display_call(last.name, last.occurrence): last.output or ""} if last is not None else {}
        text = json.dumps([name, scope.path, question, schema, artifacts], sort_keys=True, separators=(",", ":"))
        self._equal[text] += 1
        digest = _digest(text, self._equal[text])
        asked = Wait(0, name, 0, digest, question=question, scope=scope.path, schema=schema, shown=artifacts)
        self._tell_from_refused(asked)
        return asked

    def _tell_from_refused(self, asked: Wait) -> None:
        """A question whose answer was refused is asked under another digest, for the answer to the first one stands."""
        while asked.digest in self._engine.state.refused:
            asked.digest = _digest(asked.digest, "refused")

    def _ask_anew(self, asked: Wait) -> WaitView:
        """Ask what was not asked before, at the place the execution has come to."""
        plan = self._engine.plan
        if plan.dynamic:
            self._engine.calls.branch()
        return self._ask(asked, plan.place(asked.name))

    def _ask_instead(self, asked: Wait, view: WaitView) -> WaitView:
        """Ask in this run what the source had asked and answered, because this run is to have another answer."""
        plan, record = self._engine.plan, view.record
        if plan.dynamic:
            self._engine.calls.branch(record.order)
            return self._ask(asked, plan.place(asked.name))
        return self._ask(asked, plan.place_of(asked.name, record.order, record.occurrence))

    def _note_stale(self, view: WaitView) -> None:
        """Record, once, that `--from` kept an answer although its question changed."""
        engine = self._engine
        if not view.stale:
            engine.commit(Note(engine.now(), "stale", {"order": view.record.order, "args": ["question"]}))

    def _ask(self, asked: Wait, place: Place) -> WaitView:
        engine = self._engine
        asked.order, asked.occurrence, asked.after = place
        asked.at = engine.now()
        engine.plan.asks(asked.order)
        engine.commit(asked, self._objects)
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
        try:
            return self._value(view.answer.value, schema)
        except InvalidAnswer as error:
            why = f"the recorded answer to {view.label} of run {view.run} no longer fits: {error.message}"
            hint = f"undo the change, or kitaru replay {self._engine.run} --answer {view.label}=VALUE"
            raise self._engine.stop(SchemaChanged(why, hint=hint)) from None

    def _take(self, view: WaitView, answer: Answer, schema: Any) -> Any:  # noqa: ANN401 - as above
        """Record a reply as consumed, once it is known to fit."""
        engine = self._engine
        try:
            value = self._value(answer.value, schema)
        except InvalidAnswer as error:
            if answer.source == "ahead":
                raise engine.stop(error) from None
            raise self._refuse(view, answer, error) from None
        engine.commit(answer)
        engine.emit("answer", wait=view.label, by=answer.by, source=answer.source)
        return value

    def _refuse(self, view: WaitView, answer: Answer, why: InvalidAnswer) -> RunStopped:
        """Ask once more: what the recorded schema let pass, the code's own type refuses (a validator, a pattern)."""
        engine, old = self._engine, view.record
        told = {"digest": old.digest, "by": answer.by, "why": why.message}
        engine.commit(Note(engine.now(), "refused", told))
        asked = replace(old)
        self._tell_from_refused(asked)
        again = self._ask(asked, Place(old.order, old.occurrence, old.after))
        said = f"{answer.by or 'somebody'} answered, but {why.message}; {why.hint}"
        return engine.stop(self._waiting(again, said))

    def _value(self, object_id: str, schema: Any) -> Any:  # noqa: ANN401 - as above
        """Return an answer as a value of the schema.

        Raises:
            InvalidAnswer: it does not fit.
            RunStopped: it cannot be read.
        """
        try:
            answer = self._engine.values.decoder(self._engine.plan.runs).decode(object_id)
        except KitaruError as error:
            raise self._engine.stop(error) from None
        return validate_answer(schema, answer)

    def _answer_ahead(self, name: str, nth: int) -> str | None:
        try:
            return self._engine.plan.overrides.answer(name, nth)
        except UsageError as error:
            raise self._engine.stop(error) from None

    def _waiting(self, view: WaitView, hint: str = "") -> RunWaiting:
        return RunWaiting(answer_line(self._engine.run, view), hint=hint or view.record.question)


def _digest(text: str, count: object) -> str:
    return hashlib.sha256(f"{text}\n{count}".encode()).hexdigest()


def answer_line(run: str, view: WaitView) -> str:
    """Return the very line that answers a wait, an example of what fits its schema for the answer.

    It is quoted for a shell; `kitaru.runtime.examples` tells what else the answer may be.
    """
    label = view.label
    plain = label.replace("#", "")  # a # inside a word means nothing to a shell
    quoted = label if plain == shlex.quote(plain) and not label.startswith("#") else shlex.quote(label)
    return f"kitaru answer {run} {quoted} {example_text(view.record.schema)}"
