"""Flows and their versions, as things to look at: listings, one version in full, outcomes by version, its files.

Owns: what is told of a flow version and its runs. How a version is named is `project.targets`, what two differ in
`project.versions`, what one holds `runtime.versions`. Nothing of a version is imported or executed here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kitaru.errors import CodeUnloadable, Damaged
from kitaru.model.history import Status
from kitaru.model.spending import Spent
from kitaru.project.routing import Routing
from kitaru.project.targets import find_version, known_versions, parse_flow_target
from kitaru.store import layout, names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from kitaru.model.summary import RunSummary
    from kitaru.runtime.entry import Entry
    from kitaru.store.repository import VersionName
    from kitaru.store.routes import RouteEntry
    from kitaru.store.trust import Origin


@dataclass(frozen=True, slots=True)
class FlowLine:
    """A flow in a listing.

    Attributes:
        versions: how many are recorded.
        latest: the one with the highest number.
        routes: the entry of each that holds.
        runs: how many there are, of all versions.
        last: the run that was started last, as it stands now.
    """

    flow: str
    versions: int
    latest: VersionName
    routes: list[RouteEntry]
    runs: int
    last: RunSummary | None


@dataclass(slots=True)
class Outcomes:
    """What became of some runs.

    Attributes:
        by_status: how many stand so, by status.
        took_us: from start to end of each run that completed, in microseconds, in order of size; time in which a run
            waited counts.
        calls: checkpoints that they executed.
        spent: what they asked of models.
    """

    runs: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    took_us: list[int] = field(default_factory=list)
    calls: int = 0
    spent: Spent = field(default_factory=Spent)

    def took(self, percent: int) -> int | None:
        """Return within how many microseconds so many of a hundred completed runs ended (nearest rank), or None."""
        if not self.took_us:
            return None
        return self.took_us[max(0, -(-len(self.took_us) * percent // 100) - 1)]


@dataclass(frozen=True, slots=True)
class VersionLine:
    """A version of a flow in a listing, with what became of its runs; `name` is None of one that has no name here."""

    n: int
    id: str
    name: VersionName | None
    outcomes: Outcomes


@dataclass(frozen=True, slots=True)
class FlowVersion:
    """A flow version in full.

    Attributes:
        name: number, id, and who recorded it when.
        entry: where its code begins.
        signature: as its source has it; empty where that does not tell.
        inputs: JSON schema of what it takes.
        files: project-relative path to bytes.
        python, distributions, git: what it ran on when it was recorded.
        routes: the entries that hold and send invocations to it.
        trusted: whether it may be executed from the store.
        origins: the remotes it came from.
        runs: its runs, the latest first, as they stand now.
    """

    flow: str
    name: VersionName
    entry: Entry
    signature: str
    inputs: dict[str, Any]
    files: dict[str, bytes]
    python: str
    distributions: dict[str, str]
    git: dict[str, Any] | None
    routes: list[RouteEntry]
    trusted: bool
    origins: list[Origin]
    runs: list[RunSummary]


class Flows(Routing):
    """A project as its flows and their versions are looked at."""

    @cached_property
    def damaged_flows(self) -> dict[str, Damaged]:
        """Flows that `flows` had to leave out, because their latest version's name cannot be read."""
        return {}

    def flows(self) -> list[FlowLine]:
        """Return all flows that have a version, by name; `damaged_flows` tells which could not be read."""
        count, last = self._counted()
        routes = defaultdict(list)
        for entry in self.routes():
            routes[entry.flow].append(entry)
        found = []
        self.damaged_flows.clear()
        for flow in self.repo.flows():
            try:
                versions, latest = self._latest(flow)
            except Damaged as error:
                self.damaged_flows[flow] = error
                continue
            if latest is not None:  # a directory is there before the first name in it
                run = last.get(flow)
                found.append(FlowLine(flow, versions, latest, routes[flow], count[flow], run and self._live(run)))
        return found

    def _counted(self) -> tuple[Mapping[str, int], dict[str, RunSummary]]:
        """Return how many runs each flow has, and the one that was started last: only that one is decoded."""
        count: dict[str, int] = defaultdict(int)

        def is_last(fields: Mapping[str, Any]) -> bool:
            count[fields["flow"]] += 1
            return count[fields["flow"]] == 1

        last = self._summaries().narrowed(is_last)[:]  # the latest come first
        return count, {summary.flow: summary for summary in last}

    def _latest(self, flow: str) -> tuple[int, VersionName | None]:
        """Return how many versions a flow has, and the latest: of the others only the numbers are looked at."""
        parts = self.repo.blobs.children(layout.flow_key(flow))
        numbers = [n for part in parts if (n := layout.number_of(part)) is not None]
        return len(numbers), names.version(self.repo.blobs, flow, max(numbers)) if numbers else None

    def find_version(self, target: str) -> VersionName:
        """Return the version that `FLOW`, `FLOW@v3`, `FLOW@latest` or `FLOW@ROUTE` leads to.

        Raises:
            FlowNotFound: nothing is recorded of the flow.
            UsageError: it is no such name, or the flow has no such version.
        """
        return find_version(self.repo, target)

    def flow_version(self, target: str) -> FlowVersion:
        """Return a version in full, with its runs.

        Raises:
            FlowNotFound, UsageError: as of `find_version`.
            Damaged, CodeUnloadable: what is stored is no flow version.
        """
        from kitaru.runtime.entry import Entry
        from kitaru.runtime.signature import recorded_signature

        flow, name = parse_flow_target(target).flow, self.find_version(target)
        value = self.version({"n": name.n, "id": name.id})
        entry = Entry.from_json(value["entry"])
        return FlowVersion(
            flow=flow,
            name=name,
            entry=entry,
            signature=recorded_signature(entry, value["files"]),
            inputs=_table(value.get("inputs")),
            files=value["files"],
            python=str(value.get("python", "")),
            distributions={str(k): str(v) for k, v in _table(value.get("distributions")).items()},
            git=_table(value.get("git")) or None,
            routes=[entry for entry in self.routes(flow) if any(d.version == name.id for d in entry.to)],
            trusted=self.repo.trust.may_execute(flow, name.id),
            origins=self.repo.trust.origins(name.id),
            runs=self._by_version(flow, known_versions(self.repo, flow)).get(name.id, []),
        )

    def flow_stats(self, flow: str, *, since_us: int | None = None) -> list[VersionLine]:
        """Return the versions of a flow, oldest first, each with what became of its runs.

        A run counts for the version that it was recorded under last. Where two stores recorded the same code, its
        version has one name and may have two ids: runs of either count for it.

        Args:
            flow: its name.
            since_us: only runs started at or after this, microseconds since 1970 UTC.

        Raises:
            FlowNotFound: nothing is recorded of the flow.
        """
        known = known_versions(self.repo, flow)
        runs = self._by_version(flow, known, since_us)
        found = [VersionLine(name.n, name.id, name, outcomes_of(runs.pop(name.id, []))) for name in known]
        return found + [VersionLine(left[0].version, id, None, outcomes_of(left)) for id, left in runs.items()]

    def _by_version(
        self, flow: str, known: list[VersionName], since_us: int | None = None
    ) -> dict[str, list[RunSummary]]:
        """Return the runs of a flow, the latest first, by the id of the version here that has their code."""
        runs = defaultdict(list)
        for summary in self._runs_of(flow, since_us):
            runs[summary.version_id].append(summary)
        for id in runs.keys() - {name.id for name in known}:
            digest = self._digest_of(id)
            alike = next((name.id for name in known if name.digest == digest), None)
            if alike is not None:
                runs[alike] = sorted(runs[alike] + runs.pop(id), key=lambda run: -run.started)
        return {id: [self._live(run) for run in found] for id, found in runs.items()}

    def export(self, target: str, directory: Path, *, force: bool = False) -> list[Path]:
        """Write the source files of a version below a directory, which is made where needed; return their paths.

        Args:
            target: `FLOW`, `FLOW@v3`, `FLOW@latest` or `FLOW@ROUTE`.
            directory: where to.
            force: write over files that are there already.

        Raises:
            FlowNotFound, UsageError: as of `find_version`.
            UsageError: a file is there already, with other content; nothing was written.
            CodeUnloadable: a recorded path leads out of the directory, or is of no Python file; nothing was written.
            CodeUnloadable: the version holds no file.
            StoreError: a file cannot be written.
        """
        from kitaru.project.exporting import write_files

        name = self.find_version(target)
        files = self.version({"n": name.n, "id": name.id})["files"]
        if not files:
            what = f"{target} holds no source file: it was recorded in an interactive session"
            raise CodeUnloadable(what, hint=f"kitaru flow show {target}")
        return write_files(files, directory, force=force)

    def _runs_of(self, flow: str, since_us: int | None = None) -> list[RunSummary]:
        found = self._summaries()
        if since_us is not None:
            found = found.since(since_us)
        return found.narrowed(lambda fields: fields["flow"] == flow)[:]


def outcomes_of(runs: Iterable[RunSummary]) -> Outcomes:
    """Return what became of some runs."""
    found = Outcomes()
    for run in runs:
        found.runs += 1
        found.by_status[run.status] = found.by_status.get(run.status, 0) + 1
        found.calls += run.calls
        found.spent.take(run.spent)
        if run.status == Status.COMPLETED:
            found.took_us.append(run.ended - run.started)
    found.took_us.sort()
    return found


def _table(value: object) -> dict[str, Any]:
    """Return what a recorded version says in place of a table, which nobody vouches for."""
    return value if isinstance(value, dict) else {}
