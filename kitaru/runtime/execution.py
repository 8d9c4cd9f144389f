"""One call executing: the steps of it, each synchronous, each recorded before it returns.

Owns: what happens when a call begins, gives a value, fails, or is left: its record, what it gathered, whether a failed
attempt is made again. Who carries it (this thread, a pool's, an event loop) is `runtime.carriers`, where the function
runs is a placement; neither writes anything.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from kitaru.errors import CallCancelled, Unencodable
from kitaru.model.ids import display_call
from kitaru.model.matching import identity_of
from kitaru.runtime.context import ActiveCall
from kitaru.runtime.options import INLINE
from kitaru.runtime.redaction import redacted_lines
from kitaru.runtime.stopping import RunStopped

if TYPE_CHECKING:
    from kitaru.model.encoding import Encoded
    from kitaru.model.history import CallView
    from kitaru.model.records import Call, Stored
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.live_call import Asked
    from kitaru.runtime.options import CheckpointOptions

_IMMUTABLE = frozenset({int, str, bool, float, complex, bytes, type(None), range})
"""Types that a checkpoint cannot change in place."""


PATIENCE_S = 1.0
"""How much longer than twice what it lasted a call that was called off is given to be called off again."""


class Placement(Protocol):
    """Where a call's function runs: in this process, in one of its own, elsewhere."""

    def execute(self, execution: Execution) -> Any:  # noqa: ANN401 - what the function returns
        """Run the function to its end, blocking, and return its value or raise its error.

        It is called once for each attempt, on the thread that carries the call. It may set `execution.encoded`, where
        the value exists as objects already, fill `execution.active` with what the function saved, logged and wrote,
        and set `execution.active.cancel`. The attempt's time limit, `execution.options.timeout`, is its to keep.
        """


