"""Making a run ready to execute: start, resume, replay.

Owns: the way from a flow and inputs, or from a recorded run, to an engine and a body. Executing is the engine's; what
to do when a run stops is the project's.
"""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.errors import (
    CodeUnloadable,
    InvalidAnswer,
    NothingToReplay,
    RunFailed,
    Unencodable,
    UnknownCall,
    UsageError,
)
from kitaru.model.history import RunState, Status
from kitaru.model.ids import CallName, new_run_id, parse_call
from kitaru.model.records import Resumed, Start
from kitaru.runtime.capture import capturing
from kitaru.runtime.decorators import Flow, checkpoint_named, find_live_flow
from kitaru.runtime.engine import Engine, Outcome
from kitaru.runtime.loading import LoadedFlow, during_import, load_entry, load_target
from kitaru.runtime.names import ClassNames, alias_main
from kitaru.runtime.plan import Overrides, Plan
from kitaru.runtime.schema import parse_input, parse_inputs, parse_output, validate_answer_json
from kitaru.runtime.sources import Entry, changed_files, entry_of
from kitaru.runtime.values import Values
from kitaru.runtime.versions import Version, Versions
from kitaru.store.states import run_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence

    from kitaru.runtime.events import Observer, Services
    from kitaru.store.repository import Repository, RunWriter

WORKING_TREE, RECORDED = "working-tree", "recorded"


@dataclass(slots=True)
class Options:
    """How a run is to be executed, this time.

    Attributes:
        on_drift: policy for the whole run, or empty.
        as_recorded: run the recorded code instead of the working tree.
        tags: names to find the run by.
        observer: told what happens, or None.
    """

    on_drift: str = ""
    as_recorded: bool = False
    tags: tuple[str, ...] = ()
    observer: Observer | None = None


@dataclass(slots=True)
class Prepared:
    """A run that is locked, recorded as begun or resumed, and ready to execute once."""

    engine: Engine
    flow: Flow[Any, Any]
    inputs: dict[str, Any]

    def execute(self) -> Outcome:
        """Run the body to its end or to a stop."""
        with capturing():
            return self.engine.execute(lambda: self.flow.fn(**self.inputs))


