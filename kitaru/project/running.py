"""Starting, resuming and replaying runs: the code is the working tree's, or what a run recorded.

Owns: these verbs. What prepares a run is `runtime.runner`; starting a version by its name is `project.invoking`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kitaru.errors import RunCancelled
from kitaru.project.giving_up import COUNTED
from kitaru.project.spawning import Spawning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kitaru.runtime.decorators import Flow
    from kitaru.runtime.events import Observer
    from kitaru.runtime.handle import FlowHandle
    from kitaru.runtime.prepared import Options


class Running(Spawning):
    """A project as its runs are started and carried on."""

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
            stay_s: how many seconds a `kitaru.sleep` may take for which this process stays, instead of letting the run
                go.
            observer: told what happens.
            foreground: execute on this thread, to the end; by default a thread of its own does.

        Raises:
            UsageError: no such flow, or inputs that do not fit.
            CodeUnloadable: its file cannot be imported.
            RunHeld: another process has been beginning the run of this key for long.
            PrunedRun: the run of this key was removed on purpose.
        """
        options = self._options(on_drift, observer, tags=tags, cache=cache)
        self._bound(options, max_calls, max_seconds, stay_s)
        options.key = key
        return self._begun(
            lambda: self.runner.start(target, inputs, options, text=text, documents=documents),
            options,
            foreground=foreground,
        )

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
            cache, observer, foreground: as of `run`.
            max_calls, max_seconds, stay_s: as of `run`; limits that are not given stay as they are.
            offline: ask no remote whether another machine carries the run on, or has.

        Raises:
            UnknownRun: there is no such run.
            RunHeld: another process executes it, or another machine has claimed it.
            Diverged: another machine has carried it on, and that is not here yet.
            RemoteError: whether another machine has cannot be asked.
            CodeUnloadable: its code cannot be imported; the run is as it was.
            Untrusted: it goes on with recorded code, and nobody here has said that this may be executed.
            EnvironmentUnbuildable: it goes on in its recorded environment, which cannot be built.
            BadInput: the flow no longer takes the inputs that the run was started with.
            RunOver: it has completed, or was cancelled.
            RunCancelled: somebody asked for it to be cancelled, or rejected it, which is done now.
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
            as_recorded: execute the code that the source recorded (True) instead of the working tree's.
            tags, on_drift, cache, observer, foreground: as of `run`.

        Raises:
            UsageError: an unknown run, call, input or value, or nothing to change.
            CodeUnloadable: the code cannot be imported.
            Untrusted: the run is replayed as recorded, and nobody here has said that its code may be executed.
        """
        from kitaru.runtime.replaying import Changes

        options = self._options(on_drift, observer, as_recorded=as_recorded, tags=tags, cache=cache)
        changes = Changes(from_, args or {}, set or {}, answers or {}, text, models or {})
        prepared = self.runner.replay(self.find_run(run), options, changes)
        return self._handle(prepared, options, foreground=foreground)

    def _taken_up(self, run: str, options: Options, *, offline: bool, foreground: bool) -> FlowHandle[Any]:
        """Carry a run on, claimed where it lives on a remote; one that was to be ended is, and hooks are told of it."""
        from kitaru.project.claiming import hold_of
        from kitaru.runtime.invoking import EnvironmentNeeded

        hold = None if offline else hold_of(self)
        options.claim, options.apart = hold.take if hold is not None else None, True
        options.counted = os.environ.pop(COUNTED, "") == run  # not for what is started in turn
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