class Execution:
    """One call of a checkpoint that has no record: its attempts, up to a value or to a failure.

    `begin()`, then `run()` where the function runs, then one of `succeed()`, `fail(error)` and `leave()`; after a
    failure that gives a delay, again from `begin()`.

    Attributes:
        record: what is recorded of the attempt at hand.
        active: the attempt at hand, as user code sees it.
        encoded: the value's id and new objects, once they are known.
        failure: an error that is described already, with its description and new objects; from another process.
        copied: the function had copies of its arguments, and cannot have changed them in place.
    """

    __slots__ = (
        "active",
        "asked",
        "copied",
        "encoded",
        "engine",
        "failure",
        "has_begun",
        "options",
        "record",
        "repeat",
    )

    def __init__(self, engine: Engine, asked: Asked, record: Call, repeat: int) -> None:
        self.engine, self.asked, self.record, self.repeat = engine, asked, record, repeat
        self.options: CheckpointOptions = asked.checkpoint.options
        self.encoded: Encoded | None = None
        self.failure: tuple[BaseException, dict[str, Any], Encoded] | None = None
        self.copied = False
        self.active: ActiveCall
        self.has_begun = False

    @property
    def label(self) -> str:
        """The call as shown and typed."""
        return display_call(self.record.name, self.record.occurrence)

    @property
    def early_us(self) -> int:
        """For how long the next attempt is still to wait, where a crash fell between two attempts; 0 for nearly all."""
        if self.options.retries is None:
            return 0
        view = self.engine.state.calls.get(self.record.order)
        last = view.record if view is not None and view.run == self.engine.run else None
        if last is None or last.delay is None:
            return 0
        return max(0, last.at + last.delay - self.engine.now())

    def begin(self) -> ActiveCall:
        """An attempt begins: it is in flight from here on."""
        engine, record = self.engine, self.record
        if record.at:  # written already: the attempt before this one
            fresh: dict[str, Any] = {
                "error": None,
                "delay": None,
                "saved": {},
                "logs": None,
                "metadata": None,
                "output": None,
                "llm": [],
            }
            record = self.record = replace(record, at=0, mutated=[], **fresh)
        self.encoded = self.failure = None
        record.began = engine.now()
        view = engine.state.calls.get(record.order)
        attempt = 1 + (len(view.attempts) if view is not None else 0)
        active = self.active = ActiveCall(
            engine.run,
            record.name,
            record.order,
            record.occurrence,
            record.began,
            attempt,
            partial(_key, engine.run, record, self.repeat),
            record.after,
            scope=record.scope,
            live=engine.output.write_live,
        )
        self.has_begun = True
        if engine.observer is not None:
            engine.emit("begin", call=self.label, name=record.name, order=record.order)
        engine.in_flight.add(active)
        return active

    def run(self) -> Any:  # noqa: ANN401 - what the function returns
        """Run the function where it belongs, and return what can be recorded as its value.

        Raises:
            Unencodable: the value cannot be stored.
            BaseException: whatever the function raised.
        """
        value = self.engine.placements.resolve(self.options.runtime).execute(self)
        self.returned(value)
        return value

    def invoke(self) -> Any:  # noqa: ANN401 - what the function returns
        """Call the function itself, here and now."""
        asked = self.asked
        return asked.checkpoint.fn(*asked.positional, **asked.kwargs)

    def returned(self, value: object) -> None:
        """Encode the function's value, unless the placement has; raises Unencodable."""
        if self.encoded is None:
            writer = self.engine.writer
            self.encoded = self.engine.values.encode(
                value, writer.known, f"the result of {self.record.name}", sink=writer.stage
            )

    # -- ends ------------------------------------------------------------------------------------------------------

    def succeed(self, *, sync: bool = True) -> None:
        """Record the value; with `sync`, return when it is durable."""
        assert self.encoded is not None  # noqa: S101 - `returned` came before
        self.record.output = self.encoded.id
        self._finish(self.encoded.objects, sync=sync)

    def raised(self, error: BaseException, *, sync: bool = True) -> tuple[BaseException, int | None]:
        """Take what an attempt raised: leave the call where the run stops, else record its failure.

        Args:
            sync: return when it is durable.

        Returns:
            The failure that is recorded, and the microseconds until the next attempt, or None where this was the last.

        Raises:
            RunStopped: the run stops; nothing is recorded.
            GeneratorExit: the coroutine is closed; nothing is recorded.
        """
        engine, active = self.engine, self.active
        if isinstance(error, (RunStopped, GeneratorExit)):
            self.leave()
            raise error
        if isinstance(error, KeyboardInterrupt):
            self.leave()
            raise engine.stop(engine.interrupted()) from None
        if active.stopped:
            self.leave()
            raise engine.stopped() from None
        failure = self.called_off() if active.called_off else error
        return failure, self.fail(failure, again=not active.called_off, sync=sync)

    def fail(self, error: BaseException, *, again: bool = True, sync: bool = True) -> int | None:
        """Record a failure. Return the microseconds until the next attempt, or None where this was the last.

        Args:
            error: what the function raised, or what stands for it.
            sync: return when it is durable.
            again: whether the checkpoint's `retries` may have it attempted again.
        """
        engine, record, retries = self.engine, self.record, self.options.retries
        if retries is not None and again and not engine.has_stopped:
            view = engine.state.calls.get(record.order)
            record.delay = retries.delay_us(1 + tried(view), error, engine.services.random_bytes)
        record.error, encoded = self._described(error)
        stored = self._finish(encoded.objects if encoded is not None else [], sync=sync)
        if record.delay is None:
            engine.results.failures.remember(error, stored.id, record.scope)
        return record.delay

    def _described(self, error: BaseException) -> tuple[dict[str, Any], Encoded | None]:
        if self.failure is not None and self.failure[0] is error:
            return self.failure[1:]
        return self.engine.values.describe_error(error, self.engine.writer.known)

    def called_off(self) -> CallCancelled:
        """Return the failure of a call that the code around it has cancelled."""
        return CallCancelled(f"{self.label} was called off by the code around it")

    def leave(self) -> None:
        """The run stops while the function executes: nothing is recorded, and a resume executes it again."""
        self._is_over()
        self.engine.output.flush(self.active)
        self.engine.output.forget(self.active)

    def _finish(self, objects: list[tuple[str, bytes]], *, sync: bool) -> Stored:
        engine, record, active = self.engine, self.record, self.active
        engine.output.flush(active)
        record.mutated = self._mutated()
        gathered = self.asked.objects + objects
        for name, encoded in active.saved.items():
            record.saved[name] = encoded.id
            gathered += encoded.objects
        if active.metadata:
            record.metadata = self._also(active.metadata, "kitaru.log()", gathered)
        if active.llm:
            record.llm = list(active.llm)
            gathered += active.objects
        if active.output:
            record.logs = self._also(redacted_lines(active.output), "its output", gathered)
        record.at = engine.now()
        self._note_overrun()
        self._is_over()
        stored = engine.commit(record, gathered, sync=sync)
        engine.output.forget(active)
        engine.results.finished(record)
        return stored

    def _is_over(self) -> None:
        """The attempt executes no more, and has nothing left that could be cancelled."""
        self.engine.in_flight.remove(self.active)
        if self.active.cancel is not None:  # it may know the task that knows the attempt: garbage that stays for long
            self.active.cancel = _cancel_nothing

    def _note_overrun(self) -> None:
        """Say that the function took longer than it may, where nothing can stop one: on a thread of this process."""
        timeout, record = self.options.timeout, self.record
        if timeout is None or self.options.runtime != INLINE or self.asked.checkpoint.is_async:
            return
        record.overran = max(0, record.at - record.began - int(timeout * 1_000_000))
        if record.overran:
            import warnings

            warnings.warn(
                f"{self.label} took {record.overran / 1_000_000:.3g} s longer than its timeout of {timeout:g} s; "
                'a function on a thread cannot be stopped: make it async, or give it runtime="isolated"',
                RuntimeWarning,
                stacklevel=1,
            )

    def _also(self, value: object, path: str, objects: list[tuple[str, bytes]]) -> str:
        encoded = self.engine.values.encode(value, self.engine.writer.known, path)
        objects += encoded.objects
        return encoded.id

    def _mutated(self) -> list[str]:
        """Return the arguments that the function changed in place: a resumed run would not see the change."""
        changed, asked, values = [], self.asked, self.engine.values
        for name, before in () if self.copied else asked.args.items():
            value = asked.bound[name]
            if type(value) in _IMMUTABLE:
                continue
            try:
                if name == asked.checkpoint.receiver:
                    after = values.encode_receiver(value, (), name).id
                else:
                    after = values.encoder.digest(value)
            except Unencodable:
                after = ""
            if after != before:
                changed.append(name)
        return changed


def _cancel_nothing() -> None:
    """Stands for what cancelled an attempt that is over."""


def _key(run: str, record: Call, repeat: int) -> str:
    """Return a call's idempotency key: from its identity and its count among equal ones, never its position.

    No method: an attempt that named its execution would keep all of it, arguments too, until the garbage is collected.
    """
    text = f"{run}\n{identity_of(record)}\n{repeat}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def patience_s(record: Call) -> float:
    """Return for how long a recorded call that had been called off waits to be called off once more, in seconds.

    After that it executes. To fail at once would not do: an `asyncio.timeout` knows its own cancellation only.
    """
    return 2 * (record.at - record.began) / 1_000_000 + PATIENCE_S


def tried(view: CallView | None) -> int:
    """Return how many attempts have failed since the call was last given up, or made first."""
    count = 0
    for stored in reversed(view.attempts if view is not None else ()):
        if getattr(stored.record, "delay", None) is None:
            break
        count += 1
    return count
