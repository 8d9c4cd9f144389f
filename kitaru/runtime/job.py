"""One submitted call: decided when its inputs are there, executed when it has a place.

Owns: what it waits for, and that whoever holds its future learns what became of it. What a decision is, `runtime.calls`
knows; executing is the carriers'. Knows of other calls only what `runtime.open_calls` is told.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from typing import TYPE_CHECKING, Any

from kitaru.runtime.carriers import carry
from kitaru.runtime.execution import Execution, patience_s
from kitaru.runtime.failures import is_called_off
from kitaru.runtime.futures import CallFuture, filled
from kitaru.runtime.live_call import Asked
from kitaru.runtime.stopping import RunStopped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.model.history import CallView
    from kitaru.model.records import Call
    from kitaru.runtime.decorators import Checkpoint
    from kitaru.runtime.open_calls import OpenCalls
    from kitaru.runtime.plan import Place
    from kitaru.runtime.pool import Slots
    from kitaru.runtime.scopes import Scope

Arguments = tuple[tuple[Any, ...], "Mapping[str, Any]"]


class Job:
    """One submitted call, from its arguments to its result."""

    def __init__(
        self,
        open_calls: OpenCalls,
        checkpoint: Checkpoint[..., Any],
        given: Arguments,
        scope: Scope,
        maker: Scope,
        *,
        reserves: bool,
        on_drift: str = "",
    ) -> None:
        self.checkpoint, self.given, self.scope = checkpoint, given, scope
        self.engine, self._open_calls = open_calls.engine, open_calls
        self.future: CallFuture[Any] = CallFuture(checkpoint.name, maker)
        self.execution: Execution | None = None
        self.context = contextvars.copy_context()
        self.place: Place | None = self.engine.calls.reserve(scope, checkpoint.name) if reserves else None
        self._held: list[Slots] = []
        self._on_drift = on_drift
        self._missing = 0
        if checkpoint.is_async:
            self.future.executes_here()
        self.future.call_off = self._call_off
        open_calls.opened(self.future)
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
                self._open_calls.pool.put(lambda: self._deliver_durable(found))
            else:
                self._deliver(found, asked)
        except (Exception, RunStopped) as error:
            self._failed(error)
            self._open_calls.note_unmade()

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
            from kitaru.runtime.loop_carrier import carry_on_loop

            carry_on_loop(self)
        else:
            self._open_calls.pool.put(self.work)

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
                self._open_calls.unmade(self.checkpoint.name, self.scope.path, self.place)
        finally:  # whatever happened: the run waits until nothing is open
            self._open_calls.closed(future)

    def _record_called_off(self, execution: Execution) -> None:
        """Record that a call was called off before it began, unless the run stops, or stops because of it."""
        if not self.engine.has_stopped:
            with contextlib.suppress(RunStopped):  # latched, or only a check, which records nothing
                execution.begin()
                try:
                    execution.fail(execution.called_off(), again=False)
                except RunStopped:
                    execution.leave()
