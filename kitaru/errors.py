"""Every error a user can meet: what it says, what to type next, and the exit status a shell sees.

Owns: messages, hints and exit statuses. Knows nothing of stores, runs or screens; it is handed plain strings.
Raised where the fault is known, printed in one place (`kitaru.cli`), matched by type in Python.

One file, however long: it is a table. Its classes are recorded by this module's name (`kitaru.errors:CallTimeout`, in
stores that live for years, and between processes), and every command imports it, so that more files are a slower start.

::

    KitaruError                    1
    |-- UsageError                 2   the command or the code asks for something that cannot be
    |   |-- NotAProject, ProjectExists
    |   |-- BadRevision, AmbiguousRevision
    |   |-- UnknownRun
    |   |   `-- PrunedRun, UnbegunRun
    |   |-- UnknownCall, UnknownWait, UnknownObject
    |   |-- FlowNotFound, BadInput, InvalidAnswer, RunOver, NothingToReplay, OverrideNotReached, BadConfig
    |   |-- CalledDirectly, WaitOutsideFlow, WaitInsideCheckpoint, NotCheckpointable
    |   |-- MissingExtra, UnknownModel, UnknownSecret, UnknownRemote, UnknownInvocation, UnknownSchedule
    |   `-- Unencodable
    |       `-- SecretLeak             a value holds a known secret, which is never stored
    |-- CodeUnloadable             1   the flow's file could not be imported; the run is as it was
    |-- EnvironmentUnbuildable     1   what a flow version was recorded with cannot be installed
    |-- RunFailed                  1   the flow's body raised
    |-- ModelError                 1   a model gave no answer that can be used
    |   |-- ModelUnavailable       1   rate limits, timeouts, a failing provider, through all retries
    |   |-- ModelRefused           1   the provider refused the request, or the key
    |   `-- BadReply               1   not what was asked for, however often it was told
    |-- CallCrashed                1   the process that executed a call is gone
    |-- CallTimeout                1   a call took longer than its timeout=
    |-- LimitReached               1   the run made as many calls, or took as long, as it may
    |-- RunTimeout                 1   an execution of a run took longer than its flow's timeout=
    |-- CallCancelled              1   the code around a call called it off
    |-- WaitExpired                1   nobody answered a question before its deadline
    |-- RunNotFinished             1
    |-- RunWaiting                 3   the run stopped at a question
    |   |-- AnswerRefused          3   it has an answer, which the code's own type refused, and asks again
    |   `-- RunSleeping            3   the run stopped until a time
    |-- StoreError                 1   the disk said no: full, read-only, failing
    |   |-- Damaged                4   bytes are not what was written
    |   |-- UnknownFormat          4
    |   |   `-- NotAStore          4   something else is where a remote is to be
    |   `-- RemoteError            1   a remote said no, or nothing
    |       |-- RemoteUnreachable  1   no network, no such host, no such bucket
    |       |-- RemoteRefused      1   credentials that are missing, wrong, expired or may not do this
    |       `-- NotExclusive       1   it cannot tell who of two writers was first
    |-- Drift                      5   code or inputs no longer fit the recorded history
    |   `-- SchemaChanged          5   a recorded value no longer fits its class
    |-- AlreadyAnswered            6
    |   `-- AlreadyCancelled       6
    |-- RunHeld                    7   another process executes this run
    |   `-- RunClaimed             7   another machine does, or is about to
    |-- RunCancelled               8   somebody asked for the run to be ended
    |   `-- RunRejected            9   somebody rejected it, at a question
    |-- Diverged                  10   somebody else's came first, on a remote
    |-- Untrusted                 11   code that came from elsewhere, and nobody here has looked at
    `-- RunInterrupted           130
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class KitaruError(Exception):
    """A user's mistake or a world that said no: one line, a cause, and a hint to type.

    Args:
        message: one line that names what happened to what.
        hint: what to type or change next; may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # so that a traceback in a plain script shows it


class UsageError(KitaruError):
    """The command or the code asks for something that cannot be."""

    exit_code = 2


