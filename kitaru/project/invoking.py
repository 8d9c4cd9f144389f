"""Starting a recorded version of a flow by name: `FLOW@stable`, without its source.

Owns: the order of the steps, all of which come before anything is recorded: the version is chosen, trusted, its inputs
checked by what was recorded of them, its code loaded from the store. Which version a name leads to is
`project.routing`, what inputs may be `runtime.invoking`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.errors import BadInput, UsageError
from kitaru.model.ids import new_run_id
from kitaru.project.routing import Routing
from kitaru.project.spawning import Spawning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kitaru.project.environments import Environment
    from kitaru.project.routing import Choice
    from kitaru.runtime.events import Observer
    from kitaru.runtime.handle import FlowHandle
    from kitaru.runtime.prepared import Options, Prepared
    from kitaru.runtime.versions import Version

RECORDED, CURRENT = "recorded", "current"
"""Environments to execute a version in."""


class Invoking(Routing, Spawning):
    """A project as its recorded versions are started by name."""

    def invoke(
        self,
        target: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        text: bool = False,
        documents: Mapping[str, Any] | None = None,
        key: str = "",
        tags: Iterable[str] = (),
        run: str = "",
        invocation: Mapping[str, Any] | None = None,
        max_calls: int | None = None,
        max_seconds: float | None = None,
        stay_s: float | None = None,
        observer: Observer | None = None,
        foreground: bool = False,
        detach: bool = False,
        env: str = "",
    ) -> FlowHandle[Any]:
        """Start a run of a recorded version: its code comes from the store, never from the working tree.

        Args:
            target: `FLOW@ROUTE`, `FLOW@v3`, `FLOW@latest`; a flow alone is its route `stable`, or its latest version
                where it has no routes.
            inputs: parameter name to JSON data, or to a value that has such a form; checked by the schema that was
                recorded with the version before anything is loaded or recorded.
            text: strings among the inputs were typed, and are read by the recorded schema.
            documents: more inputs, read from JSON.
            key: start the run once for this flow and key, as of `run`. A weighted route gives one key always the same
                version, while its weights stay.
            tags: names to find the run by.
            run: the id that the run is to have, where it was chosen before; where it has begun, its handle is returned.
            invocation: more for the record of how it was invoked, such as `invocation`, `schedule` and `tick`.
            max_calls, max_seconds, stay_s, observer, foreground: as of `run`.
            detach: execute it in a process of its own, which goes on when this one ends; `observer` is told nothing.
                Whoever has modules of the project loaded himself keeps them so.
            env: `recorded` executes it, in a process of its own, in an environment that is built by uv from what the
                version was recorded with; `current`, or empty, on what is installed here. What differs is recorded.

        Raises:
            FlowNotFound, UsageError: no such flow, version or route.
            BadInput: an input that is unknown, missing or wrong.
            Untrusted: the version came from elsewhere, and nobody here has said that it may be executed.
            CodeUnloadable: its code cannot be imported.
            EnvironmentUnbuildable: its environment cannot be built.
            PrunedRun: the run of this key, or of this id, was removed on purpose.
        """
        from kitaru.runtime.invoking import checked_inputs

        run = run or new_run_id(self.services.random_bytes)
        choice, value = self._choose(target, key or run)
        checked = checked_inputs(choice.name, value.get("inputs"), inputs or {}, text=text, documents=documents)
        environment = self.environment(value) if _is_recorded(env) else None
        bounds: dict[str, Any] = {"max_calls": max_calls, "max_seconds": max_seconds, "stay_s": stay_s}
        if detach or (environment is not None and not environment.is_this):
            asked = {"target": target, "documents": checked, "key": key, "tags": [*tags], "run": run, "env": env}
            asked |= {"invocation": dict(invocation or {}), **bounds}
            return self._invoke_apart(choice, asked, environment, observer, outlives=detach, foreground=foreground)
        options = self._options("", observer, tags=tags)
        self._bound(options, **bounds)
        options.key, options.run = key, run
        told = {**({"key": key} if key else {}), **(invocation or {})}
        told |= {"env": RECORDED} if environment is not None else {}
        return self._invoke_here(choice, value, checked, options, told, foreground=foreground)

    def _invoke_here(
        self,
        choice: Choice,
        value: Mapping[str, Any],
        inputs: dict[str, Any],
        options: Options,
        told: Mapping[str, Any],
        *,
        foreground: bool,
    ) -> FlowHandle[Any]:
        """Start a run in this process; `told` is recorded beside the choice, and what is installed here otherwise."""
        from kitaru.runtime.environment import differing
        from kitaru.runtime.invoking import told_inputs

        def prepare() -> Prepared:
            try:
                return self.runner.invoke(choice.flow, version, inputs, options, invoked)
            except BadInput as error:  # the code's own types refused what the schema let pass
                raise BadInput(error.message, hint=told_inputs(value.get("inputs"))) from error.__cause__

        differs = differing(value)
        invoked = {**choice.to_json(), **told, **({"differs": differs} if differs else {})}
        version = _version(choice, value)
        return self._begun(prepare, options, foreground=foreground)

    def _invoke_apart(
        self,
        choice: Choice,
        asked: Mapping[str, Any],
        environment: Environment | None,
        observer: Observer | None,
        *,
        outlives: bool,
        foreground: bool,
    ) -> FlowHandle[Any]:
        """Start a run in a process of its own, which is asked as this one was."""
        from kitaru.runtime.events import Event

        handle = self._apart(asked, environment, outlives=outlives)
        if observer is not None:
            observer(Event("invoked", handle.exec_id, choice.to_json()))
        if foreground and not outlives:
            handle.join()
        return handle

    def _choose(self, target: str, key: str) -> tuple[Choice, dict[str, Any]]:
        """Return the version that an invocation gets, and its value, if it may be executed and can be."""
        from kitaru.runtime.trusting import check_trusted

        choice = self.choose(target, key)
        check_trusted(self.repo, choice.flow, choice.version.id, choice.version.n)
        value = self.version(choice.version_json)
        _version(choice, value)
        return choice, value

    def environment_for(self, target: str, key: str) -> Environment:
        """Return the environment of the version that an invocation gets.

        Args:
            target, key: as of `choose`.

        Raises:
            UsageError, Untrusted, CodeUnloadable, EnvironmentUnbuildable: as of `invoke`.
        """
        return self.environment(self._choose(target, key)[1])

    def preload(self, target: str, version_id: str) -> None:
        """Import the code that a name leads to, ahead of the runs of it that children of this process execute.

        Raises:
            UsageError: the name does not lead to the version of this id, or to none.
            Untrusted, CodeUnloadable: as of `invoke`.
        """
        choice = self.choose(target, "")
        if choice.version.id != version_id:
            raise UsageError(f"{target} is another version by now", hint=f"kitaru flow show {choice.flow}")
        self.runner.codes.preload(choice.flow, _version(choice, self.version(choice.version_json)))

    def check_inputs(
        self,
        target: str,
        inputs: Mapping[str, Any],
        *,
        text: bool = False,
        documents: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> tuple[Choice, dict[str, Any]]:
        """Return the version that an invocation would get now, and its inputs as JSON data that fits this version.

        Args, errors: as of `invoke`, but that it need not be trusted yet. Nothing is recorded, and no code is loaded.
        """
        from kitaru.runtime.entry import startable_entry
        from kitaru.runtime.invoking import checked_inputs

        choice = self.choose(target, key)
        value = self.version(choice.version_json)
        startable_entry(choice.name, value)
        return choice, checked_inputs(choice.name, value.get("inputs"), inputs, text=text, documents=documents)


def _is_recorded(env: str) -> bool:
    if env not in ("", CURRENT, RECORDED):
        raise UsageError(f"there is no environment {env!r}", hint=f"write {RECORDED} or {CURRENT}")
    return env == RECORDED


def _version(choice: Choice, value: Mapping[str, Any]) -> Version:
    """Return a recorded version from its value.

    Raises:
        CodeUnloadable: it holds no code that could be imported.
    """
    from kitaru.runtime.entry import startable_entry
    from kitaru.runtime.versions import Version

    return Version(choice.version.n, choice.version.id, startable_entry(choice.name, value), value["files"])
