"""The verbs: what the command line, the terminal UI and Python programs ask of a project.

Owns: finding a project, and one method per verb. It decides what a verb decides, and shows nothing. The real clock,
randomness and user come in here, and nowhere else.
"""

from __future__ import annotations

import getpass
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.config import Config
from kitaru.config import load as load_config
from kitaru.errors import KitaruError, NotAProject, RunFailed, RunHeld, RunInterrupted, RunOver, RunWaiting, UnknownCall
from kitaru.model.history import RunState, RunSummary, Status, WaitView, live_status, summarize
from kitaru.model.ids import parse_revision
from kitaru.project import finding, places
from kitaru.project.answering import Answering
from kitaru.store.states import run_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kitaru.errors import Damaged
    from kitaru.model.history import CallView
    from kitaru.model.lineage import Lineage
    from kitaru.project.upkeep import Pruned
    from kitaru.runtime.decorators import Flow
    from kitaru.runtime.engine import Outcome
    from kitaru.runtime.events import Observer, Services
    from kitaru.runtime.handle import FlowHandle
    from kitaru.runtime.runner import Options, Prepared, Runner
    from kitaru.store.check import Report
    from kitaru.store.gc import Collected
    from kitaru.store.repair import Repaired
    from kitaru.store.repository import Repository
    from kitaru.store.usage import Use

ANSWER_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class OpenWait:
    """A question that waits for an answer, and the run that asks it."""

    state: RunState
    view: WaitView


def _why_not(state: RunState) -> KitaruError | None:
    """Return why a run that this process does not execute is not completed; None where it is."""
    from kitaru.runtime.waits import answer_line

    if state.status is Status.COMPLETED:
        return None
    if state.open_waits:
        view = state.open_waits[0]
        return RunWaiting(answer_line(state.run, view), hint=view.record.question)
    if state.status is Status.INTERRUPTED:
        return RunInterrupted(f"run {state.run} was interrupted", hint=f"kitaru resume {state.run}")
    said = ((state.end.error if state.end else None) or {}).get("message", "")
    return RunFailed(f"run {state.run} is {state.status}{f': {said}' if said else ''}", hint=f"kitaru log {state.run}")


def real_services(config: Config) -> Services:
    """Return the clock, randomness and user of this machine."""
    from kitaru.runtime.events import Services

    return Services(
        clock_us=lambda: time.time_ns() // 1000,
        random_bytes=os.urandom,
        user=config.user_name or _login(),
        host=socket.gethostname(),
        pid=os.getpid(),
    )


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


