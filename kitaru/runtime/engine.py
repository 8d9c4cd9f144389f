"""One run executing: from a body to an outcome, by way of calls and waits.

Owns: the run as a whole, and the one place where records are committed and events told. How a call is matched and
executed is `runtime.calls`, questions are `runtime.waits`, a stop is `runtime.latch`. Knows no screen.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from kitaru.errors import (
    KitaruError,
    RunInterrupted,
    StoreError,
)
from kitaru.model import folding
from kitaru.model.records import Begun, Call, Record, Resumed, Stored
from kitaru.runtime.calls import Calls
from kitaru.runtime.context import ActiveCall, current_engine, executing
from kitaru.runtime.ending import Ending, Outcome
from kitaru.runtime.events import Event, Observer, Services
from kitaru.runtime.latch import Latch
from kitaru.runtime.limits import Limits
from kitaru.runtime.lookout import Lookout
from kitaru.runtime.on_loops import OnLoops
from kitaru.runtime.options import FlowOptions
from kitaru.runtime.output import Output
from kitaru.runtime.placements import Placements
from kitaru.runtime.results import Results
from kitaru.runtime.scopes import Scope
from kitaru.runtime.shelf import Shelf
from kitaru.runtime.sleeping import STAY_US, Sleeps
from kitaru.runtime.stopping import RunStopped
from kitaru.runtime.waits import Waits
from kitaru.runtime.watcher import InFlight
from kitaru.store.live import LiveWriter
from kitaru.store.names import CancelName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kitaru.model.history import RunState
    from kitaru.runtime.live_call import Asked
    from kitaru.runtime.plan import Plan
    from kitaru.runtime.replies import Replies
    from kitaru.runtime.submitting import Submitter
    from kitaru.runtime.values import Values
    from kitaru.store.repository import RunWriter


class Engine(Latch):
    """Executes one run, once: from its start, or from what is recorded of it.

    Args:
        writer: the run, open for writing and locked.
        state: what its records add up to; kept up to date here.
        values: encoding and decoding for this project.
        plan: what may be reused and what is overridden.
        services: clock and randomness.
        replies: those that were given to the run's waits.
        on_drift: policy for the whole run, or empty.
        flow_on_drift: the flow's own policy, or empty.
        options: what else the flow says.
        observer: told what happens, or None.
        resumed: record to write before the first new one, where the run is taken up again.
        find_request: returns the request to cancel the run, if there is one; asked some twenty times a second.
        live: takes what calls in flight write, for those who follow the run.
        limits: what the run may not exceed.
        stay_us: how long a sleep may be for which the process stays.
        prompts: who executes the run asks its questions himself, so that nothing stays for an answer.
        settings: tables of the project's configuration, for floors above that are called from inside of the run.
    """

    def __init__(
        self,
        writer: RunWriter,
        state: RunState,
        values: Values,
        plan: Plan,
        *,
        services: Services,
        replies: Replies,
        on_drift: str = "",
        flow_on_drift: str = "",
        options: FlowOptions | None = None,
        observer: Observer | None = None,
        resumed: Resumed | None = None,
        find_request: Callable[[], CancelName | None] = lambda: None,
        live: LiveWriter | None = None,
        limits: Limits | None = None,
        stay_us: int = STAY_US,
        prompts: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.run = writer.run
        self.settings: Mapping[str, Any] = settings or {}
        self.writer = writer
        self.state = state
        self.values = values
        self.plan = plan
        self.services = services
        self.observer = observer
        self.on_drift, self.flow_on_drift = on_drift, flow_on_drift
        self.options = options or FlowOptions()
        self.scope = Scope()
        self.placements = Placements()
        self.reuse: Callable[[Asked], Mapping[str, Any]] | None = None
        """Returns fields of a call's record that the result cache knows: with `output`, it need not execute."""
        self.after_call: list[Callable[[Call], None]] = []
        """Called with the record of each attempt that was recorded, on the thread or loop that carries it."""
        self.limits = limits or Limits()
        self.lookout = Lookout(self, find_request)
        self.in_flight = InFlight(services.clock_us, self._record_begun, self.lookout.look)
        self.output = Output(self, live or LiveWriter(None))
        self.results = Results(self)
        self.calls = Calls(self)
        self.waits = Waits(self, replies, prompts=prompts)
        self.sleeps = Sleeps(self, stay_us)
        self.ending = Ending(self)
        self.left_at_once = False
        """A second Ctrl-C came: nobody waits for calls that execute."""
        self._submitter: Submitter | None = None
        self.on_loops = OnLoops()
        self.shelf = Shelf()
        self._resumed = resumed
        self._lock = threading.RLock()

    # -- the run as a whole ------------------------------------------------------------------------------------

    def execute(self, body: Callable[[], Any]) -> Outcome:
        """Run the body to its end or to a stop, and say how it came out. The writer is sealed or closed."""
        try:
            with executing(self), self.in_flight:
                self.lookout.begin()
                return self._execute(body)
        except KeyboardInterrupt:  # once more, while calls were left to end
            self.left_at_once = True
            return self.ending.interrupted(self.interrupted())
        except (StoreError, RunStopped) as error:
            return self.ending.interrupted(error if isinstance(error, StoreError) else self.reason)
        finally:
            if self._submitter is not None:
                self._submitter.open.close()
            self.on_loops.close()
            self.placements.close()
            self.output.close()
            self.writer.close()

    def _execute(self, body: Callable[[], Any]) -> Outcome:
        try:
            value = body()
            self.drain()
            self.check_latch()
            lost = self._submitter.open.lost() if self._submitter is not None else None
            if lost is not None:
                raise lost  # noqa: TRY301 - as the body itself would, had it asked for the result
            return self.ending.completed(value)
        except RunStopped:
            self._leave()
            return self.ending.stopped()
        except KeyboardInterrupt:
            self.interrupt()
            if not self.left_at_once:
                self._leave()
            return self.ending.interrupted(self.interrupted())
        except BaseException as error:
            self._leave()
            return self.ending.stopped() if self.has_stopped else self.ending.failed(error)

    @property
    def submitter(self) -> Submitter:
        """What calls are submitted to; made when first needed."""
        with self._lock:
            if self._submitter is None:
                from kitaru.runtime.submitting import Submitter

                self._submitter = Submitter(self)
            return self._submitter

    def drain(self) -> None:
        """Return once every submitted call, and every call in flight, is over and recorded."""
        if self._submitter is not None:
            self._submitter.open.drain()
        if self.in_flight.is_busy:
            self.in_flight.drain()

    def _leave(self) -> None:
        """The body is over before its end: let calls that cannot be stopped, or need not be, end first."""
        self.tell_leaving()
        self.drain()

    def tell_leaving(self) -> None:
        """Tell which calls are waited for, now that the body is over before its end."""
        if self.in_flight.is_busy:
            self.emit("stopping", calls=self.in_flight.labels)

    # -- stopping ----------------------------------------------------------------------------------------------

    def request_stop(self, reason: KitaruError) -> None:
        """Stop the run at once, from any thread: latch, and cancel what executes, where something can be cancelled.

        What cannot (a function on a thread of this process) is left to end; it is recorded then.
        """
        self.stop(reason)
        self.in_flight.cancel()

    @property
    def is_busy(self) -> bool:
        """Whether a call is in flight, submitted, or between two attempts."""
        submitted = self._submitter is not None and self._submitter.open.is_busy
        return submitted or self.in_flight.is_busy or bool(self.on_loops.tasks)

    def pause(self, delay_us: int) -> None:
        """Let time pass, unless the run stops; raises `RunStopped` then."""
        self.check_latch()
        self.rest(self.services.delay(delay_us / 1_000_000))

    def interrupt(self) -> None:
        """Stop the run, to be resumed; safe from any thread."""
        self.request_stop(self.interrupted())

    def interrupted(self) -> RunInterrupted:
        """Return the reason of a run that Ctrl-C stopped."""
        reason = RunInterrupted(f"run {self.run} was interrupted", hint=f"kitaru resume {self.run}")
        reason.at_once = self.left_at_once
        return reason

    # -- writing and telling -------------------------------------------------------------------------------------

    def now(self) -> int:
        """Return the time, in microseconds since 1970 UTC."""
        return self.services.clock_us()

    def commit(self, record: Record, objects: Sequence[tuple[str, bytes]] = (), *, sync: bool = True) -> Stored:
        """Record something, after all that was recorded before; return when it is durable (if `sync`).

        Raises:
            RunStopped: the store could not be written; the reason is latched.
        """
        try:
            if self._resumed is not None:
                self.record_resumed()
            stored = self.writer.commit(record, objects, sync=sync)
        except StoreError as error:
            raise self.stop(error) from error
        with self._lock:
            folding.add(self.state, stored)
        return stored

    def sync(self) -> None:
        """Return when all that was recorded is durable; raises as `commit`."""
        try:
            self.writer.sync()
        except StoreError as error:
            raise self.stop(error) from error

    @property
    def only_resumed(self) -> bool:
        """Whether it is recorded that this execution took the run up again, and nothing that came of it."""
        return self._resumed is None and bool(self.state.resumed) and self.state.barren > 0

    def record_resumed(self) -> None:
        """Write that the run was taken up again: by itself only once there is something to write after it."""
        with self._lock:
            if self._resumed is not None:
                folding.add(self.state, self.writer.commit(self._resumed, sync=False))
                self._resumed = None

    def _record_begun(self, active: ActiveCall) -> None:
        began = Begun(
            self.now(),
            active.name,
            active.order,
            active.began_us,
            scope=active.scope,
            occurrence=active.occurrence,
            after=active.after,
        )
        with contextlib.suppress(RunStopped):  # latched: the body meets it at its next call
            self.commit(began, sync=False)

    def emit(self, kind: str, **data: Any) -> None:  # noqa: ANN401 - JSON-able values
        """Tell the observer, if there is one. What it writes in turn is not the run's output.

        Where it fails (a pipe that nobody reads any more), the run stops at its next call, to be resumed.
        """
        observer = self.observer
        if observer is None:
            return
        token = current_engine.set(None)
        try:
            observer(Event(kind, self.run, data))
        except Exception as error:
            self.observer = None
            why = f"what watched it failed: {type(error).__name__}: {error}"
            reason = RunInterrupted(f"run {self.run} was interrupted: {why}", hint=f"kitaru resume {self.run}")
            reason.__cause__ = error
            self.stop(reason)
        finally:
            current_engine.reset(token)