class Runner:
    """Prepares runs of one project.

    Args:
        root: the project's directory.
        default_on_drift: the project's policy, where neither command, checkpoint nor flow says one.
        cache: for `Versions`.
    """

    def __init__(
        self,
        repo: Repository,
        root: Path,
        services: Services,
        default_on_drift: str,
        cache: MutableMapping[str, bytes] | None,
    ) -> None:
        self._repo, self._root, self._services, self._default_on_drift = repo, root, services, default_on_drift
        self.values = Values(ClassNames(root), repo.object)
        self.versions = Versions(repo, root, self.values, services, cache)

    # -- start -------------------------------------------------------------------------------------------------

    def start(
        self,
        target: str | Flow[Any, Any],
        inputs: Mapping[str, Any],
        options: Options,
        *,
        text: bool,
        documents: Mapping[str, Any] | None = None,
    ) -> Prepared:
        """Prepare a new run of a flow on inputs.

        Args:
            inputs: parameter name to value; `text` says that strings among them were typed as `name=value`.
            documents: more inputs, read from JSON.

        Raises:
            UsageError: no such flow, inputs that do not fit, a place where no run may be started.
            CodeUnloadable: the flow's file cannot be imported.
        """
        _check_may_start()
        loaded = self._load(target)
        flow: Flow[Any, Any] = loaded.flow
        given = parse_inputs(flow.fn, inputs, text=text, documents=documents)
        bound = {**self._encodable_defaults(flow), **given}
        version, new = self.versions.record(flow, loaded.entry, loaded.loaded_files)
        writer = self._repo.begin(new_run_id(self._services.random_bytes))
        try:
            objects, ids = self._encode_all(bound, writer)
            record = Start(
                self._services.clock_us(),
                flow=flow.name,
                version=version.to_json(),
                inputs=ids,
                origin=self._services.origin,
                tags=_tags(flow, options),
                on_drift=options.on_drift,
                code=WORKING_TREE,
            )
            writer.commit(record, objects)
            state, runs = run_state(self._repo, writer.run)
            engine = self._engine(writer, state, Plan(state, runs, Overrides()), flow, options=options)
        except BaseException:
            writer.close()
            raise
        engine.emit("version", flow=flow.name, n=version.n, new=new)
        engine.emit("run", flow=flow.name, version=version.n, inputs=ids, source=None, resumed=False)
        return Prepared(engine, flow, bound)

    def _encodable_defaults(self, flow: Flow[Any, Any]) -> dict[str, Any]:
        """Return the defaults that are inputs like any other: a run goes on with those it was started with."""
        found = {}
        for name, default in flow.binder.defaults.items():
            with contextlib.suppress(Unencodable):
                self.values.encoder.digest(default)
                found[name] = default
        return found

    def _load(self, target: str | Flow[Any, Any]) -> LoadedFlow:
        if isinstance(target, Flow):
            alias_main(self._root)
            return LoadedFlow(target, entry_of(target.fn, self._root), ())
        return load_target(target, self._root, Path.cwd())

    # -- resume ------------------------------------------------------------------------------------------------

    def resume(self, run: str, options: Options) -> Prepared:
        """Prepare to carry a run on: its own history is all there is to reuse.

        Raises:
            RunHeld: another process executes it.
            CodeUnloadable: its code cannot be imported; the run is as it was.
            BadInput: the flow no longer takes the inputs that the run was started with.
            RunFailed: it is over and cannot go on.
        """
        _check_may_start()
        writer = self._repo.reopen(run)
        try:
            return self._resume(writer, options)
        except BaseException:
            writer.close()
            raise

    def _resume(self, writer: RunWriter, options: Options) -> Prepared:
        state, runs = run_state(self._repo, writer.run, writer.records)
        if state.status in (Status.COMPLETED, Status.CANCELLED):
            raise RunFailed(f"run {writer.run} is {state.status}", hint=f"kitaru replay {writer.run} --from CALL")
        code = state.resumed[-1].code if state.resumed else state.start.code
        options.as_recorded = options.as_recorded or code == RECORDED
        flow, version, changes = self._code(state, options)
        on_drift = options.on_drift or (state.resumed[-1].on_drift if state.resumed else state.start.on_drift)
        options.on_drift = on_drift
        resumed = Resumed(
            self._services.clock_us(),
            version=version.to_json(),
            origin=self._services.origin,
            on_drift=on_drift,
            code=RECORDED if options.as_recorded else WORKING_TREE,
        )
        inputs = parse_inputs(flow.fn, self._decode_all(state.start.inputs, runs), text=False)
        plan = _resumed_plan(state, runs)
        engine = self._engine(writer, state, plan, flow, options=options, resumed=resumed)
        if writer.tail:
            engine.emit("torn", text=writer.tail)
        self._tell(engine, state, version, changes, resumed=True)
        return Prepared(engine, flow, inputs)

    # -- replay ------------------------------------------------------------------------------------------------

    def replay(
        self,
        run: str,
        options: Options,
        *,
        from_: str | None,
        args: Mapping[str, Any],
        sets: Mapping[str, Any],
        answers: Mapping[str, Any],
        text: bool,
    ) -> Prepared:
        """Prepare a branch of a run, with something changed.

        Args:
            from_: a call or wait; all before it is kept, even where inputs changed. None branches at the first call
                that the changes reach, or at the failure.
            args: flow inputs to change.
            sets: call to the output it is to have.
            answers: wait to the answer it is to get.
            text: values are JSON or plain text, as typed.

        Raises:
            UsageError: an unknown call, input or value; nothing to replay.
            CodeUnloadable: the code cannot be imported.
        """
        _check_may_start()
        source, runs = run_state(self._repo, run)
        cut = _order_of(source, parse_call(from_)) if from_ else None
        if cut is None and not (args or sets or answers) and source.status is Status.COMPLETED:
            calls = ", ".join(c.label for c in source.ordered_calls)
            raise NothingToReplay(
                f"run {run} is completed, and nothing is to change", hint=f"add --from CALL; calls: {calls}"
            )
        flow, version, changes = self._code(source, options)
        inputs = self._changed_inputs(flow, self._decode_all(source.start.inputs, runs), args, text=text)
        _check_overrides(source, sets)
        pins = {name: parse_output(_checkpoint_fn(name), name, value, text=text) for name, value in sets.items()}
        given = {name: _ahead(source, name, value, text=text) for name, value in answers.items()}
        self._repo.settle_run(run)
        writer = self._repo.begin(new_run_id(self._services.random_bytes))
        try:
            objects, ids = self._encode_all(inputs, writer)
            more, set_ids = self._encode_all(pins, writer)
            also, answer_ids = self._encode_all(given, writer)
            changed = {n: ids[n] for n in args}
            record = Start(
                self._services.clock_us(),
                flow=source.start.flow,
                version=version.to_json(),
                inputs=ids,
                source={"run": run, "head": source.head, "cut": cut, "from": parse_call(from_).name if from_ else ""},
                overrides={"set": set_ids, "args": changed, "answers": answer_ids},
                origin=self._services.origin,
                tags=_tags(flow, options),
                on_drift=options.on_drift,
                code=RECORDED if options.as_recorded else WORKING_TREE,
            )
            stored = writer.commit(record, objects + more + also)
            state, runs = run_state(self._repo, writer.run, [stored])
            engine = self._engine(writer, state, _resumed_plan(state, runs), flow, options=options)
        except BaseException:
            writer.close()
            raise
        self._tell(engine, state, version, changes, resumed=False)
        return Prepared(engine, flow, inputs)

    def _changed_inputs(
        self, flow: Flow[Any, Any], inputs: dict[str, Any], args: Mapping[str, Any], *, text: bool
    ) -> dict[str, Any]:
        kept = {name: value for name, value in inputs.items() if name in flow.binder.names and name not in args}
        changed = parse_inputs(flow.fn, {**kept, **args}, text=False)
        typed = {n: parse_input(flow.fn, n, v) for n, v in args.items() if text and isinstance(v, str)}
        return {**changed, **typed}

    # -- shared ------------------------------------------------------------------------------------------------

    def _engine(
        self,
        writer: RunWriter,
        state: RunState,
        plan: Plan,
        flow: Flow[Any, Any],
        *,
        options: Options,
        resumed: Resumed | None = None,
    ) -> Engine:
        return Engine(
            writer,
            state,
            self.values,
            plan,
            services=self._services,
            find_answer=lambda digest: self._repo.answer(writer.run, digest, settle=True),
            on_drift=options.on_drift,
            flow_on_drift=flow.options.on_drift or self._default_on_drift,
            observer=options.observer,
            resumed=resumed,
        )

    def _code(self, state: RunState, options: Options) -> tuple[Flow[Any, Any], Version, list[tuple[str, str]]]:
        """Return the flow to execute, its version, and what changed since the version the run recorded last."""
        recorded = self.versions.read(state.version)
        live = find_live_flow(recorded.entry.module, recorded.entry.qualname)
        if live is not None and (recorded.entry.file is None or "<locals>" in recorded.entry.qualname):
            return live, recorded, []
        if recorded.entry.file is None:
            raise CodeUnloadable(
                f"flow {state.start.flow} was defined in an interactive session, which is gone",
                hint="move it to a file, or resume it where it was defined",
            )
        here = any((self._root / file).is_file() for file in recorded.files)
        if options.as_recorded or not here:
            options.as_recorded = True
            loaded = load_entry(recorded.entry, self._root, recorded.files, _scratch())
            return loaded.flow, recorded, []
        loaded = load_entry(recorded.entry, self._root)
        entry = Entry(recorded.entry.module, recorded.entry.qualname, recorded.entry.file, recorded.entry.path)
        version, _ = self.versions.record(loaded.flow, entry, loaded.loaded_files)
        return loaded.flow, version, changed_files(recorded.files, version.files)

    def _tell(
        self, engine: Engine, state: RunState, version: Version, changes: list[tuple[str, str]], *, resumed: bool
    ) -> None:
        source = (state.start.source or {}).get("run")
        engine.emit(
            "run",
            flow=state.start.flow,
            version=version.n,
            inputs=state.start.inputs,
            source=source,
            resumed=resumed,
        )
        if changes:
            engine.emit("code", changes=[list(c) for c in changes], recorded=state.start.version["n"])

    def _encode_all(
        self, values: Mapping[str, Any], writer: RunWriter
    ) -> tuple[list[tuple[str, bytes]], dict[str, str]]:
        objects: list[tuple[str, bytes]] = []
        ids = {}
        for name, value in values.items():
            encoded = self.values.encode(value, writer.known, name)
            objects += encoded.objects
            ids[name] = encoded.id
        return objects, ids

    def _decode_all(self, ids: Mapping[str, str], runs: Sequence[str]) -> dict[str, Any]:
        decoder = self.values.decoder(runs)
        return {name: decoder.decode(object_id) for name, object_id in ids.items()}


