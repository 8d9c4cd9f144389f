"""Questions a run stops at: matched to recorded ones, answered, or a reason to let the process go.

Owns: a wait's digest, which binds an answer to its question, schema and what was shown, and the order in which a reply
is looked for: the record, `--answer`, the store, the deadline. Knows nothing of prompts.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from kitaru.errors import (
    AnswerRefused,
    InvalidAnswer,
    KitaruError,
    RunWaiting,
    SchemaChanged,
    UsageError,
    WaitExpired,
    WaitInsideCheckpoint,
)
from kitaru.model.ids import display_call
from kitaru.model.moments import utc_text
from kitaru.model.records import Answer, Note, Wait
from kitaru.runtime.asking import UNSET, Shown, shown
from kitaru.runtime.blocking import block
from kitaru.runtime.context import active_call
from kitaru.runtime.examples import example_text
from kitaru.runtime.plan import Place
from kitaru.runtime.replies import EXPIRED, REJECTED, Replies
from kitaru.runtime.schema import validate_answer
from kitaru.runtime.scopes import scope_here
from kitaru.runtime.stopping import in_event_loop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.model.history import WaitView
    from kitaru.runtime.asking import Question
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.scopes import Scope
    from kitaru.runtime.stopping import RunStopped


def inside_checkpoint(name: str, call: str) -> WaitInsideCheckpoint:
    """Return the error of a wait of this name that a checkpoint asks for."""
    return WaitInsideCheckpoint(
        f"kitaru.wait({name!r}) was called inside the checkpoint {call}, which cannot stop half-way",
        hint=f"split {call}: one checkpoint up to the question, kitaru.wait() in the flow, one checkpoint after it",
    )


class Waits:
    """The waits of one execution of a run.

    Args:
        replies: those that were given to this run.
        prompts: who executes the run asks its questions himself, so that nothing stays for an answer.
    """

    def __init__(self, engine: Engine, replies: Replies, *, prompts: bool = False) -> None:
        self._engine, self._replies, self._prompts = engine, replies, prompts
        self._equal: Counter[str] = Counter()
        self._made: Counter[str] = Counter()

    def wait(self, question: Question) -> Any:  # noqa: ANN401 - a value of its schema
        """Return the answer to a question, or stop the run until there is one.

        Raises:
            WaitInsideCheckpoint: a checkpoint executes here, which cannot stop half-way.
            WaitExpired: nobody answered before the deadline.
            UsageError: it shows what is not there, or is to stay on an event loop.
            RunStopped: there is no answer yet.
        """
        engine = self._engine
        if self._stay_us(question) and in_event_loop():
            raise UsageError(
                f"kitaru.wait({question.name!r}, timeout=...) would block the event loop",
                hint="await kitaru.wait_async(...)",
            )
        view = self._begin(question)
        until = engine.now() + self._stay_us(question)
        answer = block(engine, lambda: self._answer(view), until, lambda: self._waiting(view))
        return self._take(view, answer, question)

    async def wait_async(self, question: Question) -> Any:  # noqa: ANN401 - as above
        """As `wait`, for one branch of an event loop: the run stops once all of them are blocked."""
        engine = self._engine
        view = self._begin(question)
        answer = self._answer(view)
        if answer is None:
            from kitaru.runtime.parking import park

            until = engine.now() + self._stay_us(question)
            answer = await park(engine, lambda: self._answer(view), until, lambda: self._waiting(view))
        return self._take(view, answer, question)

    def _stay_us(self, question: Question) -> int:
        return 0 if self._prompts else question.timeout_us

    # -- the question ------------------------------------------------------------------------------------------

    def _begin(self, question: Question) -> WaitView:
        """Return the wait's record, made now where there is none; with the answer that `--answer` gave, if it has."""
        engine = self._engine
        call = active_call.get()
        if call is not None:
            raise inside_checkpoint(question.name, call.name)
        engine.check_latch()
        scope = scope_here(engine.scope)
        with engine.plan.lock:
            to_show = shown(engine, scope.shown, question.show)
            self._made[question.name] += 1
            asked = self._describe(question, scope, to_show)
            view = engine.plan.wait(asked.digest) or engine.plan.kept_wait(question.name)
            nth = view.record.occurrence if view is not None else self._made[question.name]
            ahead = self._answer_ahead(question.name, nth)
            if view is None or view.closed:
                view = self._ask_anew(asked, self._objects(asked, question, to_show))
            elif ahead is not None and view.run != engine.run:
                view = self._ask_instead(asked, view, self._objects(asked, question, to_show))
            elif view.record.digest != asked.digest:
                self._note_stale(view)
            engine.plan.claimed(view, view.record.order)
            if ahead is not None and view.answer is None:
                self._take_ahead(view, ahead, question)
        return view

    def _describe(self, question: Question, scope: Scope, to_show: Shown) -> Wait:
        parts = [question.name, scope.path, question.text, question.json_schema, to_show.bound]
        text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        self._equal[text] += 1
        asked = Wait(
            0,
            question.name,
            0,
            _digest(text, self._equal[text]),
            question=question.text,
            scope=scope.path,
            schema=question.json_schema,
            shown=to_show.labels,
        )
        self._tell_from_refused(asked)
        return asked

    def _objects(self, asked: Wait, question: Question, to_show: Shown) -> list[tuple[str, bytes]]:
        """Fill in what is recorded of a new question alone; return the objects that it needs."""
        values, known = self._engine.values, self._engine.writer.known
        objects = list(to_show.objects)
        if question.metadata:
            encoded = values.encode(dict(question.metadata), known, "metadata")
            asked.metadata = encoded.id
            objects += encoded.objects
        if question.default is not UNSET:
            encoded = values.encode(question.default, known, "default")
            asked.default = encoded.id
            objects += encoded.objects
        asked.deadline = question.deadline(self._engine.now())
        return objects

    def _tell_from_refused(self, asked: Wait) -> None:
        """A question whose answer was refused is asked under another digest, for the answer to the first one stands."""
        while asked.digest in self._engine.state.refused:
            asked.digest = _digest(asked.digest, "refused")

    def _ask_anew(self, asked: Wait, objects: list[tuple[str, bytes]]) -> WaitView:
        """Ask what was not asked before, at the place the execution has come to."""
        plan = self._engine.plan
        if plan.dynamic:
            self._engine.calls.branch()
        return self._ask(asked, plan.place(asked.name), objects)

    def _ask_instead(self, asked: Wait, view: WaitView, objects: list[tuple[str, bytes]]) -> WaitView:
        """Ask in this run what the source had asked and answered, because this run is to have another answer."""
        plan, record = self._engine.plan, view.record
        if plan.dynamic:
            self._engine.calls.branch(record.order)
            return self._ask(asked, plan.place(asked.name), objects)
        return self._ask(asked, plan.place_of(asked.name, record.order, record.occurrence), objects)

    def _note_stale(self, view: WaitView) -> None:
        """Record, once, that `--from` kept an answer although its question changed."""
        engine = self._engine
        if not view.stale:
            engine.commit(Note(engine.now(), "stale", {"order": view.record.order, "args": ["question"]}))

    def _ask(self, asked: Wait, place: Place, objects: list[tuple[str, bytes]] | None = None) -> WaitView:
        engine = self._engine
        asked.order, asked.occurrence, asked.after = place
        asked.at = engine.now()
        engine.plan.asks(asked.order)
        engine.commit(asked, objects or [])
        engine.emit(
            "wait",
            wait=display_call(asked.name, asked.occurrence),
            question=asked.question,
            schema=asked.schema,
            shown=asked.shown,
            asked=asked.at,
            deadline=asked.deadline,
        )
        return engine.state.waits[asked.order]

    # -- the reply ---------------------------------------------------------------------------------------------

    def _answer(self, view: WaitView) -> Answer | None:
        """Return the recorded answer, or the one that stands in the store now, not recorded yet."""
        if view.answer is not None:
            return view.answer
        found = self._replies.find(view.record)
        if found is None:
            return None
        now = self._engine.now()
        return Answer(now, view.id, found.value, found.by, answered=found.at, source=found.source, note=found.note)

    def _take_ahead(self, view: WaitView, ahead: str, question: Question) -> None:
        """Record the answer that `--answer` gave."""
        engine, now = self._engine, self._engine.now()
        answer = Answer(now, view.id, ahead, by=engine.services.user, answered=now, source="ahead")
        try:
            self._value(ahead, question.schema)
        except InvalidAnswer as error:
            raise engine.stop(error) from None
        self._record(view, answer)

    def _take(self, view: WaitView, answer: Answer, question: Question) -> Any:  # noqa: ANN401 - a value of the schema
        """Return an answer's value, recorded as consumed once it is known to fit.

        Raises:
            WaitExpired: it says that nobody answered.
            RunStopped: it rejects the run, or does not fit.
        """
        is_new = view.answer is None
        if answer.source in (EXPIRED, REJECTED):
            if is_new:
                self._record(view, answer)
            self._end(view, answer)
        try:
            value = self._value(answer.value, question.schema)
        except InvalidAnswer as error:
            raise self._refuse(view, answer, error) if is_new else self._no_longer_fits(view, error) from None
        if is_new:
            self._record(view, answer)
        return value

    def _record(self, view: WaitView, answer: Answer) -> None:
        engine = self._engine
        engine.commit(answer)
        engine.emit("answer", wait=view.label, by=answer.by, source=answer.source)

    def _end(self, view: WaitView, answer: Answer) -> NoReturn:
        if answer.source == REJECTED:
            raise self._engine.lookout.reject(view.label, answer)
        raise WaitExpired(
            f"nobody answered {view.label} of run {view.run} before {utc_text(view.record.deadline or 0)}",
            hint=f"kitaru replay {self._engine.run} --answer {view.label}=VALUE",
        )

    def _no_longer_fits(self, view: WaitView, error: InvalidAnswer) -> RunStopped:
        why = f"the recorded answer to {view.label} of run {view.run} no longer fits: {error.message}"
        hint = f"undo the change, or kitaru replay {self._engine.run} --answer {view.label}=VALUE"
        return self._engine.stop(SchemaChanged(why, hint=hint))

    def _refuse(self, view: WaitView, answer: Answer, why: InvalidAnswer) -> RunStopped:
        """Ask once more: what the recorded schema let pass, the code's own type refuses (a validator, a pattern)."""
        engine, old = self._engine, view.record
        told = {"digest": old.digest, "by": answer.by, "why": why.message}
        with engine.plan.lock:
            engine.commit(Note(engine.now(), "refused", told))
            asked = replace(old)
            self._tell_from_refused(asked)
            again = self._ask(asked, Place(old.order, old.occurrence, old.after))
        said = f"{answer.by or answer.source} answered, but {why.message}"
        line = answer_line(engine.run, again)
        return engine.stop(AnswerRefused(line, hint=f"{said}; {why.hint}", why=f"{said} ({why.hint})"))

    def _value(self, object_id: str, schema: Any) -> Any:  # noqa: ANN401 - a type in, a value of it out
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

    def _waiting(self, view: WaitView) -> RunWaiting:
        return RunWaiting(answer_line(self._engine.run, view), hint=view.record.question)


def _digest(text: str, count: object) -> str:
    return hashlib.sha256(f"{text}\n{count}".encode()).hexdigest()


def answer_line(run: str, view: WaitView) -> str:
    """Return the very line that answers a wait, an example of what fits its schema for the answer.

    It is quoted for a shell; `kitaru.runtime.examples` tells what else the answer may be.
    """
    return line_that_answers(run, view.label, view.record.schema)


def line_that_answers(run: str, label: str, schema: Mapping[str, Any]) -> str:
    """As `answer_line`, of a wait of which no more is known."""
    plain = label.replace("#", "")  # a # inside a word means nothing to a shell
    quoted = label if plain == shlex.quote(plain) and not label.startswith("#") else shlex.quote(label)
    return f"kitaru answer {run} {quoted} {example_text(schema)}"
