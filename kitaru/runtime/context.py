"""Which run, and which call in it, the code at hand belongs to.

Owns: two context variables, so that attribution follows threads and tasks that copy their context, and what a call
gathers while it executes. Knows nothing of stores or matching.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kitaru.errors import WaitOutsideFlow
from kitaru.runtime.redaction import redacted
from kitaru.runtime.scopes import current_scope, task_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kitaru.model.encoding import Encoded
    from kitaru.runtime.engine import Engine

MAX_LOG_CHARS = 1 << 20
"""Output kept per call; what comes after is shown live and counted, not stored."""

MAX_PARTIAL_CHARS = 8192
"""A line that is longer is shown before it ends."""


@dataclass(slots=True, eq=False)
class ActiveCall:
    """A call while it executes: `kitaru.current_call()`.

    Attributes:
        name, order, occurrence: as they will be recorded.
        attempt: 1, or more where earlier attempts of this call are recorded.
        live: told each piece of output that is kept.
        progressed: what `kitaru.progress` told last.
        llm: requests to language models, as they will be recorded; `objects` are what these name by id.
        cancel: stops what executes, from any thread; None where nothing can. Set by who executes it.
        called_off: the code around the call has cancelled it.
        stopped: it was cancelled because the run stops.
    """

    run: str
    name: str
    order: int
    occurrence: int
    began_us: int
    attempt: int
    make_key: Callable[[], str]
    after: int | None = None
    saved: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    output: list[tuple[int, str, str]] = field(default_factory=list)
    output_chars: int = 0
    begun_recorded: bool = False
    logged: str = ""
    partial: dict[str, str] = field(default_factory=dict)
    scope: str = ""
    cancel: Callable[[], object] | None = None
    called_off: bool = False
    stopped: bool = False
    live: Callable[[ActiveCall, int, str, str], None] | None = None
    progressed: tuple[object, ...] = ()
    llm: list[dict[str, Any]] = field(default_factory=list)
    objects: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def key(self) -> str:
        """An idempotency key for outside services: the same on every attempt of this call, 32 hex digits."""
        return self.make_key()

    def keep_output(self, at_us: int, stream: str, text: str) -> None:
        """Keep a piece of captured output, up to a limit in all; a log record that a handler then prints, once."""
        text = redacted(text)
        logged, self.logged = self.logged, text if stream == "log" else ""
        if logged and stream == "stderr" and text.endswith(logged.partition(": ")[2]):
            return
        if self.live is not None:
            self.live(self, at_us, stream, text)
        room = MAX_LOG_CHARS - self.output_chars
        if room > 0:
            self._add(at_us - self.began_us, stream, text[:room])
        self.output_chars += len(text)

    def keep_saved(self, name: str, encoded: Encoded) -> None:
        """Keep an artifact; a later one of the name replaces it."""
        self.saved[name] = encoded

    def keep_metadata(self, metadata: dict[str, Any]) -> None:
        """Keep named values; later ones replace earlier ones."""
        self.metadata.update(metadata)

    def _add(self, at_us: int, stream: str, text: str) -> None:
        """Add a piece of output: to the line that it goes on with, if that is the last one."""
        if self.output:
            began, last, line = self.output[-1]
            if last == stream and not line.endswith("\n"):
                self.output[-1] = (began, stream, line + text)
                return
        self.output.append((at_us, stream, text))

    def whole_lines(self, stream: str, text: str) -> str:
        """Return what can be shown of a stream once this piece has come: whole lines, and lines that are redrawn."""
        text = self.partial.pop(stream, "") + text
        end = max(text.rfind("\n"), text.rfind("\r")) + 1
        if end == 0 and len(text) > MAX_PARTIAL_CHARS:
            return text
        if text[end:]:
            self.partial[stream] = text[end:]
        return text[:end]


current_engine: ContextVar[Engine | None] = ContextVar("kitaru_engine", default=None)
active_call: ContextVar[ActiveCall | None] = ContextVar("kitaru_call", default=None)


executing_runs: list[Engine] = []
"""The runs that execute in this process now."""


@contextmanager
def executing(engine: Engine) -> Iterator[None]:
    """Make a run the one that executes here, in this thread or task and in what copies its context."""
    token, call = current_engine.set(engine), active_call.set(None)  # a call of another run may have started this
    scope = current_scope.set(engine.scope)
    engine.scope.task = task_here()  # a body that blocks a loop is no task of its own: resumed elsewhere it is none
    executing_runs.append(engine)
    try:
        yield
    finally:
        executing_runs.remove(engine)
        current_scope.reset(scope)
        active_call.reset(call)
        current_engine.reset(token)


def warn_if_beside(name: str) -> None:
    """Warn of a checkpoint called beside a run: in a thread that a flow's body started without its context.

    A run that has a call in flight may have started the thread in there, where checkpoints are ordinary functions.
    """
    if any(not engine.in_flight.is_busy for engine in list(executing_runs)):
        import warnings

        warnings.warn(
            f"checkpoint {name} is called in a thread that does not belong to the run which executes here, and is not "
            "recorded; give the thread the run's context, by contextvars.copy_context().run(...) or asyncio.to_thread",
            RuntimeWarning,
            stacklevel=3,
        )


def current_call() -> ActiveCall:
    """Return the call that is executing here.

    Raises:
        WaitOutsideFlow: no checkpoint of a run executes here.
    """
    call = active_call.get()
    if call is None:
        raise WaitOutsideFlow(
            "kitaru.current_call() was used where no checkpoint of a run executes",
            hint="call it inside a @checkpoint function, in a flow started with .run()",
        )
    return call


def require_engine(what: str) -> Engine:
    """Return the run that executes here; `what` names the caller for the error.

    Raises:
        WaitOutsideFlow: none does.
    """
    engine = current_engine.get()
    if engine is None:
        raise WaitOutsideFlow(
            f"{what} was used where no run executes", hint="use it in a @flow function, started with .run()"
        )
    return engine