class NotAProject(UsageError):
    """No `.kitaru/` here or above."""

    def __init__(self, where: str) -> None:
        super().__init__(f"no .kitaru directory in {where} or any parent", hint="kitaru init")


class ProjectExists(UsageError):
    """`kitaru init` where a project already is."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where} already has a .kitaru directory", hint="kitaru status")


class BadRevision(UsageError):
    """A revision that cannot be parsed: not `@`, `@~2`, a run id, or one of these with `:call`."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"{text!r} is not a revision: {why}", hint="write RUN, @, @~2, RUN:call or RUN:call#2")


class UnknownRun(UsageError):
    """No run has this id or prefix."""

    def __init__(self, text: str) -> None:
        super().__init__(f"no run matches {text!r}", hint="kitaru log")


class PrunedRun(UnknownRun):
    """The run was removed on purpose; the text says by whom and when."""

    def __init__(self, run: str, by: str, when: str) -> None:
        super().__init__(run)
        self.message = f"run {run} was pruned by {by or 'somebody'} at {when}"
        self.args = (self.message,)


class UnbegunRun(UnknownRun):
    """The run is queued, or was called off before any worker began it.

    Attributes:
        run: its whole id.
    """

    def __init__(self, run: str, *, hint: str = "") -> None:
        told = f"run {run} was queued and has not begun"
        UsageError.__init__(self, told, hint=hint or f"kitaru queue show {run}")
        self.run = run


class AmbiguousRevision(UsageError):
    """A prefix that several runs or objects share."""

    def __init__(self, text: str, candidates: Sequence[str]) -> None:
        super().__init__(f"{text!r} is ambiguous: {', '.join(candidates[:8])}", hint="type more of the id")


class UnknownCall(UsageError):
    """`--from`, `--set` or a revision named a call that the run does not have."""

    def __init__(self, run: str, name: str, calls: Sequence[str]) -> None:
        listed = ", ".join(calls) if calls else "none yet"
        hint = f"its calls are {listed}; see `kitaru log {run}`"
        super().__init__(f"run {run} has no call named {name!r}", hint=hint)


class UnknownWait(UsageError):
    """No open wait of that name; or, for `replay --answer` (`asked`), none that the run ever asked."""

    def __init__(self, run: str, name: str | None, waits: Sequence[str], *, asked: bool = False) -> None:
        kind = "wait" if asked else "open wait"
        what = f"no {kind} named {name!r}" if name else f"no {kind}"
        hint = f"its {kind}s are {', '.join(waits)}" if waits else f"kitaru log {run}"
        super().__init__(f"run {run} has {what}", hint=hint)


class UnknownObject(UsageError):
    """No object has this id or prefix."""

    def __init__(self, text: str) -> None:
        super().__init__(f"no object matches {text!r}", hint="ids are shown by `kitaru show RUN:CALL`")


class UnknownInvocation(UsageError):
    """Nothing of this id or prefix was ever queued."""

    def __init__(self, text: str) -> None:
        super().__init__(f"no invocation matches {text!r}", hint="kitaru queue --all")


class UnknownSchedule(UsageError):
    """There is no schedule of this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        hint = f"the schedules are {', '.join(known[:8])}" if known else "kitaru schedule add NAME FLOW --cron CRON"
        super().__init__(f"there is no schedule {name!r}", hint=hint)


class FlowNotFound(UsageError):
    """FILE:flow names no file, or no flow in it."""


class BadInput(UsageError):
    """Inputs that do not fit the flow's signature."""


class InvalidAnswer(UsageError):
    """An answer that fails the schema of its wait; the message names the field."""


class RunOver(UsageError):
    """A run that is over, and can be neither resumed nor cancelled."""

    def __init__(self, run: str, status: str, *, hint: str = "") -> None:
        super().__init__(f"run {run} is {status}", hint=hint or f"kitaru replay {run} --from CALL")


class NothingToReplay(UsageError):
    """A replay that says neither where to branch nor what to change."""


class OverrideNotReached(UsageError):
    """A `--set`, `--arg` or `--answer` that the replay never came to."""


