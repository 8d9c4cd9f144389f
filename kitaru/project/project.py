"""The verbs: what the command line, the terminal UI and Python programs ask of a project.

Owns: finding a project, and one method per verb. It decides what a verb decides, and shows nothing. The real clock,
randomness and user come in here, and nowhere else.
"""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.config import load as load_config
from kitaru.errors import (
    KitaruError,
    NotAProject,
    RunCancelled,
    RunClaimed,
    RunFailed,
    RunHeld,
    RunInterrupted,
    RunOver,
    RunWaiting,
)
from kitaru.model.history import RunState, Status, WaitView
from kitaru.project import places
from kitaru.project.answering import Answering
from kitaru.project.checking import Checking
from kitaru.project.comparing import Comparing
from kitaru.project.deploying import Deploying
from kitaru.project.flows import Flows
from kitaru.project.keeping import Keeping
from kitaru.project.models import Models
from kitaru.project.scheduling import Scheduling
from kitaru.project.sharing import Sharing
from kitaru.project.trusting import Trusting
from kitaru.project.versions import VersionComparing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kitaru.project.cancelling import Cancellation
    from kitaru.project.claiming import Hold
    from kitaru.project.hooks import Hooks
    from kitaru.runtime.decorators import Flow
    from kitaru.runtime.ending import Outcome
    from kitaru.runtime.events import Observer, Services
    from kitaru.runtime.handle import FlowHandle
    from kitaru.runtime.keys import StartedBefore
    from kitaru.runtime.runner import Options, Prepared, Runner

ANSWER_POLL_S = 0.05
CANCEL_WAIT_S = 5.0
"""How long `cancel` waits for the process that executes a run: it looks every quarter of a second."""


def _why_not(state: RunState) -> KitaruError | None:
    """Return why a run that this process does not execute is not completed; None where it is, or goes on elsewhere."""
    from kitaru.runtime.waits import answer_line

    if state.status in (Status.COMPLETED, Status.RUNNING):
        return None
    if state.open_questions:
        view = state.open_questions[0]
        return RunWaiting(answer_line(state.run, view), hint=view.record.question)
    if state.wakes:
        from kitaru.runtime.sleeping import sleeping

        return sleeping(state.run, state.wakes)
    if state.status is Status.CANCELLED:
        from kitaru.runtime.cancelling import recorded_cancelled

        return recorded_cancelled(state.run, state.end.cancelled if state.end else None)
    if state.status is Status.INTERRUPTED:
        return RunInterrupted(f"run {state.run} was interrupted", hint=f"kitaru resume {state.run}")
    said = ((state.end.error if state.end else None) or {}).get("message", "")
    return RunFailed(f"run {state.run} is {state.status}{f': {said}' if said else ''}", hint=f"kitaru log {state.run}")


