"""Starting a recorded version of a flow by name: `FLOW@stable`, without its source.

Owns: the order of the steps, all of which come before anything is recorded: the version is chosen, trusted, its inputs
checked by what was recorded of them, its code loaded from the store. Which version a name leads to is
`project.routing`, what inputs may be `runtime.invoking`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.errors import CodeUnloadable, UsageError
from kitaru.model.ids import new_run_id
from kitaru.project.routing import Routing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kitaru.project.routing import Choice
    from kitaru.runtime.events import Observer
    from kitaru.runtime.handle import FlowHandle
    from kitaru.runtime.keys import StartedBefore
    from kitaru.runtime.runner import Options, Prepared, Runner
    from kitaru.runtime.versions import Version


class Invoking(Routing):
    """A project as its recorded versions are started by name."""

    if TYPE_CHECKING:  # the project makes these

        @property
        def runner(self) -> Runner:
            """What prepares runs."""

        def _options(self, on_drift: str, observer: Observer | None, *, tags: Iterable[str] = ()) -> Options: ...

        def _bound(self, options: Options, calls: int | None, seconds: float | None, stay_s: float | None) -> None: ...

        def _handle(self, prepared: Prepared, options: Options, *, foreground: bool) -> FlowHandle[Any]: ...

        def _finished(self, run: str, before: StartedBefore | None = None) -> FlowHandle[Any]: ...

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

        Raises:
            FlowNotFound, UsageError: no such flow, version or route.
            BadInput: an input that is unknown, missing or wrong.
            Untrusted: the version came from elsewhere, and nobody here has said that it may be executed.
            CodeUnloadable: its code cannot be imported.
            PrunedRun: the run of this key, or of this id, was removed on purpose.
        """
        from kitaru.runtime.environment import differing
        from kitaru.runtime.invoking import checked_inputs
        from kitaru.runtime.keys import StartedBefore
        from kitaru.runtime.trusting import check_trusted

        run = run or new_run_id(self.services.random_bytes)
        choice = self.choose(target, key or run)
        check_trusted(self.repo, choice.flow, choice.version.id, choice.version.n)
        value = self.version(choice.version_json)
        version = _version(choice, value)
        checked = checked_inputs(choice.name, value.get("inputs"), inputs or {}, text=text, documents=documents)
        options = self._options("", observer, tags=tags)
        self._bound(options, max_calls, max_seconds, stay_s)
        options.key, options.run = key, run
        invoked = {**choice.to_json(), **({"key": key} if key else {}), **(invocation or {})}
        if differs := differing(value):
            invoked["differs"] = differs
        try:
            prepared = self.runner.invoke(choice.flow, version, checked, options, invoked)
        except StartedBefore as before:
            return self._finished(before.run, before)
        return self._handle(prepared, options, foreground=foreground)

    def preload(self, target: str, version_id: str) -> None:
        """Import the code that a name leads to, ahead of the runs of it that children of this process execute.

        Raises:
            UsageError: the name does not lead to the version of this id, or to none.
            Untrusted, CodeUnloadable: as of `invoke`.
        """
        choice = self.choose(target, "")
        if choice.version.id != version_id:
            raise UsageError(f"{target} is another version by now", hint=f"kitaru flow show {choice.flow}")
        self.runner.preload(choice.flow, _version(choice, self.version(choice.version_json)))

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

        Args, errors: as of `invoke`. Nothing is recorded, and no code is loaded.
        """
        from kitaru.runtime.invoking import checked_inputs

        choice = self.choose(target, key)
        schema = self.version(choice.version_json).get("inputs")
        return choice, checked_inputs(choice.name, schema, inputs, text=text, documents=documents)


def _version(choice: Choice, value: Mapping[str, Any]) -> Version:
    """Return a recorded version from its value.

    Raises:
        CodeUnloadable: it holds no code that could be imported.
    """
    from kitaru.runtime.sources import Entry
    from kitaru.runtime.versions import Version

    entry = Entry.from_json(value["entry"])
    if entry.file is None:
        raise CodeUnloadable(
            f"{choice.name} was recorded in an interactive session, so that its code is not in the store",
            hint="move the flow to a file and run it from there",
        )
    return Version(choice.version.n, choice.version.id, entry, value["files"])