class BadConfig(UsageError):
    """`config.toml` cannot be read, or a key of it is unknown."""


class CalledDirectly(UsageError):
    """A flow was called like a function instead of with `.run()`."""


class WaitOutsideFlow(UsageError):
    """A durable primitive was used where no run executes."""


class WaitInsideCheckpoint(UsageError):
    """`kitaru.wait()` inside a checkpoint, which cannot stop half-way."""


class NotCheckpointable(UsageError):
    """A function that `@flow` or `@checkpoint` cannot decorate, such as a generator."""


class Unencodable(UsageError, TypeError):
    """A value that the store cannot hold; `path` says where inside the value, such as `docs[3].client`."""

    def __init__(self, path: str, type_name: str, why: str = "") -> None:
        reason = f": {why}" if why else ""
        super().__init__(
            f"{path} is a {type_name}, which cannot be stored{reason}",
            hint="pass ids instead of live objects, list the argument in ignore=, return a pydantic model or "
            "dataclass, or kitaru.register_serializer() its type",
        )
        self.path = path


class SecretLeak(Unencodable):
    """A value that holds a known secret, which the store must never hold; `path` says where it was to be."""

    def __init__(self, path: str, secret: str) -> None:
        UsageError.__init__(
            self,
            f"{path} holds the value of the secret {secret}, which is never stored",
            hint="read the secret where it is used, or list the argument in ignore=",
        )
        self.path = path


class MissingExtra(UsageError):
    """Something needs a library that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs a library that is not installed", hint=f"pip install 'kitaru[{extra}]'")


class UnknownModel(UsageError):
    """No model is configured under this name, or none at all where none was named."""


class UnknownRemote(UsageError):
    """The project has no remote of this name, or none at all (None)."""

    def __init__(self, name: str | None, known: Sequence[str]) -> None:
        told = f"there is no remote {name!r}; there are: {', '.join(known)}" if known else "this project has no remote"
        super().__init__(told, hint=f"kitaru remote add {name or 'NAME'} URL")


class UnknownSecret(UsageError):
    """A secret is not configured, or is not where its source says; the text names both, never the value."""


class CodeUnloadable(KitaruError):
    """The flow's code could not be imported; the run is as it was."""


class EnvironmentUnbuildable(KitaruError):
    """What a flow version was recorded with cannot be installed; nothing was started."""


class RunFailed(KitaruError):
    """The flow's body raised; `__cause__` is the original exception where it is known."""


class LimitReached(KitaruError):
    """The run made as many calls, or took as long, as it may; with a higher limit a resume goes on."""


