"""Trust: looking at code that came from elsewhere, and saying whether it may be executed here.

Owns: these verbs, and what a person is shown before he decides. What was decided is kept by `store.trust`; where it is
asked for is `runtime.trusting`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.errors import UsageError
from kitaru.project.reading import Reading
from kitaru.store import trust

if TYPE_CHECKING:
    from kitaru.project.versions import VersionDiff
    from kitaru.store.repository import VersionName
    from kitaru.store.trust import Decision, Origin

_ID = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class Review:
    """A flow version as it is to be looked at before it is trusted.

    Attributes:
        name: how it is called: `research_agent@v3`, or its id where no flow names it.
        flow: the flow, or empty.
        id: id of its value.
        by, at: who recorded it, and when; empty and 0 where no flow names it.
        value: all it holds: `entry`, `files`, `python`, `distributions`, `git`, `inputs`.
        origins: the remotes it came from.
        trusted: whether it may be executed as things stand.
        decision: what was decided about it itself, if anything.
        changes: what differs from the newest other version of its flow that is trusted; None where there is none.
    """

    name: str
    flow: str
    id: str
    by: str
    at: int
    value: dict[str, Any]
    origins: list[Origin]
    trusted: bool
    decision: Decision | None
    changes: VersionDiff | None


@dataclass(frozen=True, slots=True)
class Covered:
    """A version that a decision about a flow or a remote is about; `trusted` says how it stands now."""

    name: str
    version: VersionName
    trusted: bool


class Trusting(Reading):
    """A project as it is asked whose code it executes."""

    def review(self, version: str) -> Review:
        """Return what there is to look at of a version.

        Args:
            version: `FLOW@v3`, or the first digits of the id of its value.

        Raises:
            FlowNotFound, UsageError: there is no such version.
            Damaged: what is stored is not what was written.
        """
        flow, named, version_id = self._meant(version)
        return Review(
            name=f"{flow}@v{named.n}" if named else version_id[:12],
            flow=flow,
            id=version_id,
            by=named.by if named else "",
            at=named.at if named else 0,
            value=self.version({"id": version_id}),
            origins=self.repo.trust.origins(version_id),
            trusted=self.repo.trust.may_execute(flow, version_id) if flow else self._is_trusted(version_id),
            decision=self.repo.trust.standing(trust.VERSIONS, version_id),
            changes=self._changes(flow, named) if named else None,
        )

    def trust(self, version: str = "", *, flow: str = "", remote: str = "", why: str = "") -> Decision:
        """Say that code may be executed here: that of a version, of a flow, or all that comes from a remote.

        Args:
            version: `FLOW@v3`, or the first digits of the id of its value.
            flow: all versions of this flow, those to come as well.
            remote: all versions that come from this remote, those to come as well: from this place, not this name.
            why: for the record.

        Raises:
            UsageError: not exactly one of them was given, or there is none such.
        """
        return self._decide(version, flow, remote, trusted=True, why=why)

    def distrust(self, version: str = "", *, flow: str = "", remote: str = "", why: str = "") -> Decision:
        """Take trust back: arguments and errors are those of `trust`. What runs already goes on."""
        return self._decide(version, flow, remote, trusted=False, why=why)

    def decisions(self) -> list[Decision]:
        """Return what stands about versions, flows and remotes, in this order."""
        return self.repo.trust.decisions()

    def covered(self, *, flow: str = "", remote: str = "") -> list[Covered]:
        """Return the versions that are here and that trusting this flow, or this remote, is about."""
        place = self._place(remote) if remote else ""
        if flow:
            self._check_flow(flow)
        found = []
        for name in [flow] if flow else self.repo.flows():
            for version in self.repo.versions(name):
                if flow or any(origin.url == place for origin in self.repo.trust.origins(version.id)):
                    trusted = self.repo.trust.may_execute(name, version.id)
                    found.append(Covered(f"{name}@v{version.n}", version, trusted))
        return found

    def untrusted(self) -> list[Covered]:
        """Return the versions that are here and may not be executed, as things stand."""
        return [
            Covered(f"{flow}@v{version.n}", version, trusted=False)
            for flow in self.repo.flows()
            for version in self.repo.versions(flow)
            if not self.repo.trust.may_execute(flow, version.id)
        ]

    def _decide(self, version: str, flow: str, remote: str, *, trusted: bool, why: str) -> Decision:
        if sum(map(bool, (version, flow, remote))) != 1:
            raise UsageError("trust what?", hint="kitaru trust FLOW@v3, or --flow FLOW, or --remote NAME")
        if version:
            owner, named, version_id = self._meant(version)
            kind, name, what = trust.VERSIONS, version_id, f"{owner}@v{named.n}" if named else version_id[:12]
            self.version({"id": version_id})  # nobody can have looked at what cannot be read
        elif flow:
            self._check_flow(flow)
            kind, name, what = trust.FLOWS, flow, flow
        else:
            kind, name, what = trust.REMOTES, self._place(remote), remote
        at, by = self.services.clock_us(), self.services.user
        return self.repo.trust.decide(kind, name, trusted=trusted, at=at, by=by, what=what, why=why)

    def _meant(self, text: str) -> tuple[str, VersionName | None, str]:
        """Return flow, name and value id of the version that a text names; no flow need have the name of an id."""
        from kitaru.project.targets import find_version, parse_flow_target

        if _ID.fullmatch(text) and text not in self.repo.flows():
            version_id = self.find_object(text)
            for flow in self.repo.flows():
                for named in self.repo.versions(flow):
                    if named.id == version_id:
                        return flow, named, version_id
            return "", None, version_id
        target = parse_flow_target(text)
        if target.bare:
            last = find_version(self.repo, target).n
            raise UsageError(f"{text} is a flow; which version?", hint=f"kitaru trust {text}@v{last}, or --flow {text}")
        named = find_version(self.repo, target)
        return target.flow, named, named.id

    def _is_trusted(self, version_id: str) -> bool:
        decision = self.repo.trust.standing(trust.VERSIONS, version_id)
        return decision is not None and decision.trusted

    def _check_flow(self, flow: str) -> None:
        from kitaru.project.targets import known_versions

        known_versions(self.repo, flow)

    def _place(self, remote: str) -> str:
        """Return the place that a remote's name stands for, or the place itself where one is known by it."""
        tables = self.config.tables.get("remotes", {})
        if remote in tables:
            return trust.place(tables[remote])
        if self.repo.trust.standing(trust.REMOTES, remote) is not None:
            return remote  # the remote was removed since
        known = ", ".join(tables)
        hint = f"the remotes are {known}" if known else "kitaru remote add NAME URL"
        raise UsageError(f"there is no remote {remote!r}", hint=hint)

    def _changes(self, flow: str, named: VersionName) -> VersionDiff | None:
        """Compare a version with the newest other one of its flow that is trusted."""
        from kitaru.project.versions import compare_versions

        for other in reversed(self.repo.versions(flow)):
            if other.id != named.id and self.repo.trust.may_execute(flow, other.id):
                was, now = (self.version({"id": each.id}) for each in (other, named))
                return compare_versions(f"{flow}@v{other.n}", f"{flow}@v{named.n}", was, now)
        return None
