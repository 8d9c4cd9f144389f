"""Submitted calls of a run: decided in the order they are made in, executed when their inputs and a place are there.

Owns: when a submitted call is decided, what it waits for before it executes, and which are still open. What a decision
is, `runtime.calls` knows; executing is the carriers'. Nothing here blocks whoever submits.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from typing import TYPE_CHECKING, Any

from kitaru.model.records import Note
from kitaru.runtime.carriers import carry
from kitaru.runtime.execution import Execution, patience_s
from kitaru.runtime.failures import is_called_off
from kitaru.runtime.futures import CallFuture, CallFutures, filled, inputs_in
from kitaru.runtime.live_call import Asked
from kitaru.runtime.pool import Pool
from kitaru.runtime.scopes import scope_here
from kitaru.runtime.stopping import RunStopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kitaru.model.history import CallView
    from kitaru.model.records import Call
    from kitaru.runtime.decorators import Checkpoint
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.plan import Place
    from kitaru.runtime.pool import Slots
    from kitaru.runtime.scopes import Scope

WINDOW = 4
"""Items of a map that are decided ahead, for each worker: what they would write is held in memory."""

Arguments = tuple[tuple[Any, ...], "Mapping[str, Any]"]


class Submitter:
    """The submitted calls of one execution of a run."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.pool = Pool(engine.options.max_workers, f"kitaru-{engine.run}")
        self._open: set[CallFuture[Any]] = set()
        self._changed = threading.Condition()
        self._lost: list[CallFuture[Any]] = []
        self._unmade: list[tuple[str, str, int]] = []

    def submit(self, checkpoint: Checkpoint[..., Any], given: Arguments) -> CallFuture[Any]:
        """Make a call that somebody else carries; its place in the call order is the one it is submitted at.

        Raises:
            RunStopped: the run stops here.
        """
        self.engine.check_latch()
        maker = scope_here(self.engine.scope)
        inputs = inputs_in([*given[0], *given[1].values()])
        scope = maker.child(f"submit:{checkpoint.name}") if inputs else maker
        job = Job(self, checkpoint, given, scope, maker, reserves=bool(inputs))
        job.begin(inputs)
        if job.future.done():
            error = job.future.failure()
            if isinstance(error, RunStopped):
                raise error
        return job.future

    def map(
        self, checkpoint: Checkpoint[..., Any], items: Iterable[Arguments], *, cancel_others: bool
    ) -> CallFutures[Any]:
        """Make a call for each item, in a scope of their own, where an item is known by its arguments.

        Raises:
            RunStopped: the run stops here.
        """
        self.engine.check_latch()
        maker = scope_here(self.engine.scope)
        scope = maker.child(f"map:{checkpoint.name}")
        jobs = [Job(self, checkpoint, given, scope, maker, on_drift="new", reserves=True) for given in items]
        window = WINDOW * self.engine.options.max_workers
        feed = Feed(jobs, window, self.note_unmade, cancel_others=cancel_others)
        feed.go_on()
        self.engine.check_latch()
        return CallFutures(feed.futures)

    # -- what is open ----------------------------------------------------------------------------------------------

    def opened(self, future: CallFuture[Any]) -> None:
        """A call is submitted, and is not over."""
        with self._changed:
            self._open.add(future)

    def closed(self, future: CallFuture[Any]) -> None:
        """A submitted call is over."""
        with self._changed:
            self._open.discard(future)
            if future.failure() is not None:
                self._lost.append(future)
            self._changed.notify_all()

    @property
    def is_busy(self) -> bool:
        """Whether a submitted call is not over."""
        return bool(self._open)

    def drain(self) -> None:
        """Return once every submitted call is over."""
        with self._changed:
            while self._open:
                self._changed.wait()
        self.note_unmade()

    def unmade(self, name: str, scope: str, place: Place) -> None:
        """A call had a place, and is not to be made in it: its input failed, or it was called off before."""
        with self._changed:
            self._unmade.append((name, scope, place.occurrence))

    def note_unmade(self) -> None:
        """Record the places that stay empty: a resume takes none of them for a call that a crash cut short."""
        with self._changed:
            unmade, self._unmade = self._unmade, []
        found: dict[tuple[str, str], list[int]] = {}
        for name, scope, occurrence in unmade:
            found.setdefault((name, scope), []).append(occurrence)
        calls = [{"name": name, "scope": scope, "occurrences": sorted(n)} for (name, scope), n in found.items()]
        if calls:
            with contextlib.suppress(RunStopped):  # latched: the body meets it at its next call
                self.engine.commit(Note(self.engine.now(), "unmade", {"calls": calls}), sync=False)

    def lost(self) -> BaseException | None:
        """Return the first failure that nobody asked for, if there is one."""
        for future in self._lost:
            error = future.failure()
            if not future.taken and not isinstance(error, RunStopped):
                return error
        return None

    def close(self) -> None:
        """The execution is over."""
        self.pool.close()


