"""Doing a job: find the function, read its arguments, call it, and write what it gave.

Owns: the way from a `Job` to a `Finished` in whichever process this is; runtimes of third parties call `perform` where
they want the function to run. Knows nothing of processes or sockets: what it lacks it asks the host for.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from kitaru.errors import BadConfig
from kitaru.model.encoding import Encoded
from kitaru.runtime.capture import capturing
from kitaru.runtime.context import ActiveCall, active_call, current_engine
from kitaru.runtime.events import MODEL_TEXT
from kitaru.runtime.names import ClassNames
from kitaru.runtime.placement.code import find_function
from kitaru.runtime.placement.protocol import Crashed, Finished, Gathered
from kitaru.runtime.values import Values
from kitaru.runtime.waits import inside_checkpoint
from kitaru.store.loose import LARGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kitaru.model.encoding import Part
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.placement.protocol import Host, Job


class InProcess:
    """A runtime that executes in this process, on the calling thread: the least that a runtime can be."""

    kills = False

    def options(self, given: Mapping[str, Any]) -> None:
        """There are none."""
        if given:
            raise BadConfig(f"there is no option {', '.join(sorted(given))}", hint="leave out runtime_options=")

    def execute(self, job: Job, host: Host) -> Finished:
        """Call the function here."""
        return perform(job, host)


def perform(
    job: Job,
    host: Host,
    *,
    began: Callable[[], None] = lambda: None,
    stage: Callable[[str, bytes | Part], None] | None = None,
) -> Finished:
    """Execute a job here and now, on this thread.

    Args:
        job: what to do.
        host: the run.
        began: called when the function is found and its arguments are read, just before it is called.
        stage: puts an object beyond `store.loose.LARGE` into the store, from any thread; without it,
            `Finished.objects` has them all.

    Returns:
        What the function gave, or the error it raised; also that of code or a value that could not be loaded.
    """
    inside = _Inside(job, host, stage)
    finished = Finished()
    try:
        value = inside.call(began)
        finished.output = inside.encode(value, f"the result of {job.call.name}", finished)
    except KeyboardInterrupt:
        return Finished(crashed=Crashed("it was interrupted by SIGINT"))
    except BaseException as error:
        _strip(error)
        finished.error, encoded = inside.values.describe_error(error, inside.known)
        if encoded is not None:
            inside.put(encoded, finished)
    inside.finish(finished)
    return finished


def _strip(error: BaseException) -> None:
    """Take the frames of this package off an exception's traceback."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(
        ("kitaru.runtime.", "asyncio.")
    ):
        trace = trace.tb_next
    error.__traceback__ = trace or error.__traceback__


class _Active(ActiveCall):
    """The call as it is seen from inside; what is captured, saved and logged goes to the run at once."""

    __slots__ = ("host", "inside")
    host: Host
    inside: _Inside

    def keep_output(self, at_us: int, stream: str, text: str) -> None:
        """Pass a piece on; what it progressed is passed on by `emit`."""
        if stream != "progress":
            self.host.output(stream, text)

    def keep_saved(self, name: str, encoded: Encoded) -> None:
        """Pass an artifact on."""
        gathered = Gathered(saved={name: encoded.id})
        self.inside.put(encoded, gathered)
        self.host.gathered(gathered)

    def keep_metadata(self, metadata: dict[str, Any]) -> None:
        """Pass named values on."""
        gathered = Gathered()
        gathered.metadata = self.inside.encode(metadata, "kitaru.log()", gathered)
        self.host.gathered(gathered)


