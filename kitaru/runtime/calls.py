"""One call of a checkpoint in a run: decided, so that it has a record or is to be executed.

Owns: a call's way to the record that it takes, or to the one that executing it fills. Which record fits is
`model.matching`, what may be shared is `runtime.plan`, what drift does is `runtime.drift`; executing is
`runtime.execution`, what a record comes to `runtime.results`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.errors import UsageError
from kitaru.model.records import Call, Note
from kitaru.runtime.carriers import carry_inline
from kitaru.runtime.drift import decide
from kitaru.runtime.execution import Execution
from kitaru.runtime.live_call import Asked
from kitaru.runtime.pool import Slots
from kitaru.runtime.scopes import scope_here
from kitaru.runtime.today import Today

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.model.history import CallView
    from kitaru.runtime.decorators import Checkpoint
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.plan import Place
    from kitaru.runtime.scopes import Scope


class Calls:
    """The calls of one execution of a run."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._today = Today(engine.values, engine.results.decoder)
        self._deciding = engine.plan.lock
        self._slots: dict[str, Slots] = {}

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
            return engine.results.recorded(found, scope)
        value = carry_inline(found)
        engine.results.show(scope, found.record)
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
        """Return what executes a recorded call once more, in its own place: nobody has called it off this time."""
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
            self._engine.results.failures.went_past(asked.scope.path)
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
