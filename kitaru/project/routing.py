"""Routes, and which version an invocation gets.

Owns: how a name such as `FLOW@stable` leads to one version and what is recorded of the choice; how a route is moved,
rolled back and removed. What an entry of a route's log says, the store knows.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kitaru.errors import Diverged, UsageError
from kitaru.model.moments import utc_text
from kitaru.project.reading import Reading
from kitaru.project.targets import (
    LATEST,
    FlowTarget,
    find_version,
    is_route_name,
    is_routed,
    known_versions,
    parse_flow_target,
    standing_entry,
    version_at,
)
from kitaru.store import layout, names, routes
from kitaru.store.routes import Destination, RouteEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.store.repository import VersionName

STABLE = "stable"
"""The route that a flow alone stands for."""

MAX_NOTE = 4000


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that an invocation gets.

    Attributes:
        target: as it was typed.
        why: `named`, `latest`, `route`, or `weight` where the route goes to several.
        told: what is recorded of the route: its name, number and time of the entry that decided, and its weights.
    """

    target: str
    flow: str
    version: VersionName
    why: str
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The version as a user names it."""
        return f"{self.flow}@v{self.version.n}"

    @property
    def version_json(self) -> dict[str, Any]:
        """The version as a record names it."""
        return {"n": self.version.n, "id": self.version.id}

    def to_json(self) -> dict[str, Any]:
        """Return what a run records of the choice."""
        return {"target": self.target, "version": self.version_json, "why": self.why, **self.told}


class Routing(Reading):
    """A project as names lead to versions."""

    def choose(self, target: str, key: str) -> Choice:
        """Return the version that an invocation gets.

        Args:
            target: `FLOW@v3`, `FLOW@latest` or `FLOW@ROUTE`. A flow alone is its route `stable`; or its latest version,
                where it has no routes.
            key: what decides where a route goes to several versions: always the same for one key.

        Raises:
            FlowNotFound: nothing is recorded of the flow.
            UsageError: it has no such version or route, or it has routes and none named `stable`.
        """
        wanted = parse_flow_target(target)
        route = wanted.route or (self._default_route(wanted) if wanted.bare else "")
        if not route:
            version = find_version(self.repo, wanted)
            return Choice(target, wanted.flow, version, "named" if wanted.n else LATEST)
        entry = standing_entry(self.repo, wanted.flow, route)
        told: dict[str, Any] = {"route": route, "entry": entry.n, "moved": entry.at}
        if len(entry.to) == 1:
            return Choice(target, wanted.flow, version_at(self.repo, entry, entry.to[0]), "route", told)
        point = routes.point_of(key, sum(destination.weight for destination in entry.to))
        version = version_at(self.repo, entry, routes.destination_at(entry.to, point))
        return Choice(target, wanted.flow, version, "weight", {**told, "weights": entry.weights, "point": point})

    def _default_route(self, wanted: FlowTarget) -> str:
        known_versions(self.repo, wanted.flow)
        there = [name for name in self._routes_of(wanted.flow) if is_routed(self.repo, wanted.flow, name)]
        if there and STABLE not in there:
            told = f"flow {wanted.flow} has routes, and none named {STABLE}: which is meant?"
            raise UsageError(told, hint=" or ".join(f"{wanted.flow}@{name}" for name in [*there[:8], LATEST]))
        return STABLE if there else ""

    def _routes_of(self, flow: str) -> list[str]:
        return routes.route_names(self.repo.blobs, flow)

    # -- looking -----------------------------------------------------------------------------------------------

    def routes(self, flow: str | None = None) -> list[RouteEntry]:
        """Return where the routes of a flow, or of all flows, go: the entry of each that holds; none that was removed.

        Raises:
            FlowNotFound: nothing is recorded of the flow.
        """
        if flow is not None:
            known_versions(self.repo, flow)
        flows = routes.flows_with_routes(self.repo.blobs) if flow is None else [flow]
        found = [routes.last_entry(self.repo.blobs, name, route) for name in flows for route in self._routes_of(name)]
        return [entry for entry in found if entry is not None and entry.to]

    def route_log(self, flow: str, route: str) -> list[RouteEntry]:
        """Return who moved a route where, oldest first.

        Raises:
            FlowNotFound: nothing is recorded of the flow.
            UsageError: it never had such a route.
        """
        known_versions(self.repo, flow)
        log = routes.route_log(self.repo.blobs, flow, checked_route(route))
        if not log:
            standing_entry(self.repo, flow, route)  # says that there is none
        return log

    def destination_name(self, flow: str, destination: Destination) -> str:
        """Return a version that a route goes to as it is numbered here: `v3`; with `?` where it is not in the store."""
        with contextlib.suppress(KeyError):  # mostly it has the number that it had, and the others need not be read
            if names.version(self.repo.blobs, flow, destination.n).id == destination.version:
                return f"v{destination.n}"
        here = next((name.n for name in self.repo.versions(flow) if name.id == destination.version), None)
        return f"v{here}" if here is not None else f"v{destination.n}?"

    # -- moving ------------------------------------------------------------------------------------------------

    def set_route(self, flow: str, route: str, to: str | Mapping[str, int], *, note: str = "") -> RouteEntry:
        """Send the invocations of a route to a version, or to several by weight.

        Args:
            to: `v3` or `latest`, the version that is it now; or such a name to its weight.
            note: why, for the log.

        Raises:
            FlowNotFound, UsageError: no such flow or version, or the route may not be called so.
            CodeUnloadable: the code of a version is not in the store.
            Diverged: somebody moved the route at the same moment; it is as he said.
        """
        weights = {to: 1} if isinstance(to, str) else dict(to)
        destinations = [self._destination(flow, name, weight) for name, weight in weights.items()]
        if not destinations or len({d.version for d in destinations}) < len(destinations):
            raise UsageError(f"route {route} must go to versions, each named once", hint=_EXAMPLE)
        log = routes.route_log(self.repo.blobs, flow, checked_route(route))
        return self._add(log, flow, route, tuple(destinations), note=note)

    def _destination(self, flow: str, name: str, weight: int) -> Destination:
        target = parse_flow_target(f"{flow}@{name}")
        if target.route:
            raise UsageError(f"{name!r} is no version", hint=_EXAMPLE)
        if type(weight) is not int or not 0 < weight <= routes.MAX_WEIGHT:
            raise UsageError(f"{name} has weight {weight!r}; a weight is from 1 to {routes.MAX_WEIGHT}", hint=_EXAMPLE)
        from kitaru.runtime.entry import startable_entry

        version = find_version(self.repo, target)
        startable_entry(f"{flow}@v{version.n}", self.version({"n": version.n, "id": version.id}))
        return Destination(version.id, version.n, weight)

    def roll_back_route(self, flow: str, route: str, *, to: int | None = None, note: str = "") -> RouteEntry:
        """Send a route where it went before; again, and it goes further back.

        Args:
            to: number of the entry of its log to go back to; by default the last that led elsewhere before what holds
                now was first said.
            note: why, for the log.

        Raises:
            FlowNotFound, UsageError: no such flow, route or entry, or nothing to go back to.
            Diverged: as of `set_route`.
        """
        log = self.route_log(flow, route)
        before = routes.entry_before(log) if to is None else next((e for e in log if e.n == to), None)
        if before is None or not before.to:
            what = "nowhere to go back to" if to is None else f"no entry {to} that goes somewhere"
            raise UsageError(f"route {route} of {flow} has {what}", hint=f"kitaru route log {flow} {route}")
        return self._add(log, flow, route, before.to, note=note, back=before.set_at)

    def remove_route(self, flow: str, route: str, *, note: str = "") -> RouteEntry:
        """Take a route away; its log stays, and a rollback brings it back.

        Raises:
            FlowNotFound, UsageError: no such flow or route.
            Diverged: as of `set_route`.
        """
        standing_entry(self.repo, flow, checked_route(route))
        return self._add(self.route_log(flow, route), flow, route, (), note=note)

    def _add(
        self,
        log: list[RouteEntry],
        flow: str,
        route: str,
        to: tuple[Destination, ...],
        *,
        note: str,
        back: int = 0,
    ) -> RouteEntry:
        if len(to) > routes.MAX_VERSIONS:
            raise UsageError(f"route {route} cannot go to more than {routes.MAX_VERSIONS} versions", hint=_EXAMPLE)
        if len(note) > MAX_NOTE:
            raise UsageError(f"a note of {len(note)} characters, where {MAX_NOTE} can be kept", hint="--note TEXT")
        services = self.services
        nonce = services.random_bytes(12).hex()
        entry = RouteEntry(flow, route, len(log) + 1, to, back, services.clock_us(), services.user, note, nonce)
        won, standing = routes.add_entry(self.repo.blobs, entry)
        if not won:
            where = " and ".join(self.destination_name(flow, d) for d in standing.to) or "nowhere"
            who = f"{standing.by or 'somebody'} at {utc_text(standing.at)}"
            told = f"route {route} of {flow} was moved to {where} by {who} meanwhile, and stays there"
            raise Diverged(told, hint=f"kitaru route log {flow} {route}")
        return standing


_EXAMPLE = "kitaru route set FLOW stable v3, or v3:90 v4:10"


def checked_route(route: str) -> str:
    """Return a route's name if it is one; raises UsageError."""
    if not is_route_name(route) or len(route.encode()) > layout.MAX_NAME_BYTES:
        raise UsageError(f"a route cannot be called {route!r}", hint="kitaru route set FLOW stable v3")
    return route
