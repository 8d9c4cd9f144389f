"""One call of a checkpoint in a run: decided, so that it has a record or is to be executed.

Owns: a call's way from arguments to a recorded result, or to the record that executing it fills. Which record fits is
`model.matching`, what may be shared is `runtime.plan`, what drift does is `runtime.drift`; executing is
`runtime.execution`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged, KitaruError, UnknownObject, UsageError
from kitaru.model.ids import display_call
from kitaru.model.matching import Identity, identity
from kitaru.model.records import Call, Note
from kitaru.runtime.carriers import carry_inline
from kitaru.runtime.drift import decide
from kitaru.runtime.execution import Execution
from kitaru.runtime.failures import Failures
from kitaru.runtime.pool import Slots
from kitaru.runtime.redaction import refuse_secrets
from kitaru.runtime.scopes import Scope, scope_here
from kitaru.runtime.today import Today

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.model.history import CallView
    from kitaru.runtime.decorators import Checkpoint
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.plan import Place


class Asked:
    """A live call before it is decided: its arguments by id, and the objects that recording it would write."""

    __slots__ = (
        "_identity",
        "args",
        "bound",
        "checkpoint",
        "key",
        "kwargs",
        "objects",
        "on_drift",
        "place",
        "positional",
        "scope",
        "unsynced",
    )

    def __init__(
        self,
        engine: Engine,
        checkpoint: Checkpoint[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        scope: Scope,
        *,
        on_drift: str = "",
        place: Place | None = None,
    ) -> None:
        self.checkpoint, self.scope, self.on_drift, self.place = checkpoint, scope, on_drift, place
        self.positional, self.kwargs = args, kwargs
        self.unsynced = False
        """Deciding it has written its record, which nobody may act on before it is durable."""
        self.bound = checkpoint.binder.bind(args, kwargs)
        self.objects: list[tuple[str, bytes]] = []
        self.args: dict[str, str] = {}
        values, known = engine.values, engine.writer.known
        ignored, receiver = checkpoint.ignore, checkpoint.receiver
        for name, value in self.bound.items():
            if name not in ignored:
                encode = values.encode_receiver if name == receiver else values.encoder.encode
                self.args[name], objects = encode(value, known, path=name)
                if objects:
                    refuse_secrets(objects, name)
                    self.objects += objects
        self.key = ""
        if checkpoint.key is not None:
            encoded = values.encode(checkpoint.key(*args, **kwargs), known, "key")
            self.key = encoded.id
            self.objects += encoded.objects
        self._identity: Identity | None = None

    @property
    def identity(self) -> Identity:
        """What the call is matched by; a call that comes in its turn is matched without it."""
        if self._identity is None:
            self._identity = identity(self.scope.path, self.checkpoint.name, self.args, self.key)
        return self._identity


class Calls:
    """The calls of one execution of a run."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._decoder = engine.values.decoder(engine.plan.runs)
        self.failures = Failures()
        self._today = Today(engine.values, self._decoder)
        self._deciding = engine.plan.lock
        self._slots: dict[str, Slots] = {}
        self.saved: dict[str, str] = {}
        """Artifact name to value id, as far as this execution has come: what `kitaru.load` finds."""
        self.outputs: dict[str, str] = {}
        """Value id to label of the call that gave it first, as far as this execution has come."""

    def call(self, checkpoint: Checkpoint[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:  # noqa: ANN401 - what the checkpoint returns
        """Return a call's recorded result, or that of executing it now; raise its recorded or live exception.

        Raises:
            Unencodable: an argument or the result cannot be stored.
            RunStopped: the run stops here.
        """
        engine = self._engine
        engine.check_latch()
        scope = scope_here(engine.scope)
        asked = Asked(engine, checkpoint, args, kwargs, scope)
        found = self.decide(asked)
        if not isinstance(found, Execution):
            if asked.unsynced:
                engine.sync()
            return self.recorded(found, scope)
        value = carry_inline(found)
        self.show(scope, found.record)
        return value

    def reserve(self, scope: Scope, name: str) -> Place | None:
        """Keep a place in the call order for a call that will be decided later; None where it may have one already."""
        with self._deciding:
            return self._engine.plan.reserve(scope.path, name)

    def slots(self, checkpoint: Checkpoint[..., Any]) -> Slots | None:
        """Return what limits how many calls of a checkpoint execute at once, if anything does."""
        limit = checkpoint.options.concurrency
        if limit is None:
            return None
        with self._deciding:
            found = self._slots.get(checkpoint.name)
            if found is None:
                found = self._slots[checkpoint.name] = Slots(limit)
            return found

    def again(self, asked: Asked, view: CallView) -> Execution:
        """Execute a recorded call once more, in its own place."""
        with self._deciding:
            place = self._engine.plan.place_of(view.name, view.order, view.occurrence)
            record = self._fresh(asked, place)
            return Execution(self._engine, asked, record, record.repeat)

    def decide(self, asked: Asked) -> CallView | Execution:
        """Return the record that this call takes, or what executes it; its place in the call order is settled.

        A record that is new (`asked.unsynced`) is written, and not durable yet: that is for the caller to wait for.

        Raises:
            RunStopped: it drifted, or an override that it reached cannot be.
        """
        with self._deciding:
            self.failures.went_past(asked.scope.path)
            found = self._decide(asked)
        if not isinstance(found, Call):
            return found
        reused = self._reuse(asked, found)
        if reused is not None:
            return reused
        with self._deciding:
            self._engine.limits.count(self._engine, found)
        return Execution(self._engine, asked, found, found.repeat)

    def _reuse(self, asked: Asked, record: Call) -> CallView | None:
        """Record what the result cache has for a call, if it has; its record says so then, or where its result goes."""
        engine = self._engine
        for name, value in (engine.reuse(asked) if engine.reuse is not None else {}).items():
            setattr(record, name, value)
        if record.output is None:
            return None
        record.began = record.at = engine.now()
        record.how = "reused"
        return self._given(asked, record)

    def _given(self, asked: Asked, record: Call) -> CallView:
        """Record a call whose output is known without executing it."""
        self._engine.commit(record, asked.objects, sync=False)
        asked.unsynced = True
        return self._engine.state.calls[record.order]

    # -- matching ------------------------------------------------------------------------------------------------

    def _decide(self, asked: Asked) -> CallView | Call:
        """Return the record that this call takes, or a new one to fill by executing it."""
        plan, name = self._engine.plan, asked.checkpoint.name
        nth = plan.made(name)
        view = None if plan.is_spent else self._take(asked, nth)
        if view is None or isinstance(view, str):
            place = asked.place or plan.place(name, asked.identity)
            return self._fresh(asked, place, drift=view or "")
        return view

    def _take(self, asked: Asked, nth: int) -> CallView | str | None:
        """Return the record this call takes, or None to execute it, or the policy by which drift executes it."""
        plan, name = self._engine.plan, asked.checkpoint.name
        claims, scope = plan.claims, asked.scope.path
        lacks = claims.has_uneven and claims.lacks(asked.identity)
        view = None if lacks else claims.in_turn(scope, name, asked.args, asked.key) or claims.exact(asked.identity)
        if view is None and not lacks and not asked.key and plan.claims.has(asked.scope.path, name):
            defaults = self._today.defaults(asked.checkpoint)
            view = plan.claims.defaulted(asked.identity, defaults)
            view = view or plan.claims.read_anew(asked.identity, defaults, self._today.id)
        pinned = self._pinned(name, view.occurrence if view else nth) if plan.overrides.sets else None
        if pinned is not None and (view is None or view.run != self._engine.run):
            return self._pin(asked, view, pinned)
        if view is None:
            return self._unmatched(asked, nth, lacks=lacks)
        plan.claimed(view, view.order)
        return view

    def _unmatched(self, asked: Asked, nth: int, *, lacks: bool) -> CallView | str | None:
        plan, name = self._engine.plan, asked.checkpoint.name
        if plan.dynamic:
            self.branch()
            return None
        if plan.runs_again(asked.identity):
            return None
        kept = None if lacks else plan.next_kept(asked.scope.path, name)
        if kept is not None:
            self._note_stale(asked, kept)
            return kept
        plan.reached_branch(name)
        asked.place = plan.cut_short(asked.scope.path, name) or asked.place
        if lacks or asked.place is not None:
            return None
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
        before = plan.pinned_before(asked.scope.path, name, output) if view is None else None
        if before is not None:
            plan.claimed(before, before.order)
            return before
        view = view or plan.next_shared(asked.scope.path, name)
        if plan.dynamic:
            self.branch(view.order if view is not None else None)
            view = None
        elif view is None:
            plan.reached_branch(name)
        place = plan.place(name) if view is None else plan.place_of(name, view.order, view.occurrence)
        record = self._fresh(asked, place)
        record.began = record.at = engine.now()
        record.how, record.output = "pinned", output
        return self._given(asked, record)

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
            scope=asked.scope.path,
            repeat=self._engine.plan.repeat(asked.identity),
            occurrence=place.occurrence,
            after=place.after,
            key=asked.key,
            args=asked.args,
            code=asked.checkpoint.code,
            drift=drift,
        )

    # -- a recorded result -----------------------------------------------------------------------------------------

    def recorded(self, view: CallView, scope: Scope | None = None) -> Any:  # noqa: ANN401 - whatever was recorded
        """Return a recorded result, or raise a recorded failure; `scope` is where it is wanted."""
        record = self.tell_recorded(view)
        value = self._rebuilt(view, record)
        if record.error is not None and isinstance(value, BaseException):
            self.failures.remember(value, view.id, view.scope)
            raise value
        if scope is not None:
            self.show(scope, record)
        return value

    def tell_recorded(self, view: CallView) -> Call:
        """A recorded call was taken: tell the observer, and return its record."""
        record = view.record
        assert record is not None  # noqa: S101 - only finished calls are claimed
        if self._engine.observer is not None:
            shared = "recorded" if view.run == self._engine.run else "shared"
            self._tell(view.label, record, record.how if record.how != "ran" else shared, view.stale, view.drift)
        if record.saved:
            self.saved.update(record.saved)
        if record.output is not None:
            self.outputs.setdefault(record.output, view.label)
        return record

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

    # -- what an execution tells --------------------------------------------------------------------------------------

    def finished(self, record: Call) -> None:
        """An attempt has been recorded."""
        self.saved.update(record.saved)
        if record.output is not None:
            self.outputs.setdefault(record.output, display_call(record.name, record.occurrence))
        for look in self._engine.after_call:
            look(record)
        if self._engine.observer is not None:
            self._tell(display_call(record.name, record.occurrence), record, "ran", [], record.drift)

    def show(self, scope: Scope, record: Call) -> None:
        """A call's result reached the line of work that made it: a wait there shows it."""
        if record.output is not None:
            scope.shown = record

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
            reused=record.reused,
            error=error,
            stale=stale,
            mutated=record.mutated,
            drift=drift,
            delay_us=record.delay,
            overran_us=record.overran,
            llm=record.llm,
        )
