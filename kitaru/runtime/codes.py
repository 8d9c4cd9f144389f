"""Which code a run executes: that of the working tree, or what its version recorded.

Owns: how it is loaded, whether that is allowed here, and how it stands to what was recorded. Knows nothing of engines.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.errors import CodeUnloadable
from kitaru.runtime.bytecode import Bytecode
from kitaru.runtime.decorators import Flow, find_live_flow
from kitaru.runtime.derived import Derived
from kitaru.runtime.entry import Entry
from kitaru.runtime.environment import is_inside
from kitaru.runtime.invoking import EnvironmentNeeded
from kitaru.runtime.loading import LoadedFlow, load_entry, load_target
from kitaru.runtime.names import alias_main
from kitaru.runtime.preloading import import_ahead, keep, kept
from kitaru.runtime.scratch import make_scratch
from kitaru.runtime.sources import changed_files, entry_of
from kitaru.runtime.trusting import check_is_flow, check_trusted
from kitaru.runtime.versions import Version, Versions, describe

if TYPE_CHECKING:
    from kitaru.model.history import RunState
    from kitaru.runtime.values import Values
    from kitaru.store.repository import Repository

WORKING_TREE, RECORDED = "working-tree", "recorded"


@dataclass(frozen=True, slots=True)
class Code:
    """The flow to execute, and how its code stands to what was recorded.

    Attributes:
        before: number of the version that was recorded with last.
        changes: path and kind of change since that version, for each file.
        recorded: the recorded code is executed, not the working tree's.
    """

    flow: Flow[Any, Any]
    version: Version
    before: int
    changes: list[tuple[str, str]]
    recorded: bool = False

    @property
    def kind(self) -> str:
        """What a record says of it."""
        return RECORDED if self.recorded else WORKING_TREE

    @property
    def may_differ(self) -> bool:
        """Whether the code may be another than what was recorded; of a flow without a file of its own nobody knows."""
        entry = self.version.entry
        return bool(self.changes) or entry.file is None or "<locals>" in entry.qualname


class Codes:
    """Loads the code of one project's runs.

    Args:
        repo: the store, which knows what is trusted.
        root: the project's directory.
        values: reads what versions recorded.
        versions: the flow versions that it records.
    """

    def __init__(self, repo: Repository, root: Path, values: Values, versions: Versions) -> None:
        self._repo, self._root, self._values, self._versions = repo, root, values, versions
        self._bytecode = Bytecode(Derived(repo.blobs.scratch))

    def load(self, target: str | Flow[Any, Any]) -> LoadedFlow:
        """Return a flow with its code loaded from the working tree; raises FlowNotFound, CodeUnloadable."""
        if isinstance(target, Flow):
            alias_main(self._root)
            return LoadedFlow(target, entry_of(target.fn, self._root), ())
        return load_target(target, self._root, Path.cwd())

    def recorded(self, flow: str, version: Version) -> Code:
        """Return a version's code as it was recorded: nothing of the working tree is looked at.

        Raises:
            Untrusted: nobody here has said that this version may be executed.
            CodeUnloadable: it cannot be imported.
        """
        check_trusted(self._repo, flow, version.id, version.n)
        loaded = kept(version.id, self._root) or self._load_recorded(version, alone=True)
        return Code(loaded.flow, version, version.n, [], recorded=True)

    def preload(self, flow: str, version: Version) -> None:
        """Import a version's code as recorded, for the next run of it in this process, or in a child of it.

        Raises:
            Untrusted, CodeUnloadable: as of `recorded`.
        """
        check_trusted(self._repo, flow, version.id, version.n)
        import_ahead()
        keep(version.id, self._root, self._load_recorded(version, alone=True))

    def _load_recorded(self, version: Version, *, alone: bool) -> LoadedFlow:
        place = make_scratch()
        return load_entry(version.entry, self._root, version.files, place, alone=alone, bytecode=self._bytecode)

    def of_run(self, state: RunState, *, as_recorded: bool) -> Code:
        """Return the code that carries a run on, or that a branch of it executes.

        Raises:
            CodeUnloadable: it cannot be imported. That the flow's file is not here is no reason to go over to the
                recorded code: it may have been moved, and what else the flow needs may be here and have changed.
            Untrusted: the recorded code came from elsewhere, and nobody here has said that it may be executed.
        """
        recorded = self._versions.read(state.version)
        live = find_live_flow(recorded.entry.module, recorded.entry.qualname)
        if live is not None and (recorded.entry.file is None or "<locals>" in recorded.entry.qualname):
            return Code(live, recorded, recorded.n, [])
        if recorded.entry.file is None:
            raise CodeUnloadable(
                f"flow {state.start.flow} was defined in an interactive session, which is gone",
                hint="move it to a file, or resume it where it was defined",
            )
        if as_recorded:
            check_trusted(self._repo, state.start.flow, recorded.id, recorded.n)
            loaded = self._load_recorded(recorded, alone=bool(state.start.invoked))
            return Code(loaded.flow, recorded, recorded.n, [], recorded=True)
        check_is_flow(self._repo, state.start.flow, recorded.id, recorded.entry, self._root)
        loaded = load_entry(recorded.entry, self._root)
        entry = Entry(recorded.entry.module, recorded.entry.qualname, recorded.entry.file, recorded.entry.path)
        version, _ = self._versions.record(loaded.flow, entry, loaded.loaded_files)
        return Code(loaded.flow, version, recorded.n, changed_files(recorded.files, version.files))

    def check_environment(self, state: RunState) -> None:
        """Raise EnvironmentNeeded if this process is not in the environment that a run's version was recorded with."""
        check_trusted(self._repo, state.start.flow, state.version["id"], int(state.version["n"]))
        version = describe(self._values, state.version)
        if not is_inside(version):
            raise EnvironmentNeeded(version)