def _resumed_plan(state: RunState, runs: list[str]) -> Plan:
    source, given = state.start.source or {}, state.start.overrides
    overrides = Overrides(
        {parse_call(name): value for name, value in given.get("set", {}).items()},
        {parse_call(name): value for name, value in given.get("answers", {}).items()},
    )
    dynamic = bool(source) and state.cut is None
    return Plan(state, runs, overrides, dynamic=dynamic, kept_until=str(source.get("from", "")))


def _check_may_start() -> None:
    from kitaru.runtime.context import active_call, current_engine

    if during_import():
        raise UsageError(
            "a flow was started while its file is being imported",
            hint='put .run() under `if __name__ == "__main__":`',
        )
    if current_engine.get() is not None and active_call.get() is None:
        raise UsageError(
            "a flow was started in the body of another flow, which would start it again at every resume",
            hint="start it from inside a checkpoint, or make it a checkpoint",
        )


def _order_of(state: RunState, wanted: CallName) -> int:
    """Return the call order of a call or wait."""
    found = [c for c in state.ordered_calls if c.name == wanted.name and wanted.nth in (None, 0, c.occurrence)]
    if found:
        return found[0].order
    waits = [w for w in state.ordered_waits if w.record.name == wanted.name]
    waits = [w for w in waits if wanted.nth in (None, 0, w.record.occurrence)]
    if waits:
        return waits[0].record.order
    raise UnknownCall(state.run, str(wanted), [c.label for c in state.ordered_calls])