class _Saved(Mapping[str, str]):
    """What the run has saved so far, as `kitaru.load` looks it up; the host raises for a name that is not there."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def __getitem__(self, name: str) -> str:
        return self._host.saved(name)

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class _Inside:
    """Stands in for the engine, as far as code inside of a call can see one."""

    def __init__(self, job: Job, host: Host, stage: Callable[[str, bytes | Part], None] | None) -> None:
        self._job, self._host, self._stage = job, host, stage
        self.run, self.settings = job.call.run, job.settings
        self.known: set[str] = set(job.objects)
        self.values = Values(ClassNames(Path(job.function.root)), self._fetch)
        self.writer = SimpleNamespace(known=self.known)
        self.plan = SimpleNamespace(runs=())
        self.results = SimpleNamespace(saved=_Saved(host))
        self.services = SimpleNamespace(clock_us=self.now, random_bytes=os.urandom, delay=float)
        self.in_flight = SimpleNamespace(is_busy=True)
        self.waits = _Waits(job.call.name)
        self.output = _Output(host)
        self.active = _Active(**_fields(job), make_key=host.key)
        self.active.host, self.active.inside = host, self

    def _fetch(self, object_id: str, _: object) -> bytes:
        for given in (self._job.objects, self._job.unstored):
            if object_id in given:
                return given[object_id]
        data = self._host.object(object_id)
        self.known.add(object_id)
        return data

    def now(self) -> int:
        """Return the time, in microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    def emit(self, kind: str, **data: Any) -> None:  # noqa: ANN401 - as of the engine's
        """Pass on what is to be seen of the call; the rest is the engine's own."""
        if kind == "progress":
            self._host.progress({name: data[name] for name in ("message", "percent", "current", "total")})

    def check_latch(self) -> None:
        """Nothing: the run that has stopped ends this call."""

    def pause(self, delay_us: int) -> None:
        """Let time pass: the run that stops ends this call."""
        time.sleep(delay_us / 1_000_000)

    def call(self, began: Callable[[], None]) -> Any:  # noqa: ANN401 - whatever the function returns
        """Load the function and its arguments, and call it."""
        function = find_function(self._job.function)
        decoder = self.values.decoder(())
        args = {name: decoder.decode(object_id) for name, object_id in self._job.args.items()}
        bound = inspect.signature(function).bind_partial()
        bound.arguments.update(args)
        engine = current_engine.set(cast("Engine", self))
        call = active_call.set(self.active)
        try:
            with capturing():
                began()
                value = function(*bound.args, **bound.kwargs)
                return asyncio.run(value) if inspect.iscoroutine(value) else value
        finally:
            active_call.reset(call)
            current_engine.reset(engine)

    def encode(self, value: object, path: str, into: Finished | Gathered) -> str:
        """Encode a value, put its new objects with what is told, and return its id."""
        sink = (lambda object_id, data: self._put(object_id, data, into)) if self._stage is not None else None
        encoded = self.values.encode(value, self.known, path, sink=sink)
        self.put(encoded, into)
        return encoded.id

    def put(self, encoded: Encoded, into: Finished | Gathered) -> None:
        """Put new objects of a value with what is told: the large ones in the store."""
        for object_id, data in encoded.objects:
            if self._stage is not None and len(data) > LARGE:
                self._put(object_id, data, into)
            else:
                into.objects[object_id] = bytes(data)

    def _put(self, object_id: str, data: bytes | Part, into: Finished | Gathered) -> None:
        assert self._stage is not None  # noqa: S101 - only called where it is not
        self._stage(object_id, data)
        into.staged.append(object_id)

    def finish(self, finished: Finished) -> None:
        """Add the requests to language models, and their objects."""
        finished.llm = list(self.active.llm)
        self.put(Encoded("", self.active.objects), finished)


class _Output:
    """The output of a call, which goes to its host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def heard(self, call: ActiveCall | None, stream: str, text: str) -> bool:
        """Pass a piece of output on; nothing more is to be shown here."""
        self._host.output(stream, text)
        return True

    def show_text(self, call: ActiveCall, text: str) -> None:
        """Pass on what a model writes."""
        self._host.output(MODEL_TEXT, text)

    def flush(self, call: ActiveCall) -> None:
        """Nothing is held back here."""


class _Waits:
    """The waits of a run, of which a call can have none."""

    def __init__(self, call: str) -> None:
        self._call = call

    def wait(self, name: str, *_: object) -> None:
        raise inside_checkpoint(name, self._call)


def _fields(job: Job) -> dict[str, Any]:
    call = job.call
    return {
        "run": call.run,
        "name": call.name,
        "order": call.order,
        "occurrence": call.occurrence,
        "began_us": call.began_us,
        "attempt": call.attempt,
    }
