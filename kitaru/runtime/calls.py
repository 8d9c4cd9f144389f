"""One call of a checkpoint in a run: matched to the record, or executed and recorded.

Owns: a call's way from arguments to result, in the order match, execute, record. Which record fits is
`model.matching`, what may be shared is `runtime.plan`, what drift does is `runtime.drift`.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged, KitaruError, Unencodable, UnknownObject, UsageError
from kitaru.model.ids import display_call
from kitaru.model.matching import Identity, identity, identity_of
from kitaru.model.records import Call, Note, Stored
from kitaru.runtime.context import ActiveCall, active_call
from kitaru.runtime.drift import decide
from kitaru.runtime.stopping import RunStopped, behind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.model.history import CallView
    from kitaru.runtime.decorators import Checkpoint
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.plan import Place

MAIN_SCOPE = ""
"""The scope of calls that the body itself makes, in its own thread."""

_IMMUTABLE = frozenset({int, str, bool, float, complex, bytes, type(None), range})
"""Types that a checkpoint cannot change in place."""

MAX_REMEMBERED_FAILURES = 256


class Asked:
    """A live call before it is decided: its arguments by id, and the objects that recording it would write."""

    __slots__ = ("args", "bound", "checkpoint", "identity", "key", "kwargs", "objects", "positional")

    def __init__(
        self, engine: Engine, checkpoint: Checkpoint[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        self.checkpoint = checkpoint
        self.positional, self.kwargs = args, kwargs
        self.bound = checkpoint.binder.bind(args, kwargs)
        self.objects: list[tuple[str, bytes]] = []
        self.args: dict[str, str] = {}
        values, known = engine.values, engine.writer.known
        ignored, receiver = checkpoint.ignore, checkpoint.receiver
        for name, value in self.bound.items():
            if name not in ignored:
                encode = values.encode_receiver if name == receiver else values.encode
                encoded = encode(value, known, name)
                self.args[name] = encoded.id
                self.objects += encoded.objects
        self.key = ""
        if checkpoint.key is not None:
            encoded = values.encode(checkpoint.key(*args, **kwargs), known, "key")
            self.key = encoded.id
            self.objects += encoded.objects
        self.identity: Identity = identity(MAIN_SCOPE, checkpoint.name, self.args, self.key)


class Calls:
    """The calls of one execution of a run."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._decoder = engine.values.decoder(engine.plan.runs)
        self._failures: dict[int, tuple[BaseException, str]] = {}
        self._defaults: dict[Checkpoint[..., Any], dict[str, str]] = {}
        self._todays: dict[str, str] = {}
        self._deciding = threading.RLock()
        self.saved: dict[str, str] = {}
        """Artifact name to value id, as far as this execution has come: what `kitaru.load` finds."""
        self.last_output: tuple[str, str] | None = None
        """Label and value id of what the call before this gave: what a wait shows."""

    def call(self, checkpoint: Checkpoint[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:  # noqa: ANN401 - what the checkpoint returns
        """Return a call's recorded result, or that of executing it now; raise its recorded or live exception.

        Raises:
            Unencodable: an argument or the result cannot be stored.
            RunStopped: the run stops here.
        """
        self._engine.check_latch()
        asked = Asked(self._engine, checkpoint, args, kwargs)
        with self._deciding:
            found = self._decide(asked)
        return self._execute(asked, found) if isinstance(found, Call) else self._recorded(found)

    # -- matching ------------------------------------------------------------------------------------------------

    def _decide(self, asked: Asked) -> CallView | Call:
        """Return the record that this call takes, or a new one to fill by executing it."""
        view = self._take(asked, self._engine.plan.made(asked.checkpoint.name))
        if view is None or isinstance(view, str):
            return self._fresh(asked, self._engine.plan.place(asked.checkpoint.name, asked.identity), drift=view or "")
        return view

    def _take(self, asked: Asked, nth: int) -> CallView | str | None:
        """Return the record this call takes, or None to execute it, or the policy by which drift executes it."""
        plan, name = self._engine.plan, asked.checkpoint.name
        view = plan.claims.exact(asked.identity)
        if view is None and not asked.key and plan.claims.unclaimed(MAIN_SCOPE, name):
            defaults = self._default_ids(asked.checkpoint)
            view = plan.claims.defaulted(asked.identity, defaults)
            view = view or plan.claims.read_anew(asked.identity, defaults, self._today)
        pinned = self._pinned(name, view.occurrence if view else nth) if plan.overrides.sets else None
        if pinned is not None and (view is None or view.run != self._engine.run):
            return self._pin(asked, view, pinned)
        if view is None:
            return self._unmatched(asked, nth)
        plan.claimed(view, view.order)
        return view

    def _unmatched(self, asked: Asked, nth: int) -> CallView | str | None:
        plan, name = self._engine.plan, asked.checkpoint.name
        if plan.dynamic:
            self.branch()
            return None
        kept = plan.next_kept(name)
        if kept is not None:
            self._note_stale(asked, kept)
            return kept
        plan.reached_branch(name)
        return decide(self._engine, asked, nth)

    def _note_stale(self, asked: Asked, kept: CallView) -> None:
        """Record, once, that `--from` kept a call although its inputs changed."""
        recorded = kept.record.args if kept.record else {}
        stale = [n for n in {**recorded, **asked.args} if recorded.get(n) != asked.args.get(n)] or ["key"]
        self._engine.plan.claimed(kept, kept.order)
        if stale != kept.stale:
            self._engine.commit(Note(self._engine.now(), "stale", {"order": kept.order, "args": stale}))
            kept.stale = stale

    def _pinned(self, name: str, nth: int) -> str | None:
        try:
            return self._engine.plan.overrides.pinned(name, nth)
        except UsageError as error:
            raise self._engine.stop(error) from None

    def _pin(self, asked: Asked, view: CallView | None, output: str) -> CallView:
        """Record a call whose output `--set` gave, in the place of the call it stands for."""
        engine, plan, name = self._engine, self._engine.plan, asked.checkpoint.name
        before = plan.pinned_before(name, output) if view is None else None
        if before is not None:
            plan.claimed(before, before.order)
            return before
        view = view or plan.next_shared(name)
        if plan.dynamic:
            self.branch(view.order if view is not None else None)
            view = None
        elif view is None:
            plan.reached_branch(name)
        place = plan.place(name) if view is None else plan.place_of(name, view.order, view.occurrence)
        record = self._fresh(asked, place)
        record.began = record.at = engine.now()
        record.how, record.output = "pinned", output
        engine.commit(record, asked.objects)
        return engine.state.calls[record.order]

    def branch(self, at: int | None = None) -> None:
        """Leave the source, at the first call that does not match; `at` is the order of a pinned one."""
        engine = self._engine
        cut = engine.plan.branch(at)
        engine.commit(Note(engine.now(), "branched", {"cut": cut}))
        engine.plan.recount(engine.state)
        engine.emit("branched", cut=cut)

    def _fresh(self, asked: Asked, place: Place, *, drift: str = "") -> Call:
        return Call(
            0,
            name=asked.checkpoint.name,
            order=place.order,
            began=0,
            occurrence=place.occurrence,
            after=place.after,
            key=asked.key,
            args=asked.args,
            code=asked.checkpoint.code,
            drift=drift,
        )

    def _today(self, recorded: str) -> str:
        """Return the id of a recorded argument as it reads today: a field added since has its default.

        Its own id where it cannot be read by today's classes.
        """
        if recorded not in self._todays:
            try:
                self._todays[recorded] = self._engine.values.encoder.digest(self._decoder.decode(recorded))
            except KitaruError:
                self._todays[recorded] = recorded
        return self._todays[recorded]

    def _default_ids(self, checkpoint: Checkpoint[..., Any]) -> dict[str, str]:
        found = self._defaults.get(checkpoint)
        if found is None:
            found = self._defaults[checkpoint] = {}
            for name, default in checkpoint.binder.defaults.items():
                try:
                    found[name] = self._engine.values.encoder.digest(default)
                except Unencodable:
                    continue
        return found

    # -- a recorded result -----------------------------------------------------------------------------------------

    def _recorded(self, view: CallView) -> Any:  # noqa: ANN401 - whatever was recorded
        record = view.record
        assert record is not None  # noqa: S101 - only finished calls are claimed
        if self._engine.observer is not None:
            shared = "recorded" if view.run == self._engine.run else "shared"
            self._tell(view.label, record, "pinned" if record.how == "pinned" else shared, view.stale, view.drift)
        self.saved.update(record.saved)
        value = self._rebuilt(view, record)
        if record.error is not None and isinstance(value, BaseException):
            self._remember_failure(value, view.id)
            raise value
        if record.output is not None:
            self.last_output = (view.label, record.output)
        return value

    def _rebuilt(self, view: CallView, record: Call) -> object:
        """Return the recorded value or exception; where it cannot be rebuilt, the run stops, whatever the body catches.

        Raises:
            RunStopped: a class of it has changed or is gone, or its bytes are damaged.
        """
        engine = self._engine
        try:
            if record.error is not None:
                return engine.values.rebuild_error(record.error, engine.plan.runs)
            if record.output is not None:
                return self._decoder.decode(record.output)
        except UnknownObject as error:
            raise engine.stop(Damaged(f"run {view.run}", f"{view.label}: {error}")) from None
        except KitaruError as error:
            raise engine.stop(error) from None
        raise engine.stop(Damaged(f"run {view.run}", f"{view.label} has neither an output nor an error"))

    # -- executing ---------------------------------------------------------------------------------------------------

    def _execute(self, asked: Asked, record: Call) -> Any:  # noqa: ANN401 - whatever the function returns
        engine = self._engine
        active = self._begin(record)
        token = active_call.set(active)
        try:
            value = asked.checkpoint.fn(*asked.positional, **asked.kwargs)
            encoded = engine.values.encode(value, engine.writer.known, f"the result of {record.name}")
        except (RunStopped, GeneratorExit):
            raise
        except KeyboardInterrupt:
            raise engine.stop(engine.interrupted()) from None
        except BaseException as error:
            self._finish_failed(asked, record, active, error)
            raise
        finally:
            active_call.reset(token)
            engine.in_flight.remove(active)
            engine.flush_output(active)
        record.output = encoded.id
        self._finish(asked, record, active, encoded.objects)
        return value

    def _begin(self, record: Call) -> ActiveCall:
        engine = self._engine
        record.began = engine.now()
        view = engine.state.calls.get(record.order)
        attempt = 1 + (len(view.attempts) if view is not None else 0)
        active = ActiveCall(
            engine.run,
            record.name,
            record.order,
            record.occurrence,
            record.began,
            attempt,
            lambda: self._key(record),
            record.after,
        )
        if engine.observer is not None:
            engine.emit(
                "begin", call=display_call(record.name, record.occurrence), name=record.name, order=record.order
            )
        engine.in_flight.add(active)
        return active

    def _finish(self, asked: Asked, record: Call, active: ActiveCall, objects: list[tuple[str, bytes]]) -> Stored:
        self._engine.flush_output(active)
        record.mutated = self._mutated(asked)
        gathered = asked.objects + objects
        for name, encoded in active.saved.items():
            record.saved[name] = encoded.id
            gathered += encoded.objects
        if active.metadata:
            record.metadata = self._also(active.metadata, "kitaru.log()", gathered)
        if active.output:
            record.logs = self._also(active.output, "its output", gathered)
        record.at = self._engine.now()
        self._engine.in_flight.remove(active)
        stored = self._engine.commit(record, gathered)
        self.saved.update(record.saved)
        label = display_call(record.name, record.occurrence)
        if record.output is not None:
            self.last_output = (label, record.output)
        if self._engine.observer is not None:
            self._tell(label, record, "ran", [], record.drift)
        return stored

    def _also(self, value: object, path: str, objects: list[tuple[str, bytes]]) -> str:
        encoded = self._engine.values.encode(value, self._engine.writer.known, path)
        objects += encoded.objects
        return encoded.id

    def _finish_failed(self, asked: Asked, record: Call, active: ActiveCall, error: BaseException) -> None:
        record.error, encoded = self._engine.values.describe_error(error, self._engine.writer.known)
        stored = self._finish(asked, record, active, encoded.objects if encoded is not None else [])
        self._remember_failure(error, stored.id)

    def _mutated(self, asked: Asked) -> list[str]:
        """Return the arguments that the function changed in place: a resumed run would not see the change."""
        changed = []
        for name, before in asked.args.items():
            value = asked.bound[name]
            if type(value) in _IMMUTABLE:
                continue
            encode = self._engine.values.encode_receiver if name == asked.checkpoint.receiver else None
            try:
                after = encode(value, (), name).id if encode else self._engine.values.encoder.digest(value)
            except Unencodable:
                after = ""
            if after != before:
                changed.append(name)
        return changed

    def _key(self, record: Call) -> str:
        """Return the call's idempotency key: from its identity and its count among equal ones, never its position."""
        wanted = identity_of(record)
        views = list(self._engine.state.calls.values())  # another thread may note a call in flight meanwhile
        earlier = [v.record for v in views if v.record is not None and v.order < record.order]
        nth = sum(1 for before in earlier if identity_of(before) == wanted)
        return hashlib.sha256(f"{self._engine.run}\n{wanted}\n{nth}".encode()).hexdigest()[:32]

    def _remember_failure(self, error: BaseException, record: str) -> None:
        if len(self._failures) >= MAX_REMEMBERED_FAILURES:
            self._failures.pop(next(iter(self._failures)))
        self._failures[id(error)] = (error, record)

    def failed_records(self, error: BaseException) -> list[str]:
        """Return the ids of the records of the calls whose failures led to this exception."""
        return [self._failures[id(e)][1] for e in behind(error, self._is_failure)]

    def _is_failure(self, error: BaseException) -> bool:
        found = self._failures.get(id(error))
        return found is not None and found[0] is error

    def _tell(self, label: str, record: Call, how: str, stale: list[str], drift: str) -> None:
        error = record.error and {"type": record.error["type"], "message": record.error["message"]}
        self._engine.emit(
            "call",
            call=label,
            name=record.name,
            order=record.order,
            how=how,
            duration_us=record.at - record.began,
            output=record.output,
            error=error,
            stale=stale,
            mutated=record.mutated,
            drift=drift,
        )
