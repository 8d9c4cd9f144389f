"""Between an executing call and the runtime it is given to: a job made of it, and its answer taken back.

Owns: what can cross to another process and what cannot, the run as a `Host`, and turning `Finished` into a value or an
error. Knows the runtime only by its protocol.
"""

from __future__ import annotations

import contextvars
import hashlib
import threading
from typing import TYPE_CHECKING, Any

from kitaru.errors import (
    CallCancelled,
    CallCrashed,
    CallTimeout,
    Damaged,
    NotCheckpointable,
    Unencodable,
    UnknownCall,
)
from kitaru.model.encoding import Encoded
from kitaru.runtime.events import MODEL_TEXT
from kitaru.runtime.placement.code import function_of
from kitaru.runtime.placement.protocol import CallInfo, Job
from kitaru.runtime.placement.registry import given_options
from kitaru.runtime.primitives import progress
from kitaru.runtime.redaction import redacted, refuse_secrets
from kitaru.store.loose import LARGE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kitaru.runtime.decorators import Checkpoint
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.execution import Execution
    from kitaru.runtime.placement.protocol import Finished, Gathered, Runtime


STAGING_THREADS = 3


class Elsewhere:
    """A placement of the engine's that hands its calls to a runtime.

    Args:
        name: the runtime's name.
        runtime: it.
    """

    def __init__(self, name: str, runtime: Runtime) -> None:
        self._name, self._runtime = name, runtime

    def execute(self, execution: Execution) -> Any:  # noqa: ANN401 - what the function returns
        """Execute an attempt of a call there, and return its value.

        Raises:
            NotCheckpointable, Unencodable: the function, or an argument, cannot cross to another process.
            CallCrashed: the process is gone.
            CallTimeout: the time was up; the process was killed.
            RunStopped: the run has stopped, and the call was ended.
            BaseException: what the function raised.
        """
        job = self._job(execution)
        host = _EngineHost(execution, job)
        execution.active.cancel = host.cancel
        execution.copied = True
        finished = self._runtime.execute(job, host)
        return _Taking(execution, job, finished).value()

    def _job(self, execution: Execution) -> Job:
        engine, options, record = execution.engine, execution.options, execution.record
        version = str(engine.state.version.get("id", ""))
        function = function_of(execution.asked.checkpoint, self._name, engine.values.root, version)
        args, unstored = _arguments(execution, self._name)
        objects = execution.asked.objects
        store = engine.writer.directory
        if store is not None:
            _stage(engine, [item for item in objects if len(item[1]) > LARGE])
        active = execution.active
        return Job(
            function,
            args,
            CallInfo(engine.run, record.name, record.order, record.occurrence, active.attempt, record.began),
            objects={i: bytes(data) for i, data in objects if store is None or len(data) <= LARGE},
            unstored=unstored,
            store=None if store is None else str(store),
            durable=engine.writer.durable,
            options=self._runtime.options(given_options(options.runtime, options.runtime_options)),
            timeout_s=options.timeout,
            settings=engine.settings,
        )


