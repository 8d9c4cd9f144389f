"""What every verb needs that has a run execute here: what prepares it, how it is to be executed, and its handle.

Owns: these, and which hooks and claims a run that executes has. Which run it is, and where it begins, is the verb's.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from kitaru.project import places
from kitaru.project.awaiting import Awaiting
from kitaru.project.remoting import Remoting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kitaru.project.claiming import Hold
    from kitaru.project.hooks import Hooks
    from kitaru.runtime.events import Observer
    from kitaru.runtime.handle import FlowHandle
    from kitaru.runtime.prepared import Options, Prepared
    from kitaru.runtime.runner import Runner
    from kitaru.store.result_cache import ResultCache


class Executing(Awaiting, Remoting):
    """A project as it executes runs.

    Attributes:
        prompts: who executes runs here asks their questions himself: no `timeout=` of a wait is stayed for.
    """

    prompts = False

    if TYPE_CHECKING:  # `Keeping` has it

        @cached_property
        def results(self) -> ResultCache:
            """The result cache."""

    @cached_property
    def runner(self) -> Runner:
        """What prepares runs; made when first needed, for reading verbs do without."""
        from kitaru.runtime.engines import Engines
        from kitaru.runtime.runner import Runner

        engines = Engines(
            self.repo,
            self.root,
            self.services,
            self.config.on_drift,
            self.values,
            results=self.results,
            settings=self.config.settings,
        )
        return Runner(self.repo, self.root, self.services, self.values, engines)

    @cached_property
    def hooks(self) -> Hooks:
        """Scripts that are told of questions, and of runs that are over."""
        from kitaru.project.hooks import Hooks

        return Hooks(self.root, self.root / places.STORE, self.state)

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
        from kitaru.runtime.prepared import Options

        observer = self.hooks.watching(observer)
        return Options(check_policy(on_drift), as_recorded, tuple(tags), observer, cache, prompts=self.prompts)

    def _bound(self, options: Options, max_calls: int | None, max_seconds: float | None, stay_s: float | None) -> None:
        from kitaru.runtime.limits import given

        options.limits = given(max_calls, max_seconds)
        if stay_s is not None:
            options.stay_us = int(stay_s * 1_000_000)

    def _begun(self, prepare: Callable[[], Prepared], options: Options, *, foreground: bool) -> FlowHandle[Any]:
        """Return the handle of a run that is started once; of the one that was, where that was before."""
        from kitaru.runtime.keys import StartedBefore

        try:
            prepared = prepare()
        except StartedBefore as before:
            return self._finished(before.run, before)
        return self._handle(prepared, options, foreground=foreground)

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