class Project(Keeping, Comparing, VersionComparing, Checking, Flows, Models, Deploying, Scheduling, Trusting, Sharing):
    """A directory with a `.kitaru/` in it. Open one with `Project.open()` or make one with `Project.init()`.

    What it can be asked is in `Reading`, how runs are compared in `Comparing`, what would happen to them in
    `Checking`, how it is looked after in `Keeping`.

    Attributes:
        prompts: who executes runs here asks their questions himself: no `timeout=` of a wait is stayed for.
    """

    prompts = False

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
        file = Path(flow.fn.__code__.co_filename)
        try:
            root = places.find_root(None)
        except NotAProject:
            if not file.is_file():
                raise
            root = None
        return cls.open(root or file.absolute().parent)

    @classmethod
    def start(cls, flow: Flow[Any, Any], inputs: Mapping[str, Any]) -> FlowHandle[Any]:
        """Start a flow from Python, in the project it belongs to: what `flow.run()` does."""
        return cls.of_flow(flow).run(flow, inputs)

    @cached_property
    def runner(self) -> Runner:
        """What prepares runs; made when first needed, for reading verbs do without."""
        from kitaru.runtime.runner import Runner

        return Runner(
            self.repo,
            self.root,
            self.services,
            self.config.on_drift,
            self.values,
            results=self.results,
            settings=self.config.settings,
        )

    @cached_property
    def hooks(self) -> Hooks:
        """Scripts that are told of questions, and of runs that are over."""
        from kitaru.project.hooks import Hooks

        return Hooks(self.root, self.root / places.STORE, self.state)

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
        cache: bool | None = None,
        key: str = "",
        max_calls: int | None = None,
        max_seconds: float | None = None,
        stay_s: float | None = None,
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
            cache: take results of earlier runs: True wherever a checkpoint does not refuse, False nowhere, None as the
                checkpoints and the flow say; for this time only.
            key: start the run once: where one was started for this flow and key, its handle is returned, whatever the
                inputs are now; `handle.outcome.existing` is set, and `other_inputs` names those that differ.
            max_calls, max_seconds: stop the run, as failed, before it executes more; it can be resumed with more.
            stay_s: how long a `kitaru.sleep` may be for which this process stays, instead of letting the run go.
            observer: told what happens.
            foreground: execute on this thread, to the end; by default a thread of its own does.

        Raises:
            UsageError: no such flow, or inputs that do not fit.
            CodeUnloadable: its file cannot be imported.
            PrunedRun: the run of this key was removed on purpose.
        """
        from kitaru.runtime.keys import StartedBefore

        options = self._options(on_drift, observer, tags=tags, cache=cache)
        self._bound(options, max_calls, max_seconds, stay_s)
        options.key = key
        try:
            prepared = self.runner.start(target, inputs, options, text=text, documents=documents)
        except StartedBefore as before:
            return self._finished(before.run, before)
        return self._handle(prepared, options, foreground=foreground)

    def resume(
        self,
        run: str,
        *,
        on_drift: str = "",
        as_recorded: bool | None = None,
        cache: bool | None = None,
        max_calls: int | None = None,
        max_seconds: float | None = None,
        stay_s: float | None = None,
        offline: bool = False,
        observer: Observer | None = None,
        foreground: bool = False,
    ) -> FlowHandle[Any]:
        """Carry a run on: what is recorded is not executed again.

        A run that lives on a remote is claimed there first, for as long as it is carried on.

        Args:
            run: any revision that names it.
            on_drift: policy for this time only; empty for what the run was started with.
            as_recorded: execute the code that the run recorded (True), or the working tree's (False); None goes on with
                the recorded code where the run's last call was made by it on purpose.
            cache: as of `run`.
            max_calls, max_seconds, stay_s: as of `run`; limits that are not given stay as they are.
            offline: ask no remote whether another machine carries the run on, or has.

        Raises:
            RunHeld: another process executes it, or another machine has claimed it.
            Diverged: another machine has carried it on, and that is not here yet.
            CodeUnloadable: its code cannot be imported; the run is as it was.
            RunOver: it has completed.
        """
        options = self._options(on_drift, observer, as_recorded=as_recorded, cache=cache)
        self._bound(options, max_calls, max_seconds, stay_s)
        return self._taken_up(self.find_run(run), options, offline=offline, foreground=foreground)

    def replay(
        self,
        run: str = "@",
        *,
        from_: str | None = None,
        args: Mapping[str, Any] | None = None,
        set: Mapping[str, Any] | None = None,
        answers: Mapping[str, Any] | None = None,
        models: Mapping[str, str] | None = None,
        text: bool = False,
        tags: Iterable[str] = (),
        on_drift: str = "",
        as_recorded: bool | None = None,
        cache: bool | None = None,
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
            models: alias or model to what `kitaru.llm` asks instead; alone, the branch is at the first call that asked.
            text: values are JSON or plain text, as typed.
            cache: as of `run`.

        Raises:
            UsageError: an unknown run, call, input or value, or nothing to change.
            CodeUnloadable: the code cannot be imported.
        """
        options = self._options(on_drift, observer, as_recorded=as_recorded, tags=tags, cache=cache)
        from kitaru.runtime.replaying import Changes

        changes = Changes(from_, args or {}, set or {}, answers or {}, text, models or {})
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
        offline: bool = False,
        observer: Observer | None = None,
        foreground: bool = False,
    ) -> FlowHandle[Any]:
        """Answer a wait, once and for all, and carry its run on.

        It may be called from any thread, such as a web handler's; with `resume=False` it only writes the answer, and
        `kitaru work`, or whoever resumes the run, carries it on.

        Args:
            run: any revision that names it.
            wait: the wait's name; None where it has only one open.
            value: the answer: JSON data or an instance of the type; or, with `text`, what was typed.
            by: who answers; the project's user by default.
            note: why, for the record.
            resume: carry the run on afterwards.
            offline: as of `resume`.

        Raises:
            UnknownWait: no open wait of that name.
            InvalidAnswer: the answer does not fit the schema; nothing was recorded.
            AlreadyAnswered: somebody answered first, or the deadline has passed; says who, when and what.
        """
        state = self.state(self.find_run(run))
        view = self._answering.open_wait(state, wait)
        self._answering.record(state.run, view, value, text=text, by=by or self.services.user, note=note)
        if not resume:
            return self._finished(state.run)
        return self._carry_on(state.run, view, self._options("", observer), offline=offline, foreground=foreground)

    def check_open(self, state: RunState, wait: str | None) -> WaitView:
        """Return the open wait that is meant, as `answer` takes it; None means the only one.

        Raises:
            UnknownWait, AlreadyAnswered
        """
        return self._answering.open_wait(state, wait)

    def follow_up(self, run: str) -> FlowHandle[Any]:
        """Return a handle that tells how a run stands that another process executes, or has brought to its end."""
        return self._finished(run)

    @cached_property
    def _answering(self) -> Answering:
        return Answering(self.repo, self.values, self.value, self.services.clock_us)

    def reject(
        self, run: str, wait: str | None = None, *, note: str = "", by: str = "", wait_s: float = CANCEL_WAIT_S
    ) -> Cancellation:
        """End a run at a question that it asks, instead of answering: it is cancelled, and the question has its reply.

        Args:
            run, wait, by: as of `answer`.
            note: why, for the record.
            wait_s: as of `cancel`.

        Raises:
            UnknownWait, AlreadyAnswered: as of `answer`.
        """
        from kitaru.project.cancelling import reject
        from kitaru.project.claiming import hold_of

        state = self.state(self.find_run(run))
        view = self._answering.open_wait(state, wait)
        given = self._answering.reject(state.run, view, by=by or self.services.user, note=note)
        hold, over = hold_of(self), self.hooks.ended
        return reject(self.repo, state.run, given, self.services, wait_s=wait_s, over=over, hold=hold)

    def cancel(self, run: str, *, reason: str = "", by: str = "", wait_s: float = CANCEL_WAIT_S) -> Cancellation:
        """End a run, wherever it executes: at once where nobody does, else as soon as its process has come to a stop.

        What is recorded stays, and can be replayed; the run itself is never carried on.

        Args:
            run: any revision that names it.
            reason: why, for the record.
            by: who asks; the project's user by default.
            wait_s: how long to wait for a process that executes it. The request stands all the same.

        Raises:
            RunOver: it was over before it saw the request.
            AlreadyCancelled: somebody asked first; says who, when and why.
        """
        from kitaru.project.cancelling import cancel
        from kitaru.project.claiming import hold_of

        state = self.state(self.find_run(run))
        by = by or self.services.user
        hold, over = hold_of(self), self.hooks.ended
        return cancel(self.repo, state, self.services, by=by, reason=reason, wait_s=wait_s, over=over, hold=hold)

    def _carry_on(
        self, run: str, view: WaitView, options: Options, *, offline: bool, foreground: bool
    ) -> FlowHandle[Any]:
        """Resume a run, or stay until whoever holds it here has taken the answer."""
        while True:
            try:
                return self._taken_up(run, options, offline=offline, foreground=foreground)
            except RunClaimed:
                raise
            except RunHeld:
                if self._is_settled(run, view):
                    return self._finished(run)
                time.sleep(ANSWER_POLL_S)
            except RunOver:
                if not self._is_settled(run, view):
                    raise
                return self._finished(run)  # another process was faster, and has brought the run to its end

    def _taken_up(self, run: str, options: Options, *, offline: bool, foreground: bool) -> FlowHandle[Any]:
        """Carry a run on, claimed where it lives on a remote; one that was to be ended is, and hooks are told of it."""
        from kitaru.project.claiming import hold_of
        from kitaru.runtime.invoking import EnvironmentNeeded

        hold = None if offline else hold_of(self)
        options.claim, options.apart = hold.take if hold is not None else None, True
        try:
            prepared = self.runner.resume(run, options)
        except BaseException as error:
            if hold is not None:
                hold.end()
            if isinstance(error, RunCancelled):
                self.hooks.ended(run)
            if isinstance(error, EnvironmentNeeded):
                return self._resume_there(run, error, options, offline=offline, foreground=foreground)
            raise
        return self._handle(prepared, options, foreground=foreground, hold=hold)

    def _is_settled(self, run: str, view: WaitView) -> bool:
        """Tell whether a wait needs no answer any more: it has one, the code no longer asks it, or the run is over."""
        state = self.state(run)
        return state.end is not None or not any(w.id == view.id and w.is_open for w in state.waits.values())

    def _options(
        self,
        on_drift: str,
        observer: Observer | None,
        *,
        as_recorded: bool | None = None,
        tags: Iterable[str] = (),
        cache: bool | None = None,
    ) -> Options:
        from kitaru.runtime.options import check_policy
        from kitaru.runtime.runner import Options

        observer = self.hooks.watching(observer)
        return Options(check_policy(on_drift), as_recorded, tuple(tags), observer, cache, prompts=self.prompts)

    def _bound(self, options: Options, max_calls: int | None, max_seconds: float | None, stay_s: float | None) -> None:
        from kitaru.runtime.limits import given

        options.limits = given(max_calls, max_seconds)
        if stay_s is not None:
            options.stay_us = int(stay_s * 1_000_000)

    def _handle(
        self, prepared: Prepared, options: Options, *, foreground: bool, hold: Hold | None = None
    ) -> FlowHandle[Any]:
        from kitaru.project.carrying import Carrying
        from kitaru.project.claiming import hold_handed_over
        from kitaru.runtime.handle import FlowHandle

        run = prepared.engine.run
        carrying = Carrying(
            prepared,
            lambda: self.runner.resume(run, options),
            lambda: self._answer_came(run),
            self.services,
            over=self.hooks.ended,
            hold=hold or hold_handed_over(self, run),
        )
        handle: FlowHandle[Any] = FlowHandle(run, carrying.execute, lambda: self.state(run).status, carrying.stop)
        return handle.finish() if foreground else handle.start()

    def _answer_came(self, run: str) -> bool:
        """Tell whether a wait was answered, or the run cancelled, while its runner let go of it."""
        if self.repo.is_cancellation_there(run):
            return True
        state = self.state(run)
        return any(self.given(state, view) for view in state.open_questions)

    def _finished(self, run: str, before: StartedBefore | None = None) -> FlowHandle[Any]:
        """Return a handle for a run that this process does not execute."""
        from kitaru.runtime.ending import Outcome
        from kitaru.runtime.handle import FlowHandle

        def tell() -> Outcome:
            state = self.state(run)
            value = self.value(state.end.output, run) if state.end and state.end.output else None
            others = before.other_inputs if before is not None else ()
            if state.wakes and not state.open_questions and self.repo.is_held(run):  # a process stays for the sleep
                return Outcome(run, Status.RUNNING, None, None, before is not None, others)
            return Outcome(run, state.status, value, _why_not(state), before is not None, others)

        handle: FlowHandle[Any] = FlowHandle(run, tell, lambda: self.state(run).status, lambda: None)
        return handle.finish()
