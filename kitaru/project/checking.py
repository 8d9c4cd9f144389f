"""Checking what a resume or a replay would do: on the store as it is, changing nothing of it.

Owns: these verbs, and the copy of the store that they work on. What is found out is `runtime.checking`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.blobs.overlay import OverlayBlobs
from kitaru.model.history import OVER, Status
from kitaru.project.executing import Executing
from kitaru.store.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kitaru.runtime.checking import Check
    from kitaru.runtime.prepared import Options, Prepared
    from kitaru.runtime.runner import Runner
    from kitaru.store.repository import RunWriter


_FINAL = frozenset(str(status) for status in OVER - {Status.FAILED})


class Checking(Executing):
    """A project as it is asked what would happen."""

    def check_resume(
        self, run: str, *, on_drift: str = "", as_recorded: bool | None = None, cache: bool | None = None
    ) -> Check:
        """Return what a resume would do: which calls it would reuse, execute or stop at, and why.

        The flow's body runs, with recorded results, until it comes to a call that would be executed; no checkpoint is
        executed, and nothing is written to the store. The history of a run that is over is followed to its end.

        Args:
            run: any revision that names it.
            on_drift, as_recorded, cache: as of `resume`; a call that the result cache has a result for is not executed.

        Raises:
            RunHeld: a process executes it.
            CodeUnloadable, BadInput: as of `resume`.
        """
        options = self._checking(on_drift, as_recorded, cache)
        return self._check(run, options, lambda runner, found: runner.resume(found, options))

    def check_replay(
        self,
        run: str = "@",
        *,
        from_: str | None = None,
        args: Mapping[str, Any] | None = None,
        set: Mapping[str, Any] | None = None,
        answers: Mapping[str, Any] | None = None,
        models: Mapping[str, str] | None = None,
        text: bool = False,
        on_drift: str = "",
        as_recorded: bool | None = None,
        cache: bool | None = None,
    ) -> Check:
        """Return what a replay would do: arguments and errors are those of `replay`, the rest as of `check_resume`."""
        from kitaru.runtime.replaying import Changes

        changes = Changes(from_, args or {}, set or {}, answers or {}, text, models or {})
        options = self._checking(on_drift, as_recorded, cache)
        return self._check(run, options, lambda runner, found: runner.replay(found, options, changes))

    def _checking(self, on_drift: str, as_recorded: bool | None, cache: bool | None) -> Options:
        from kitaru.runtime.options import check_policy
        from kitaru.runtime.prepared import Options

        return Options(
            check_policy(on_drift), as_recorded, cache=cache, stay_us=0, prompts=True
        )  # it stays for nothing

    def _check(self, run: str, options: Options, prepare: Callable[[Runner, str], Prepared]) -> Check:
        from kitaru.runtime.checking import Check, Checker

        state = self.state(self.find_run(run))
        repo = _Copy(OverlayBlobs(self.repo.blobs), self.services.random_bytes)
        copy = type(self)(self.root, repo, self.config, self.services)
        copy.results = self.results  # what is kept is looked for where it is; nothing executes that would be kept
        checker = options.observer = Checker(Check(state.run, state.start.flow))
        return checker.run(prepare(copy.runner, state.run))


class _Copy(Repository):
    """A store on which what was done with a run can be tried again: a run that is over, too, or is to be cancelled."""

    def cancellation(self, run: str, *, settle: bool = False) -> None:
        """Nobody asked for anything."""

    def is_cancellation_there(self, run: str) -> bool:
        """Tell that nobody did."""
        return False

    def reopen(self, run: str) -> RunWriter:
        """Open a run for writing, as if the last word on it were not said: that it completed, or was cancelled."""
        writer = super().reopen(run)
        ends = [i for i, stored in enumerate(writer.records) if getattr(stored.record, "status", "") in _FINAL]
        del writer.records[ends[-1] if ends else len(writer.records) :]
        return writer