def _arguments(execution: Execution, runtime: str) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return what crosses: an id for each parameter, and the objects of those that are not recorded.

    An ignored argument is no part of the record, and is stored nowhere, but crosses if it can; where it is the default,
    the function has its own over there.
    """
    asked, values = execution.asked, execution.engine.values
    checkpoint: Checkpoint[..., Any] = asked.checkpoint
    args, unstored = dict(asked.args), dict[str, bytes]()
    for name in [n for n in asked.bound if n in checkpoint.ignore or n == checkpoint.receiver]:
        value = asked.bound[name]
        if name in checkpoint.ignore and value is checkpoint.binder.defaults.get(name, _NO_DEFAULT):
            continue
        try:
            encoded = values.encode(value, (), name)
        except Unencodable as error:
            raise NotCheckpointable(
                f"{error.message}, so that {checkpoint.name} cannot be executed with it in another process",
                hint=f"{_way_out(checkpoint, name)}, or leave out runtime={runtime!r}",
            ) from error
        if args.get(name) != encoded.id:
            args[name] = encoded.id
            unstored.update((object_id, bytes(data)) for object_id, data in encoded.objects)
    return args, unstored


def _way_out(checkpoint: Checkpoint[..., Any], name: str) -> str:
    if name == checkpoint.receiver:
        return f"make its class a dataclass of what {checkpoint.name} needs"
    return f"make {name} inside of {checkpoint.name}"


_NO_DEFAULT = object()


def _stage(engine: Engine, large: list[tuple[str, Any]]) -> None:
    """Put large objects into the store, for the other process to read; several at once, for disks take their time."""
    if len(large) < 2:
        engine.writer.put_large(large)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(STAGING_THREADS) as pool:
        for _ in pool.map(lambda item: engine.writer.stage(*item), large):
            pass


class _EngineHost:
    """The run, as the runtime sees it."""

    def __init__(self, execution: Execution, job: Job) -> None:
        self._execution, self._job = execution, job
        self._context = contextvars.copy_context()
        self._engine: Engine = execution.engine
        self._lock = threading.Lock()
        self._stops: list[Callable[[], None]] = []
        self._cancelled = False

    def object(self, object_id: str) -> bytes:
        return self._engine.values.fetch(object_id, self._engine.plan.runs)

    def saved(self, name: str) -> str:
        saved = dict(self._engine.results.saved)
        if name not in saved:
            raise UnknownCall(self._engine.run, name, sorted(saved))
        return saved[name]

    def key(self) -> str:
        return self._execution.active.key

    def output(self, stream: str, text: str) -> None:
        active = self._execution.active
        if stream == MODEL_TEXT:
            self._engine.output.show_text(active, redacted(text))
        elif stream == "log":
            active.keep_output(self._engine.now(), stream, text)
        else:
            self._engine.output.heard(active, stream, text)

    def progress(self, told: Mapping[str, Any]) -> None:
        self._context.copy().run(lambda: progress(**told))

    def gathered(self, gathered: Gathered) -> None:
        active, brought = self._execution.active, _Brought(self._engine, self._job, gathered)
        if gathered.metadata is not None:
            active.keep_metadata(brought.decode(gathered.metadata))
        for name, object_id in gathered.saved.items():
            active.keep_saved(name, brought.encoded(object_id))

    def on_cancel(self, stop: Callable[[], None]) -> None:
        with self._lock:
            self._stops.append(stop)
            cancelled = self._cancelled
        if cancelled or self._engine.has_stopped:
            stop()

    def cancel(self) -> None:
        """End the call, from any thread."""
        with self._lock:
            self._cancelled = True
            stops = list(self._stops)
        for stop in stops:
            stop()


class _Brought:
    """Objects that came from a runtime: checked, as any that come in; and values that are made of them."""

    def __init__(self, engine: Engine, job: Job, told: Finished | Gathered) -> None:
        self._engine, self._objects = engine, told.objects
        for object_id, data in told.objects.items():
            if hashlib.sha256(data).hexdigest() != object_id:
                raise Damaged(f"object {object_id[:16]}", "what the runtime gave does not have the hash that names it")
        refuse_secrets(told.objects.items(), f"what {job.call.name} gave")
        self.values = engine.values.overlaid({**job.objects, **told.objects})
        engine.writer.staged_elsewhere(told.staged)

    def encoded(self, object_id: str) -> Encoded:
        """Return an id with all new objects that came: those that it does not need are needed by the others."""
        known = self._engine.writer.known
        return Encoded(object_id, [item for item in self._objects.items() if item[0] not in known])

    def decode(self, object_id: str) -> Any:  # noqa: ANN401 - any value
        """Return a value."""
        return self.values.decoder(self._engine.plan.runs).decode(object_id)


class _Taking:
    """What a runtime answered, as a value or an error of this process."""

    def __init__(self, execution: Execution, job: Job, finished: Finished) -> None:
        self._execution, self._job, self._finished = execution, job, finished
        self._engine: Engine = execution.engine
        self._brought = _Brought(self._engine, job, finished)

    def value(self) -> Any:  # noqa: ANN401 - what the function returned
        """Return the call's value, or raise what it came to."""
        finished, label = self._finished, self._execution.label
        if finished.cancelled:
            self._engine.check_latch()
            raise CallCancelled(f"{label} was cancelled", hint=f"kitaru resume {self._engine.run}")
        if finished.timed_out:
            raise CallTimeout(
                f"{label} took more than {self._job.timeout_s:g} s, and was killed", hint="raise its timeout="
            )
        if finished.crashed is not None:
            said = finished.crashed.last_lines
            raise CallCrashed(
                f"{label} crashed: {finished.crashed.what}{f'; last it said: {said}' if said else ''}",
                hint=finished.crashed.hint,
            )
        self._execution.active.llm += finished.llm
        if finished.error is not None:
            raise self._error(finished.error)
        assert finished.output is not None  # noqa: S101 - as `Finished` promises
        value = self._brought.decode(finished.output)
        self._execution.encoded = self._brought.encoded(finished.output)
        return value

    def _error(self, described: dict[str, Any]) -> BaseException:
        described = {name: redacted(text) for name, text in described.items()}
        error = self._brought.values.rebuild_error(described, self._engine.plan.runs)
        self._execution.failure = (error, described, self._brought.encoded(described.get("value", "")))
        return error
