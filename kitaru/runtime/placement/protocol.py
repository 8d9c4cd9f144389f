"""What a runtime is asked, what it may ask back, and what it answers.

Owns: the protocol that every runtime other than `inline` follows, `isolated` among them. Values cross it as ids of
objects and never as Python objects, so that the two sides need not share a process. Knows no engine and no store.

A runtime has one method, `execute(job, host) -> Finished`. It blocks, on whatever thread the call was made in, and is
called from several threads at once. It never raises for what the user's function did, nor for what became of the place
where it ran: both are answers. What it does raise is a fault of its own, and fails the call like any exception.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Function:
    """Where the function to call is found. The run's own process says so, never the store.

    Attributes:
        module, qualname: its names; a script's module is named by the script's path in the project.
        file: the module's file, relative to the project; None for a module outside of it.
        path: folders in the project, relative to it, that its imports need on `sys.path`.
        code: digest of its compiled code: a runtime that finds other code must not call it.
        version: id of the flow version that executes: a process that has loaded another one's code is not used.
        root: the project's directory.
        recorded: directory of the recorded snapshot that is executed instead of the working tree, or None.
        recorded_files: the files in there, relative to it.
        cache: the store's directory for what can be made again, bytecode of these files among it, or None.
        sys_path: `sys.path` of the run's process.
    """

    module: str
    qualname: str
    file: str | None
    path: tuple[str, ...]
    code: str
    version: str
    root: str
    recorded: str | None = None
    recorded_files: tuple[str, ...] = ()
    cache: str | None = None
    sys_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CallInfo:
    """What `kitaru.current_call()` tells in there; as of `kitaru.runtime.context.ActiveCall`."""

    run: str
    name: str
    order: int
    occurrence: int
    attempt: int
    began_us: int


@dataclass(frozen=True, slots=True)
class Job:
    """One call to execute.

    Attributes:
        function: what is called.
        args: parameter name to the id of its argument's value.
        call: which call of which run it is.
        objects: new objects of the arguments that are in no store yet, by id. Large ones are in the store.
        unstored: objects of arguments that `ignore=` names, by id: they cross, and are never to be in any store.
        store: the store's directory, in which large objects can be read and written; None where there is no disk.
        durable: whether objects written there must survive power loss.
        options: `runtime_options=` of the checkpoint, as its runtime has checked them.
        timeout_s: how long the function may take, or None.
        settings: tables of the project's configuration; plain JSON.
    """

    function: Function
    args: Mapping[str, str]
    call: CallInfo
    objects: Mapping[str, bytes] = field(default_factory=dict)
    unstored: Mapping[str, bytes] = field(default_factory=dict)
    store: str | None = None
    durable: bool = True
    options: Any = None
    timeout_s: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


class Host(Protocol):
    """The run, as a runtime sees it. Safe to use from any thread, for as long as `execute` has not returned."""

    def object(self, object_id: str) -> bytes:
        """Return the verified bytes of an object that is in the store.

        Raises:
            UnknownObject: it is nowhere.
        """

    def saved(self, name: str) -> str:
        """Return the id of what the run saved last under a name: `kitaru.load`.

        Raises:
            UnknownCall: nothing of that name.
        """

    def key(self) -> str:
        """Return the call's idempotency key."""

    def output(self, stream: str, text: str) -> None:
        """Take a piece of what the call printed (`stdout`, `stderr`) or logged (`log`), as soon as there is one."""

    def progress(self, told: Mapping[str, Any]) -> None:
        """Take what `kitaru.progress` was given: its arguments by name."""

    def gathered(self, gathered: Gathered) -> None:
        """Take what `kitaru.save` or `kitaru.log` was given, when it is: it is recorded however the call comes out.

        Raises:
            Damaged: an object does not have the hash that names it.
        """

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Have `stop` called, from any thread, when the call is to be ended; at once if it is to be already."""


@dataclass(slots=True)
class Gathered:
    """What a call records beside its result.

    Attributes:
        saved: name to id, by `kitaru.save`.
        metadata: id of a dict that `kitaru.log` was given, or None.
        objects, staged: as of `Finished`.
    """

    saved: dict[str, str] = field(default_factory=dict)
    metadata: str | None = None
    objects: dict[str, bytes] = field(default_factory=dict)
    staged: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Crashed:
    """The place where the function ran is gone, and why: `killed by SIGSEGV`; the last lines of its output."""

    what: str
    last_lines: str = ""
    hint: str = ""


@dataclass(slots=True)
class Finished:
    """How a call came out. Exactly one of `output`, `error`, `crashed`, `timed_out` and `cancelled` is set.

    Attributes:
        output: id of the returned value.
        error: what the function raised, as `Values.describe_error` tells it.
        objects: new objects by id, children before parents.
        staged: ids of large ones that were put into the store instead, by `store.loose.stage`.
        llm: requests to language models, as the call's record is to have them.
    """

    output: str | None = None
    error: dict[str, Any] | None = None
    crashed: Crashed | None = None
    timed_out: bool = False
    cancelled: bool = False
    objects: dict[str, bytes] = field(default_factory=dict)
    staged: list[str] = field(default_factory=list)
    llm: list[dict[str, Any]] = field(default_factory=list)


class Runtime(Protocol):
    """A place where calls execute. Registered by entry point in the group `kitaru.runtimes`: a class without arguments.

    Attributes:
        kills: whether it ends a call that has timed out or is cancelled.
    """

    kills: bool

    def options(self, given: Mapping[str, Any]) -> Any:  # noqa: ANN401 - each runtime's own
        """Check `runtime_options=`, when the checkpoint is decorated, and return them as `Job.options` is to have them.

        Raises:
            BadConfig: one of them is unknown or has no sense.
        """

    def execute(self, job: Job, host: Host) -> Finished:
        """Call the function, wait for it, and say how it came out."""