class Job:
    """One submitted call, from its arguments to its result."""

    def __init__(
        self,
        submitter: Submitter,
        checkpoint: Checkpoint[..., Any],
        given: Arguments,
        scope: Scope,
        maker: Scope,
        *,
        reserves: bool,
        on_drift: str = "",
    ) -> None:
        self.submitter, self.checkpoint, self.given, self.scope = submitter, checkpoint, given, scope
        self.engine = submitter.engine
        self.future: CallFuture[Any] = CallFuture(checkpoint.name, maker)
        self.execution: Execution | None = None
        self.context = contextvars.copy_context()
        self.place: Place | None = self.engine.calls.reserve(scope, checkpoint.name) if reserves else None
        self._held: list[Slots] = []
        self._on_drift = on_drift
        self._missing = 0
        if checkpoint.is_async:
            self.future.loop = _running_loop()
        self.future.call_off = self._call_off
        submitter.opened(self.future)
        self.future.when_done(self._over)

    def begin(self, inputs: list[CallFuture[Any]]) -> None:
        """Decide the call now, or as soon as these futures are done."""
        self._missing = len(inputs) + 1  # one for this very thread, which decides if all are there
        lock = threading.Lock()

        def arrived(_: object) -> None:
            with lock:
                self._missing -= 1
                ready = self._missing == 0
            if ready:
                self._decide(inputs)

        for future in inputs:
            future.taken = True
            future.when_done(arrived)
        arrived(None)

    def _decide(self, inputs: list[CallFuture[Any]]) -> None:
        if self.future.done():
            return
        try:
            if inputs:
                args, kwargs = self.given
                self.given = tuple(filled(v) for v in args), {n: filled(v) for n, v in kwargs.items()}
            self.engine.check_latch()
            args, kwargs = self.given
            asked = Asked(
                self.engine, self.checkpoint, args, kwargs, self.scope, on_drift=self._on_drift, place=self.place
            )
            found = self.engine.calls.decide(asked)
            self.place = None
            if isinstance(found, Execution):
                asked.objects = self.engine.shelf.share(asked.objects)
                self.execution = found
                self._queue()
            elif asked.unsynced:
                self.submitter.pool.put(lambda: self._deliver_durable(found))
            else:
                self._deliver(found, asked)
        except (Exception, RunStopped) as error:
            self._failed(error)
            self.submitter.note_unmade()

    def _deliver_durable(self, view: CallView) -> None:
        """Give a result whose record was just written, on a thread: several that wait for the disk share one sync."""
        if not self.future.starts():
            return
        try:
            self.engine.sync()
            self._came(self.engine.results.recorded(view), view.record)
        except (Exception, RunStopped) as error:
            self._failed(error)

    def _deliver(self, view: CallView, asked: Asked) -> None:
        if is_called_off(view):
            patience = patience_s(self.engine.results.tell_recorded(view))
            timer = threading.Timer(patience, self._execute_again, (view, asked))
            timer.daemon = True
            self.future.when_done(lambda _: timer.cancel())
            timer.start()
            return
        value = self.engine.results.recorded(view)
        self._came(value, view.record)

    def _execute_again(self, view: CallView, asked: Asked) -> None:
        """Nobody has called off what had been called off: it is executed."""
        if self.future.done():
            return
        try:
            self.execution = self.engine.calls.again(asked, view)
            self._queue()
        except (Exception, RunStopped) as error:
            self._failed(error)

    def _came(self, value: object, record: Call | None) -> None:
        if record is not None and record.output is not None:
            self.future.shown = record
        if not self.future.cancelled():
            self.future.set_result(value)

    def _failed(self, error: BaseException) -> None:
        if not self.future.cancelled():
            self.future.set_exception(error)

    # -- executing -------------------------------------------------------------------------------------------------

    def _queue(self) -> None:
        slots = self.engine.calls.slots(self.checkpoint)
        if slots is None:
            self._launch()
        else:
            slots.take(lambda: self._launch(slots))

    def _launch(self, slots: Slots | None = None) -> None:
        if slots is not None:
            self._held.append(slots)
        if self.future.done():  # called off while it stood in line
            self._give()
        elif self.future.loop is not None:
            from kitaru.runtime.loops import carry_on_loop

            carry_on_loop(self)
        else:
            self.submitter.pool.put(self.work)

    def _give(self) -> None:
        """Give the place back that this call holds, if it holds one."""
        while self._held:
            self._held.pop().give()

    def work(self) -> None:
        """Execute the call on this thread, in the context it was submitted in."""
        if not self.starts():
            return
        assert self.execution is not None  # noqa: S101 - decided before it was put
        try:
            value = self.context.run(carry, self.execution)
        except BaseException as error:  # whoever asks for the result meets it
            self._failed(error)
        else:
            self.ended(value)

    def starts(self) -> bool:
        """Tell whether to execute: not where the call was called off, or the run has stopped."""
        if not self.future.starts():
            return False
        if self.engine.has_stopped:
            self._failed(self.engine.stopped())
            return False
        return True

    def ended(self, value: object) -> None:
        """The function returned, and that is recorded."""
        assert self.execution is not None  # noqa: S101 - it executed
        self._came(value, self.execution.record)

    def failed(self, error: BaseException) -> None:
        """The call failed, and that is recorded, or the run stops."""
        self._failed(error)

    # -- ends ------------------------------------------------------------------------------------------------------

    def _call_off(self) -> bool:
        """Stop what executes, if something can."""
        active = self.execution.active if self.execution is not None and self.execution.has_begun else None
        if active is None or active.cancel is None or self.engine.has_stopped:
            return False
        active.called_off = True
        active.cancel()
        return True

    def _over(self, future: CallFuture[Any]) -> None:
        execution, self.execution = self.execution, None
        self.given = ((), {})
        try:
            self._give()
            if future.cancelled() and execution is not None and not execution.has_begun:
                self._record_called_off(execution)
            if self.place is not None and not self.engine.has_stopped:
                self.submitter.unmade(self.checkpoint.name, self.scope.path, self.place)
        finally:  # whatever happened: the run waits until nothing is open
            self.submitter.closed(future)

    def _record_called_off(self, execution: Execution) -> None:
        """Record that a call was called off before it began, unless the run stops, or stops because of it."""
        if not self.engine.has_stopped:
            with contextlib.suppress(RunStopped):  # latched, or only a check, which records nothing
                execution.begin()
                try:
                    execution.fail(execution.called_off(), again=False)
                except RunStopped:
                    execution.leave()


