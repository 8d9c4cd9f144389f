"""What the engine of a run is made of, and what is told when it is.

Owns: which policy, limits, requests, live output and result cache an execution has. Whether the run is a new one, is
carried on or is a branch, is `runtime.runner`'s: by now it is locked, and there is a plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.runtime.caching import Caching
from kitaru.runtime.engine import Engine
from kitaru.runtime.limits import limits_of
from kitaru.runtime.replies import Replies
from kitaru.store.live import LiveWriter, path_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kitaru.model.history import RunState
    from kitaru.model.records import Resumed
    from kitaru.runtime.codes import Code
    from kitaru.runtime.events import Services
    from kitaru.runtime.plan import Plan
    from kitaru.runtime.prepared import Options
    from kitaru.runtime.values import Values
    from kitaru.store.repository import CancelName, Repository, RunWriter
    from kitaru.store.result_cache import ResultCache


class Engines:
    """Makes the engines of one project's runs.

    Args:
        root: the project's directory.
        default_on_drift: the project's policy, where neither command, checkpoint nor flow says one.
        results: the result cache of the store.
        settings: tables of the project's configuration, handed on to whoever asks the run for them.
    """

    def __init__(
        self,
        repo: Repository,
        root: Path,
        services: Services,
        default_on_drift: str,
        values: Values,
        *,
        results: ResultCache,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._repo, self._root, self._services, self._values = repo, root, services, values
        self.default_on_drift = default_on_drift
        self._results, self._settings = results, settings or {}

    def make(
        self,
        writer: RunWriter,
        state: RunState,
        plan: Plan,
        code: Code,
        options: Options,
        *,
        resumed: Resumed | None = None,
    ) -> Engine:
        """Return the engine that executes a run once.

        Args:
            writer: the run, open for writing and locked.
            state: what its records add up to.
            plan: what may be reused and what is overridden.
            code: what it executes with.
            resumed: record to write before the first new one, where the run is taken up again.
        """
        flow = code.flow.options
        engine = Engine(
            writer,
            state,
            self._values,
            plan,
            services=self._services,
            replies=Replies(self._repo, self._values, writer.run, self._services.clock_us),
            on_drift=options.on_drift or state.start.on_drift,
            flow_on_drift=flow.on_drift or self.default_on_drift,
            options=flow,
            observer=options.observer,
            resumed=resumed,
            find_request=lambda: self._request(writer.run),
            live=LiveWriter(path_of(self._repo.blobs, writer.run)),
            limits=limits_of(state, writer.records, flow, options.limits, self._services.clock_us()),
            stay_us=options.stay_us,
            prompts=options.prompts,
            settings={**self._settings, "replaced": state.start.overrides.get("models", {})},
        )
        if not code.recorded:  # that lies in a directory of its own, and may not be what its name leads to
            Caching(self._results, self._root, engine, options.cache).join()
        return engine

    def _request(self, run: str) -> CancelName | None:
        """Return the request to cancel a run: looked for many times a second, and read once it is there."""
        if not self._repo.is_cancellation_there(run):
            return None
        return self._repo.cancellation(run, settle=True)


def tell_run(engine: Engine, code: Code, *, resumed: bool) -> None:
    """Tell the observer which run begins, or goes on."""
    start = engine.state.start
    engine.emit(
        "run",
        flow=start.flow,
        version=code.version.n,
        inputs=start.inputs,
        source=(start.source or {}).get("run"),
        resumed=resumed,
    )


def tell_code(engine: Engine, code: Code) -> None:
    """Tell the observer where a run that was recorded before executes with code that is not what is here, or was."""
    if code.changes or code.recorded:
        engine.emit("code", changes=[list(c) for c in code.changes], recorded=code.before, executes=code.kind)