class ModelError(KitaruError):
    """A model was asked and gave no answer that can be used.

    Attributes:
        status: HTTP status of the provider's last answer; 0 where there was none.
    """

    def __init__(self, message: str, *, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class ModelUnavailable(ModelError):
    """Rate limits, timeouts or a failing provider, through all retries."""


class ModelRefused(ModelError):
    """The provider refused the request, or the key: the same request will be refused again."""


class BadReply(ModelError):
    """The model's reply is not what was asked for, however often it was told what is wrong."""


class CallCrashed(KitaruError):
    """The process that executed a call is gone: a signal, an exit, a limit of memory; the run goes on without it."""


class CallTimeout(KitaruError, TimeoutError):
    """A call took longer than its `timeout=`."""


class RunTimeout(KitaruError, TimeoutError):
    """An execution of a run took longer than its flow's `timeout=`."""


class CallCancelled(KitaruError):
    """The code around a call called it off: an `asyncio.timeout`, a task group that failed, `.cancel()`."""


class WaitExpired(KitaruError):
    """Nobody answered a question before its deadline, and it has no default; a flow may catch this."""


class RunNotFinished(KitaruError):
    """`.get()` on a run that has no result yet."""


class RunWaiting(KitaruError):
    """The run stopped at a question; the text is the very line that answers it."""

    exit_code = 3


class AnswerRefused(RunWaiting):
    """The run asks again: what the recorded schema let pass, the code's own type refused; `why` says who gave what.

    Args:
        why: one line.
    """

    def __init__(self, message: str, *, hint: str, why: str) -> None:
        super().__init__(message, hint=hint)
        self.why = why


class RunSleeping(RunWaiting):
    """The run stopped until a time that was fixed when it went to sleep; the text says when."""


class StoreError(KitaruError):
    """The store could not be read or written: full, read-only, failing."""


class Damaged(StoreError):
    """Bytes in the store are not what was written; names file and place."""

    exit_code = 4

    def __init__(self, where: str, what: str, *, hint: str = "kitaru fsck") -> None:
        super().__init__(f"{where}: {what}", hint=hint)
        self.where = where


class UnknownFormat(StoreError):
    """The store was written by a Kitaru that this one does not understand."""

    exit_code = 4

    def __init__(self, where: str, found: str) -> None:
        super().__init__(
            f"{where}: this store has format {found}, and this kitaru reads format 1",
            hint="pip install --upgrade kitaru",
        )


class NotAStore(UnknownFormat):
    """A remote is to be where something else is."""

    def __init__(self, where: str) -> None:
        StoreError.__init__(
            self,
            f"{where}: something is there, and it is no store",
            hint="choose a place that is empty, or one that others push to",
        )


class RemoteError(StoreError):
    """A remote said no, or nothing; what is here is as it was."""


class RemoteUnreachable(RemoteError):
    """There is nothing to talk to: no network, no such host, no such bucket."""


class RemoteRefused(RemoteError):
    """The remote does not let us: credentials that are missing, wrong or expired, or that may not do this."""


class NotExclusive(RemoteError):
    """The remote lets two writers create the same name, so that nothing tells who was first."""


class Drift(KitaruError):
    """Code or inputs no longer fit the recorded history; nothing was executed."""

    exit_code = 5


class SchemaChanged(Drift):
    """A recorded value no longer fits its class."""


class AlreadyAnswered(KitaruError):
    """Somebody answered this wait first; the text says who, when and what."""

    exit_code = 6


class AlreadyCancelled(AlreadyAnswered):
    """Somebody asked for this run to be cancelled first; the text says who, when and why."""


class RunHeld(KitaruError):
    """Another process executes this run; the text says which."""

    exit_code = 7


class RunClaimed(RunHeld):
    """Another machine that shares a remote carries this run on; the text says whose.

    Attributes:
        holder: who, and where: `ana on laptop`.
        left_us: for how long its claim counts unless it is renewed, microseconds.
    """

    def __init__(self, message: str, *, hint: str = "", holder: str = "another machine", left_us: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.holder, self.left_us = holder, left_us


class RunCancelled(KitaruError):
    """The run was ended because somebody asked for it; the text says who, when and why."""

    exit_code = 8

    def __init__(self, run: str, by: str, when: str, reason: str = "") -> None:
        why = f": {reason}" if reason else ""
        super().__init__(
            f"run {run} was cancelled by {by or 'somebody'} at {when}{why}", hint=f"kitaru replay {run} --from CALL"
        )


class RunRejected(RunCancelled):
    """The run was ended because somebody rejected it at a question; the text says who, when and why."""

    exit_code = 9

    def __init__(self, run: str, wait: str, by: str, when: str, reason: str = "") -> None:
        super().__init__(run, by, when, reason)
        why = f": {reason}" if reason else ""
        self.message = f"run {run} was rejected at {wait} by {by or 'somebody'} at {when}{why}"
        self.args = (self.message,)


class RunInterrupted(KitaruError):
    """The run was stopped before its end and can be resumed.

    Attributes:
        at_once: by a second Ctrl-C: calls may still execute on threads, for which nobody waits.
    """

    exit_code = 130
    at_once = False


class Diverged(KitaruError):
    """Somebody else's was first on a remote: a run that was carried on there, a route that was moved."""

    exit_code = 10


class Untrusted(KitaruError):
    """Code that came from a remote was to be executed, and nobody here has said that it may."""

    exit_code = 11
