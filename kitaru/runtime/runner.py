"""Making a run ready to execute: start, resume, replay.

Owns: the way from a flow and inputs, or from a recorded run, to a run that is begun or taken up. What its engine is
made of is `runtime.engines`; executing is the engine's; what to do when a run stops is the project's.
"""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.errors import RunOver, Unencodable, UsageError
from kitaru.model.history import RunState, Status
from kitaru.model.ids import new_run_id
from kitaru.model.records import Note, Resumed, Start
from kitaru.runtime.cancelling import cancelled, end_held, end_rejected, rejection
from kitaru.runtime.codes import RECORDED, Code, Codes
from kitaru.runtime.decorators import Flow
from kitaru.runtime.engines import Engines, tell_code, tell_run
from kitaru.runtime.keys import StartedBefore, begin_named, begin_once
from kitaru.runtime.loading import during_import
from kitaru.runtime.plan import Overrides, Plan
from kitaru.runtime.prepared import Prepared
from kitaru.runtime.replaying import Changes, recorded_plan
from kitaru.runtime.schema import parse_inputs
from kitaru.runtime.versions import Version, Versions
from kitaru.store.runs import collector_paused
from kitaru.store.states import run_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.runtime.engine import Engine
    from kitaru.runtime.events import Services
    from kitaru.runtime.prepared import Options
    from kitaru.runtime.values import Values
    from kitaru.store.repository import Repository, RunWriter


