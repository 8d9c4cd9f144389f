"""Deploying: a version is recorded without running it, once it is known to work from its snapshot alone.

Owns: the order of the steps: nothing is recorded that does not import, and no route is moved to what is not recorded.
What works alone is `runtime.deploying`, where a route goes `project.routing`.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Any

from kitaru.errors import CodeUnloadable, UsageError
from kitaru.project.executing import Executing
from kitaru.project.routing import MAX_NOTE, Routing, checked_route
from kitaru.store import routes
from kitaru.store.routes import Destination

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kitaru.runtime.decorators import Flow
    from kitaru.runtime.deploying import Deployed
    from kitaru.runtime.loading import LoadedFlow
    from kitaru.store.repository import VersionName
    from kitaru.store.routes import RouteEntry

WHOLE = 100
"""Of a hundred invocations, those that a version gets to which a route goes alone."""


class Deploying(Routing, Executing):
    """A project as flows are deployed."""

    def deploy(self, target: str | Flow[Any, Any], *, route: str = "", note: str = "", weight: int = WHOLE) -> Deployed:
        """Record a version of a flow without running it, and send a route to it.

        Before anything is recorded, the flow is imported from its snapshot alone, in a fresh process outside of the
        project, and every import of every file of it must lead somewhere.

        Args:
            target: a flow, or `FILE.py:flow`, as of `run`.
            route: the route to move; without one, none is moved.
            note: why, for the log of the route.
            weight: how many of a hundred invocations of the route go to this version; the others go where they went,
                in the same proportions.

        Raises:
            UsageError: no such flow, a flow that no version can hold, or a route that cannot be called so.
            CodeUnloadable: it cannot be imported, or the snapshot lacks something of the project; the text names it.
            Diverged: somebody moved the route at the same moment; the version is recorded.
        """
        from kitaru.runtime.deploying import Deployed, check_deployable

        _check_may_deploy()
        _check_route(route, note, weight)
        loaded = self.runner.codes.load(target)
        flow = loaded.flow.name
        check_deployable(loaded.entry, flow)
        if weight != WHOLE and not _standing(routes.route_log(self.repo.blobs, flow, route)):
            told = f"route {route} of {flow} goes nowhere yet, so that all its invocations go to this version"
            raise UsageError(told, hint="leave --weight out")
        name, new, notes = self._record_alone(loaded)
        entry = self._send(flow, route, name, weight, note) if route else None
        return Deployed(flow, name, new, entry, notes)

    def _record_alone(self, loaded: LoadedFlow) -> tuple[VersionName, bool, tuple[str, ...]]:
        """Record a version that works from its snapshot alone; tell whether it is new, and what may be missing."""
        from kitaru.runtime.deploying import check_alone
        from kitaru.runtime.sources import snapshot

        flow = loaded.flow.name
        files = snapshot(loaded.entry, self.root, loaded.loaded_files)
        notes = check_alone(loaded.entry, files, self.root)
        version, new = self.runner.versions.record(loaded.flow, loaded.entry, loaded.loaded_files)
        if version.files != files:
            raise CodeUnloadable(
                f"{flow} was edited while it was deployed: v{version.n} is recorded, and no route goes there",
                hint="deploy it again",
            )
        return next(name for name in self.repo.versions(flow) if name.id == version.id), new, notes

    def _send(self, flow: str, route: str, version: VersionName, weight: int, note: str) -> RouteEntry:
        """Move a route; what the others had is read and replaced in one step, so that nobody's move is undone."""
        log = routes.route_log(self.repo.blobs, flow, route)
        before = [d for d in _standing(log) if d.version != version.id and weight != WHOLE]
        shares = weights_of([d.weight for d in before], weight)
        to = [d._replace(weight=share) for d, share in zip(before, shares, strict=False)]  # the last is the version's
        return self._add(log, flow, route, (*to, Destination(version.id, version.n, shares[-1])), note=note)


def _standing(log: list[RouteEntry]) -> tuple[Destination, ...]:
    return log[-1].to if log else ()


def weights_of(before: Sequence[int], percent: int) -> list[int]:
    """Return weights that give the last of them so many of a hundred, and the others what they had of the rest.

    They are in the exact proportions, and add up to a hundred where that can be; what is too large to be kept is
    rounded.

    Args:
        before: what the others had.
        percent: from 1 to 100.
    """
    total = sum(before)
    if not total:
        return [WHOLE]
    exact = [*(weight * (WHOLE - percent) for weight in before), percent * total]
    found = [share // gcd(*exact) for share in exact]
    if WHOLE % sum(found) == 0:
        return [share * WHOLE // sum(found) for share in found]
    above = max(*found, routes.MAX_WEIGHT)
    return [max(1, share * routes.MAX_WEIGHT // above) for share in found]


def _check_may_deploy() -> None:
    from kitaru.runtime.loading import during_import

    if during_import():
        raise UsageError(
            "a flow was deployed while its file is being imported",
            hint='put .deploy() under `if __name__ == "__main__":`',
        )


def _check_route(route: str, note: str, weight: int) -> None:
    """Raise UsageError for what would be refused after the version is recorded."""
    if route:
        checked_route(route)
    if note and not route:
        raise UsageError("a note is kept in the log of a route, and no route is moved", hint="name one: --route stable")
    if len(note) > MAX_NOTE:
        raise UsageError(f"a note of {len(note)} characters, where {MAX_NOTE} can be kept", hint="--note TEXT")
    if type(weight) is not int or not 1 <= weight <= WHOLE:
        raise UsageError(f"a weight of {weight}, which is of a hundred invocations", hint="--weight 10")
    if weight != WHOLE and not route:
        raise UsageError("a weight is of a route, and no route is moved", hint="name one: --route stable")