def _ahead(source: RunState, name: str, value: Any, *, text: bool) -> Any:  # noqa: ANN401 - whatever the schema says
    """Return an answer given ahead; what was typed is read by the schema of the source's wait where it fits."""
    wanted = parse_call(name)
    for view in source.ordered_waits:
        if text and view.record.name == wanted.name and wanted.nth in (None, 0, view.record.occurrence):
            with contextlib.suppress(InvalidAnswer):  # the code may have changed since, and its own type decides
                return validate_answer_json(view.record.schema, value, text=True)
    return parse_output(None, name, value, text=text)


def _checkpoint_fn(name: str) -> Callable[..., Any] | None:
    found = checkpoint_named(parse_call(name).name)
    return found.fn if found is not None else None


def _check_overrides(state: RunState, names: Iterable[str]) -> None:
    """Refuse a `--set` on a name that neither the source nor the loaded code has, or that does not say which."""
    for text in names:
        wanted = parse_call(text)
        calls = [c for c in state.ordered_calls if c.name == wanted.name]
        if not calls and _checkpoint_fn(text) is None:
            raise UnknownCall(state.run, text, [c.label for c in state.ordered_calls])
        if len(calls) > 1 and wanted.nth is None:
            labels = " or ".join(c.label if c.occurrence > 1 else f"{c.name}#1" for c in calls[:4])
            raise UsageError(
                f"--set {text} does not say which: run {state.run} called it {len(calls)} times",
                hint=f"write {labels}, or {text}#* for all",
            )


def _tags(flow: Flow[Any, Any], options: Options) -> list[str]:
    return list(dict.fromkeys((*flow.options.tags, *options.tags)))


def _scratch() -> Path:
    """Return a directory for recorded code, which lives as long as this process."""
    directory = tempfile.mkdtemp(prefix="kitaru-code-")
    atexit.register(_remove, directory)
    return Path(directory)


def _remove(directory: str) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(directory)