class Runner:
    """Prepares runs of one project.

    Args:
        root: the project's directory.
        engines: makes what executes them.
    """

    def __init__(self, repo: Repository, root: Path, services: Services, values: Values, engines: Engines) -> None:
        self._repo, self._services, self.engines = repo, services, engines
        self.values, self.versions = values, Versions(repo, root, values, services)
        self.codes = Codes(repo, root, values, self.versions)

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
            target: the flow, or what names it on the command line.
            inputs: parameter name to value; `text` says that strings among them were typed as `name=value`.
            documents: more inputs, read from JSON.

        Raises:
            UsageError: no such flow, inputs that do not fit, a place where no run may be started.
            CodeUnloadable: the flow's file cannot be imported.
            StartedBefore: the key's run was begun before.
        """
        _check_may_start()
        loaded = self.codes.load(target)
        given = parse_inputs(loaded.flow.fn, inputs, text=text, documents=documents)
        version, new = self.versions.record(loaded.flow, loaded.entry, loaded.loaded_files)
        code = Code(loaded.flow, version, version.n, [])
        engine, bound = self._start(code, given, options)
        engine.emit("version", flow=loaded.flow.name, n=version.n, new=new)
        tell_run(engine, code, resumed=False)
        return Prepared(engine, loaded.flow, bound)

    def invoke(
        self, flow: str, version: Version, inputs: Mapping[str, Any], options: Options, invoked: Mapping[str, Any]
    ) -> Prepared:
        """Prepare a new run of a version as it was recorded: nothing of the working tree is looked at.

        Args:
            flow: the flow's name.
            inputs: parameter name to a value that fits the recorded schema; the code's own types make of it what they
                will.
            invoked: what the run records of how it was invoked.

        Raises:
            Untrusted: nobody here has said that this version may be executed.
            CodeUnloadable: it cannot be imported.
            BadInput: the inputs fit the recorded schema, and not the code's own types.
            StartedBefore: the key's run, or the one of this id, was begun before.
        """
        _check_may_start()
        code = self.codes.recorded(flow, version)
        given = parse_inputs(code.flow.fn, {}, text=False, documents=inputs)
        engine, bound = self._start(code, given, options, invoked)
        tell_run(engine, code, resumed=False)
        engine.emit("invoked", **invoked)
        return Prepared(engine, code.flow, bound)

    def _start(
        self, code: Code, given: Mapping[str, Any], options: Options, invoked: Mapping[str, Any] | None = None
    ) -> tuple[Engine, dict[str, Any]]:
        """Begin a run and record that it did; return its engine and its inputs, defaults among them."""
        flow = code.flow
        bound = {**self._encodable_defaults(flow), **given}
        key = options.key or flow.options.key
        writer = self._begin(flow.name, key, bound, options.run)
        try:
            objects, ids = self.values.encode_all(bound, writer.known, sink=writer.stage)
            record = Start(
                self._services.clock_us(),
                flow=flow.name,
                version=code.version.to_json(),
                inputs=ids,
                origin=self._services.origin,
                tags=_tags(flow, options),
                on_drift=options.on_drift,
                code=code.kind,
                key=key,
                limits=dict(options.limits),
                invoked=dict(invoked or {}),
            )
            writer.commit(record, objects)
            state, runs = run_state(self._repo, writer.run)
            plan = Plan(state, runs, Overrides())
            return self.engines.make(writer, state, plan, code, options), bound
        except BaseException:
            writer.close()
            raise

    def _begin(self, flow: str, key: str, inputs: Mapping[str, Any], run: str) -> RunWriter:
        if not key and not run:
            return self._repo.begin(new_run_id(self._services.random_bytes))
        try:
            return begin_once(self._repo, flow, key, self._services, run) if key else begin_named(self._repo, run)
        except StartedBefore as before:
            before.other_inputs = self._others(before.run, inputs)
            raise

    def _others(self, run: str, inputs: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of inputs that a run was started with otherwise."""
        then = run_state(self._repo, run)[0].start.inputs
        now = {name: self.values.encoder.digest(value, path=name) for name, value in inputs.items()}
        return tuple(name for name in {**now, **then} if now.get(name) != then.get(name))

    def _encodable_defaults(self, flow: Flow[Any, Any]) -> dict[str, Any]:
        """Return the defaults that are inputs like any other: a run goes on with those it was started with."""
        found = {}
        for name, default in flow.binder.defaults.items():
            with contextlib.suppress(Unencodable):
                self.values.encoder.digest(default)
                found[name] = default
        return found

    # -- resume ------------------------------------------------------------------------------------------------

    def resume(self, run: str, options: Options) -> Prepared:
        """Prepare to carry a run on: its own history is all there is to reuse.

        Raises:
            RunHeld: another process executes it.
            CodeUnloadable: its code cannot be imported; the run is as it was.
            BadInput: the flow no longer takes the inputs that the run was started with.
            RunOver: it has completed.
            RunCancelled: somebody asked for it to be cancelled, or rejected it, which is done now.
        """
        _check_may_start()
        with collector_paused():
            writer = self._repo.reopen(run)
            try:
                return self._resume(writer, options)
            except BaseException:
                writer.close()
                raise

    def _resume(self, writer: RunWriter, options: Options) -> Prepared:
        state, runs = run_state(self._repo, writer.run, writer.records)
        if state.status in (Status.COMPLETED, Status.CANCELLED):
            raise RunOver(writer.run, state.status)
        if options.claim is not None:
            options.claim(writer.run)
        self._check_goes_on(writer, state)
        sticks = options.as_recorded is None and state.executed.code == RECORDED
        as_recorded = sticks or bool(options.as_recorded)
        if as_recorded and options.apart and state.start.invoked.get("env") == RECORDED:
            self.codes.check_environment(state)
        code = self.codes.of_run(state, as_recorded=as_recorded)
        resumed = Resumed(
            self._services.clock_us(),
            version=code.version.to_json(),
            origin=self._services.origin,
            on_drift=options.on_drift,
            code=code.kind,
            limits=dict(options.limits),
        )
        inputs = parse_inputs(code.flow.fn, self.values.decode_all(state.start.inputs, runs), text=False)
        plan = recorded_plan(state, runs)
        engine = self.engines.make(writer, state, plan, code, options, resumed=resumed)
        if options.counted and _was_cut_short(writer, state):
            engine.record_resumed()
        if writer.tail:
            engine.emit("torn", text=writer.tail)
        writer.announce()
        tell_run(engine, code, resumed=True)
        tell_code(engine, code)
        return Prepared(engine, code.flow, inputs)

    def _check_goes_on(self, writer: RunWriter, state: RunState) -> None:
        """End a run that somebody asked to be cancelled, or rejected, while it did not execute; raises RunCancelled."""
        request = self._repo.cancellation(writer.run, settle=True)
        if request is not None:
            end_held(writer, state, request, self._services)
            raise cancelled(writer.run, request)
        rejected = rejection(self._repo, state)
        if rejected is not None:
            raise end_rejected(writer, state, *rejected, self._services)

    # -- replay ------------------------------------------------------------------------------------------------

    def replay(self, run: str, options: Options, changes: Changes) -> Prepared:
        """Prepare a branch of a run, with something changed.

        Args:
            run: the id of the run that is branched from.
            changes: where it branches, and what is other than in that run.

        Raises:
            UsageError: an unknown call, input or value; nothing to replay.
            CodeUnloadable: the code cannot be imported.
        """
        _check_may_start()
        source, runs = run_state(self._repo, run)
        changes.check(source)
        code = self.codes.of_run(source, as_recorded=bool(options.as_recorded))
        changes.check_code(source, changed=code.may_differ)
        inputs = changes.inputs(code.flow, self.values.decode_all(source.start.inputs, runs))
        self._repo.settle_run(run)
        writer = self._repo.begin(new_run_id(self._services.random_bytes))
        try:
            record, objects = self._branch(source, inputs, code, changes, options=options, writer=writer)
            stored = writer.commit(record, objects)
            state, runs = run_state(self._repo, writer.run, [stored])
            plan = recorded_plan(state, runs)
            engine = self.engines.make(writer, state, plan, code, options)
        except BaseException:
            writer.close()
            raise
        tell_run(engine, code, resumed=False)
        tell_code(engine, code)
        return Prepared(engine, code.flow, inputs)

    def _branch(
        self,
        source: RunState,
        inputs: Mapping[str, Any],
        code: Code,
        changes: Changes,
        *,
        options: Options,
        writer: RunWriter,
    ) -> tuple[Start, list[tuple[str, bytes]]]:
        """Return the record that a branch begins with, and its objects."""
        encode = partial(self.values.encode_all, known=writer.known, sink=writer.stage)
        objects, ids = encode(inputs)
        more, set_ids = encode(changes.outputs())
        also, answer_ids = encode(changes.replies(source))
        record = Start(
            self._services.clock_us(),
            flow=source.start.flow,
            version=code.version.to_json(),
            inputs=ids,
            source=changes.source(source),
            overrides={
                "set": set_ids,
                "args": {n: ids[n] for n in changes.args},
                "answers": answer_ids,
                **({"models": dict(changes.models)} if changes.models else {}),
            },
            origin=self._services.origin,
            tags=_tags(code.flow, options),
            on_drift=options.on_drift,
            code=code.kind,
            limits=dict(options.limits),
        )
        return record, objects + more + also


def _was_cut_short(writer: RunWriter, state: RunState) -> bool:
    """Tell whether the execution before was cut short, by what may well cut the next one short, too.

    Where it stopped in an orderly way it was not, nor where it ended.
    """
    if state.end is not None:
        return False
    last = writer.records[-1].record
    stopped = isinstance(last, Note) and last.about == "stopped"
    return writer.died or state.barren > 0 or (state.status is Status.RUNNING and not stopped)


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


def _tags(flow: Flow[Any, Any], options: Options) -> list[str]:
    return list(dict.fromkeys((*flow.options.tags, *options.tags)))