class Feed:
    """The jobs of a map, begun in order, a bounded number ahead of those that are over."""

    def __init__(self, jobs: list[Job], window: int, note_unmade: Callable[[], None], *, cancel_others: bool) -> None:
        self.futures = [job.future for job in jobs]
        self._note_unmade = note_unmade
        self._jobs, self._room = list(reversed(jobs)), window
        self._lock = threading.Lock()
        self._feeding = False
        self._cancel_others = cancel_others

    def go_on(self) -> None:
        """Begin as many as there is room for, unless another thread is at it: that one goes on then."""
        while (job := self._next()) is not None:
            job.future.when_done(self._over)
            job.begin(inputs_in([*job.given[0], *job.given[1].values()]))
            with self._lock:
                self._feeding = False

    def _next(self) -> Job | None:
        with self._lock:
            if self._feeding or not self._jobs or self._room <= 0:
                return None
            self._feeding, self._room = True, self._room - 1
            return self._jobs.pop()

    def _over(self, future: CallFuture[Any]) -> None:
        with self._lock:
            self._room += 1
        if self._cancel_others and future.failure() is not None:
            self._call_off_all(future)
        self.go_on()

    def _call_off_all(self, culprit: CallFuture[Any]) -> None:
        with self._lock:
            self._cancel_others, self._jobs = False, []
        for other in self.futures:
            if other is not culprit:
                other.drop()
        self._note_unmade()


def _running_loop() -> Any:  # noqa: ANN401 - an event loop, a type that must not be imported for nothing
    from asyncio import _get_running_loop

    return _get_running_loop()


def outside_run(checkpoint: Checkpoint[..., Any], given: Arguments) -> CallFuture[Any]:
    """Call a function where no run executes, or inside of a checkpoint, at once; its result is there already.

    An async function is executed by a task of the running loop, if there is one.
    """
    future: CallFuture[Any] = CallFuture(checkpoint.name)
    future.set_running_or_notify_cancel()
    loop = _running_loop() if checkpoint.is_async else None
    try:
        args = tuple(filled(v) for v in given[0])
        kwargs = {n: filled(v) for n, v in given[1].items()}
        if loop is not None:
            from kitaru.runtime.loops import settle

            future.loop = loop
            settle(loop.create_task(checkpoint.fn(*args, **kwargs)), future)
        else:
            future.set_result(checkpoint.run_to_end(args, kwargs))
    except Exception as error:
        future.set_exception(error)
    return future