class Project:
    """A directory with a `.kitaru/` in it. Open one with `Project.open()` or make one with `Project.init()`.

    Args:
        root: the directory.
        repo: its store.
        config: its settings.
        services: clock, randomness and user; the machine's own by default.

    Attributes:
        damaged: run id to error, of the runs that the last `log()`, `waits()` or `@` could not read and left out.
    """

    def __init__(self, root: Path, repo: Repository, config: Config, services: Services | None = None) -> None:
        self.root, self.repo, self.config = root, repo, config
        self._services = services
        self._runner: Runner | None = None
        self.damaged: dict[str, Damaged] = {}

    # -- finding a project ---------------------------------------------------------------------------------------

    @classmethod
    def init(cls, directory: Path | str | None = None) -> Project:
        """Make a project of a directory (the current one by default), from the template.

        Raises:
            ProjectExists: it is one already.
            StoreError: it cannot be written.
        """
        root = Path(directory or ".").absolute()
        places.lay_down(root)
        return cls.open(root)

    @classmethod
    def open(cls, directory: Path | str | None = None, *, services: Services | None = None) -> Project:
        """Open the project of a directory (the current one by default) or of the nearest parent that is one.

        `KITARU_DIR` names the project's directory instead, as `GIT_DIR` does for git.

        Raises:
            NotAProject: none of them has a `.kitaru/`.
            UnknownFormat: the store was written by a Kitaru that this one does not understand.
        """
        root = places.find_root(directory)
        config = load_config(root / places.STORE / "config.toml")
        return cls(root, places.open_repository(root, durable=config.durability != "process-crash"), config, services)

    @classmethod
    def of_flow(cls, flow: Flow[Any, Any]) -> Project:
        """Open the project that a flow started from Python belongs to: of the current directory, or of its file."""
        try:
            return cls.open()
        except NotAProject:
            file = Path(flow.fn.__code__.co_filename)
            if not file.is_file():
                raise
            return cls.open(file.absolute().parent)

    @classmethod
    def start(cls, flow: Flow[Any, Any], inputs: Mapping[str, Any]) -> FlowHandle[Any]:
        """Start a flow from Python, in the project it belongs to: what `flow.run()` does."""
        return cls.of_flow(flow).run(flow, inputs)

    @property
    def services(self) -> Services:
        """Clock, randomness, user."""
        if self._services is None:
            self._services = real_services(self.config)
        return self._services

    @property
    def runner(self) -> Runner:
        """What prepares runs; made when first needed, for reading verbs do without."""
        if self._runner is None:
            from kitaru.runtime.runner import Runner

            self._runner = Runner(self.repo, self.root, self.services, self.config.on_drift)
        return self._runner

    # -- executing -------------------------------------------------------------------------------------------------

    def run(
        self,
        target: str | Flow[Any, Any],
        inputs: Mapping[str, Any],
        *,
        text: bool = False,
        documents: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        on_drift: str = "",
        observer: Observer | None = None,
        foreground: bool = False,
    ) -> FlowHandle[Any]:
        """Start a run.

        Args:
            target: a flow, or `FILE.py:flow`.
            inputs: parameter name to value.
            text: strings among the inputs were typed, and are parsed by the flow's annotations.
            documents: more inputs, read from JSON.
            tags: names to find the run by.
            on_drift: policy for the whole run: `stop`, `new`, `reuse`, or empty for the flow's own.
            observer: told what happens.
            foreground: execute on this thread, to the end; by default a thread of its own does.

        Raises:
            UsageError: no such flow, or inputs that do not fit.
            CodeUnloadable: its file cannot be imported.
        """
        options = self._options(on_drift, observer, tags=tags)
        prepared = self.runner.start(target, inputs, options, text=text, documents=documents)
        return self._handle(prepared, options, foreground=foreground)

    def resume(
        self,
        run: str,
        *,
        on_drift: str = "",
        as_recorded: bool = False,
        observer: Observer | None = None,
        foreground: bool = False,
    ) -> FlowHandle[Any]:
        """Carry a run on: what is recorded is not executed again.

        Args:
            run: any revision that names it.
            as_recorded: run the code that the run recorded, not the working tree.

        Raises:
            RunHeld: another process executes it.
            CodeUnloadable: its code cannot be imported; the run is as it was.
            RunOver: it has completed.
        """
        options = self._options(on_drift, observer, as_recorded=as_recorded)
        return self._handle(self.runner.resume(self.find_run(run), options), options, foreground=foreground)

    def replay(
        self,
        run: str = "@",
        *,
        from_: str | None = None,
        args: Mapping[str, Any] | None = None,
        set: Mapping[str, Any] | None = None,
        answers: Mapping[str, Any] | None = None,
        text: bool = False,
        tags: Iterable[str] = (),
        on_drift: str = "",
        as_recorded: bool = False,
        observer: Observer | None = None,
        foreground: bool = False,
    ) -> FlowHandle[Any]:
        """Start a new run that branches from another one and shares all before the branch.

        Args:
            run: any revision that names the source.
            from_: a call (`fetch`, `fetch#2`) or wait to branch at; all before it is kept, even where inputs changed.
                Without it, the branch is at the failure, or at the first call that the changes reach.
            args: flow inputs to change.
            set: call to the output it is to have instead of executing.
            answers: wait to its answer.
            text: values are JSON or plain text, as typed.

        Raises:
            UsageError: an unknown run, call, input or value, or nothing to change.
            CodeUnloadable: the code cannot be imported.
        """
        options = self._options(on_drift, observer, as_recorded=as_recorded, tags=tags)
        from kitaru.runtime.replaying import Changes

        changes = Changes(from_, args or {}, set or {}, answers or {}, text)
        prepared = self.runner.replay(self.find_run(run), options, changes)
        return self._handle(prepared, options, foreground=foreground)

    def answer(
        self,
        run: str,
        wait: str | None,
        value: Any,  # noqa: ANN401 - whatever the schema says
        *,
        text: bool = False,
        by: str = "",
        note: str = "",
        resume: bool = True,
        observer: Observer | None = None,
        foreground: bool = False,
    ) -> FlowHandle[Any]:
        """Answer a wait, once and for all, and carry its run on.

        Args:
            run: any revision that names it.
            wait: the wait's name; None where it has only one open.
            value: the answer; `text` says that it is JSON or plain text, as typed.
            by: who answers; the project's user by default.
            resume: carry the run on afterwards.

        Raises:
            UnknownWait: no open wait of that name.
            InvalidAnswer: the answer does not fit the schema; nothing was recorded.
            AlreadyAnswered: somebody answered first; says who, when and what.
        """
        state = self.state(self.find_run(run))
        answering = Answering(self.repo, self.runner.values, self.value, self.services.clock_us)
        view = answering.open_wait(state, wait)
        answering.record(state.run, view, value, text=text, by=by or self.services.user, note=note)
        if not resume:
            return self._finished(state.run)
        return self._carry_on(state.run, view, self._options("", observer), foreground=foreground)

    def _carry_on(self, run: str, view: WaitView, options: Options, *, foreground: bool) -> FlowHandle[Any]:
        """Resume a run, or stay until whoever holds it has taken the answer."""
        while True:
            try:
                prepared = self.runner.resume(run, options)
                return self._handle(prepared, options, foreground=foreground)
            except RunHeld:
                if self._is_settled(run, view):
                    return self._finished(run)
                time.sleep(ANSWER_POLL_S)
            except RunOver:
                if not self._is_settled(run, view):
                    raise
                return self._finished(run)  # another process was faster, and has brought the run to its end

    def _is_settled(self, run: str, view: WaitView) -> bool:
        """Tell whether a wait needs no answer any more: it has one, the code no longer asks it, or the run is over."""
        state = self.state(run)
        return state.end is not None or not any(w.id == view.id and w.is_open for w in state.waits.values())

    def _options(
        self, on_drift: str, observer: Observer | None, *, as_recorded: bool = False, tags: Iterable[str] = ()
    ) -> Options:
        from kitaru.runtime.decorators import check_policy
        from kitaru.runtime.runner import Options

        return Options(check_policy(on_drift), as_recorded, tuple(tags), observer)

    def _handle(self, prepared: Prepared, options: Options, *, foreground: bool) -> FlowHandle[Any]:
        from kitaru.runtime.handle import FlowHandle

        engine = prepared.engine
        handle: FlowHandle[Any] = FlowHandle(
            engine.run,
            lambda: self._execute(prepared, options),
            lambda: self.state(engine.run).status,
            engine.interrupt,
        )
        return handle.finish() if foreground else handle.start()

    def _execute(self, prepared: Prepared, options: Options) -> Outcome:
        """Execute a run; where it stops at a wait, look once more whether the answer came meanwhile."""
        outcome = prepared.execute()
        while outcome.status is Status.WAITING and self._answer_came(outcome.run):
            try:
                prepared = self.runner.resume(outcome.run, options)
            except (RunHeld, RunOver):  # another process was faster
                break
            outcome = prepared.execute()
        return outcome

    def _answer_came(self, run: str) -> bool:
        waits = self.state(run).open_waits
        return any(self.repo.answer(run, w.record.digest) is not None for w in waits)

    def _finished(self, run: str) -> FlowHandle[Any]:
        """Return a handle for a run that this process does not execute."""
        from kitaru.runtime.engine import Outcome
        from kitaru.runtime.handle import FlowHandle

        def tell() -> Outcome:
            state = self.state(run)
            value = self.value(state.end.output, run) if state.end and state.end.output else None
            return Outcome(run, state.status, value, _why_not(state))

        handle: FlowHandle[Any] = FlowHandle(run, tell, lambda: self.state(run).status, lambda: None)
        return handle.finish()

    # -- finding ---------------------------------------------------------------------------------------------------

    def find_run(self, text: str) -> str:
        """Return the id of the run that a revision names: `@`, `@~2`, an id, or a unique prefix.

        Raises:
            BadRevision, UnknownRun, AmbiguousRevision
        """
        return finding.find_run(self.repo, text, lambda: [s.run for s in self._summaries()])

    def find_call(self, text: str) -> tuple[RunState, CallView]:
        """Return the call that a revision names, `RUN:call` or `RUN:call#2`, with its run; raises also UnknownCall."""
        state = self.state(self.find_run(text))
        wanted = parse_revision(text).call
        if wanted is None:
            raise UnknownCall(state.run, "", [c.label for c in state.ordered_calls])
        return state, finding.find_call(state, wanted)

    def find_wait(self, text: str) -> tuple[RunState, WaitView] | None:
        """Return the wait that a revision names, with its run, or None where it names no wait."""
        state = self.state(self.find_run(text))
        wanted = parse_revision(text).call
        view = finding.find_wait(state, wanted) if wanted is not None else None
        return (state, view) if view is not None else None

    def find_object(self, prefix: str) -> str:
        """Return the whole id of an object from a unique prefix; raises UnknownObject, AmbiguousRevision."""
        return finding.find_object(self.repo, prefix)

    def rev_parse(self, text: str) -> str:
        """Return the run id, the record id of a call or wait, or the object id that a revision names."""
        return finding.rev_parse(self.repo, text, self.find_run, self.state)

    # -- reading ---------------------------------------------------------------------------------------------------

    def log(
        self,
        *,
        flow: str | None = None,
        status: str | None = None,
        tags: Iterable[str] = (),
        since_us: int | None = None,
        limit: int | None = None,
    ) -> list[RunSummary]:
        """Return summaries of runs, newest first, with their live status.

        Args:
            flow: only runs of this flow.
            status: only runs that stand so now.
            tags: only runs that have all of these.
            since_us: only runs started at or after this, microseconds since 1970 UTC.
            limit: at most so many.
        """
        wanted = frozenset(tags)
        found: list[RunSummary] = []
        for summary in self._summaries():
            if limit is not None and len(found) >= limit:
                break
            if (flow and summary.flow != flow) or not wanted.issubset(summary.tags):
                continue
            if since_us is not None and summary.started < since_us:
                continue
            live = self._live(summary)
            if status is None or live.status == status:
                found.append(live)
        return found

    def _summaries(self) -> list[RunSummary]:
        from kitaru.store.catalog import Catalog

        catalog = Catalog(self.repo)
        summaries = catalog.summaries()
        self.damaged = dict(catalog.damaged)
        return summaries

    def _live(self, summary: RunSummary) -> RunSummary:
        if summary.status != Status.RUNNING or self.repo.is_held(summary.run):
            return summary
        from dataclasses import replace

        summary = summarize(summary.run, self.repo.records(summary.run))  # it may have come to its end meanwhile
        return replace(summary, status=live_status(Status(summary.status), held=False))

    def state(self, run: str) -> RunState:
        """Return all that is recorded of a run, by its whole id; `status` is the live one.

        Raises:
            UnknownRun: there is no such run.
            Damaged: what is stored is not what was written.
        """
        state, _ = run_state(self.repo, run)
        while state.status is Status.RUNNING and not self.repo.is_held(run):
            before = state.head  # it may have come to its end between the look at its records and that at its lock
            state, _ = run_state(self.repo, run)
            if state.head == before:
                state.status = live_status(state.status, held=False)
        return state

    def waits(self) -> list[OpenWait]:
        """Return the open waits of all runs, oldest first."""
        states = [self.state(s.run) for s in self._summaries() if s.waits]
        found = [OpenWait(state, view) for state in states for view in state.open_waits]
        return sorted(found, key=lambda w: w.view.record.at)

    def value(self, object_id: str, run: str | None = None) -> object:
        """Return the value of an object, for showing: classes that are not loaded come as `Opaque` records.

        Args:
            run: where to look first.

        Raises:
            UnknownObject, Damaged
        """
        runs = run_state(self.repo, run)[1] if run else []
        return self.runner.values.decoder(runs, opaque=True).decode(object_id)

    def raw(self, object_id: str) -> bytes:
        """Return the bytes of an object, whose SHA-256 is its id; raises UnknownObject, Damaged."""
        return self.repo.object(object_id)

    def version(self, recorded: dict[str, Any]) -> dict[str, Any]:
        """Return a flow version as a record names it: entry, files, inputs' schema, environment, git state."""
        return self.runner.versions.describe(recorded)

    def lineage(self, state: RunState, call: CallView) -> Lineage:
        """Return where a call's arguments came from and where its output went."""
        from kitaru.model.lineage import is_trivial, lineage

        return lineage(state, call, lambda object_id: is_trivial(self.repo.object(object_id, [state.run])))

    def holder(self, run: str) -> str:
        """Return which process executes a run, as far as it can be told."""
        return self.repo.holder(run)

    def check(self) -> Report:
        """Check everything in the store: hashes, checksums, chains, references, names."""
        from kitaru.store.check import check

        return check(self.repo)

    def repair(self, *, dry_run: bool = False) -> list[Repaired]:
        """Mend what is damaged as far as it goes: nothing is deleted, damaged files are put aside in `lost/`."""
        from kitaru.store.repair import repair

        services = self.services
        return repair(
            self.repo, nonce=lambda: services.random_bytes(12).hex(), now=services.clock_us(), dry_run=dry_run
        )

    # -- upkeep --------------------------------------------------------------------------------------------------

    def prune(
        self,
        *,
        runs: Iterable[str] = (),
        keep_last: int | None = None,
        before_us: int | None = None,
        flow: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> list[Pruned]:
        """Remove runs on purpose: each gets a tombstone, and `gc` gives the room back.

        What replays still share with them stays. A running one is always kept, one that waits or was interrupted
        unless `force`.

        Args:
            runs: any revisions that name runs to remove; without them, the others say which.
            keep_last: keep the newest so many of each flow.
            before_us: only runs started before this, microseconds since 1970 UTC.
            flow: only runs of this flow.
            dry_run: tell what would be done, and do nothing.

        Raises:
            UsageError: nothing says which runs, or it is said twice.
            Damaged: a run of `runs` cannot be read; `force` removes it all the same.
        """
        from kitaru.project import upkeep

        named = [self.find_run(run) for run in runs]
        chosen = upkeep.choose(self._summaries(), runs=named, keep_last=keep_last, before_us=before_us, flow=flow)
        now, by = self.services.clock_us(), self.services.user
        return upkeep.prune(self.repo, chosen, now=now, by=by, force=force, dry_run=dry_run)

    def gc(self, *, grace_us: int | None = None, dry_run: bool = False) -> Collected:
        """Remove what nothing reaches: noted on this visit, removed on a later one. Safe while runs execute.

        Args:
            grace_us: how long before this visit a candidate must have been noted; half a day by default.

        Raises:
            Damaged: something cannot be read, and who knows what it names; nothing was removed.
        """
        from kitaru.project.upkeep import GRACE_US
        from kitaru.store.gc import collect

        grace, nonce = GRACE_US if grace_us is None else grace_us, self.services.random_bytes(12).hex()
        return collect(self.repo, self.services.clock_us(), grace=grace, nonce=nonce, dry_run=dry_run)

    def usage(self) -> list[Use]:
        """Return what takes the room in the store, each byte counted once."""
        from kitaru.store.usage import usage

        return usage(self.repo)
