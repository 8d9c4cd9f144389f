"""Deploying: a version is recorded without running it, once it is known to work from its snapshot alone.

Owns: the order of the steps: nothing is recorded that does not import, and no route is moved to what is not recorded.
What works alone is `runtime.deploying`, where a route goes `project.routing`.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Any

from kitaru.errors import CodeUnloadable, UsageError
from kitaru.project.routing import MAX_NOTE, Routing
from kitaru.project.targets import is_route_name, version_at
from kitaru.store import routes

if TYPE_CHECKING:
    from kitaru.runtime.decorators import Flow
    from kitaru.runtime.deploying import Deployed
    from kitaru.runtime.runner import Runner
    from kitaru.store.routes import RouteEntry

WHOLE = 100
"""Of a hundred invocations, those that a version gets to which a route goes alone."""


class Deploying(Routing):
    """A project as flows are deployed."""

    if TYPE_CHECKING:  # the project makes it

        @property
        def runner(self) -> Runner:
            """What loads flows, and records their versions."""

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
        from kitaru.runtime.deploying import Deployed, check_alone, check_deployable
        from kitaru.runtime.sources import snapshot

        _check_may_deploy()
        _check_route(route, note, weight)
        loaded = self.runner.load(target)
        flow = loaded.flow.name
        check_deployable(loaded.entry, flow)
        standing = routes.last_entry(self.repo.blobs, flow, route) if route else None
        if weight != WHOLE and (standing is None or not standing.to):
            told = f"route {route} of {flow} goes nowhere yet, so that all its invocations go to this version"
            raise UsageError(told, hint="leave --weight out")
        files = snapshot(loaded.entry, self.root, loaded.loaded_files)
        notes = check_alone(loaded.entry, files, self.root)
        version, new = self.runner.versions.record(loaded.flow, loaded.entry, loaded.loaded_files)
        if version.files != files:
            raise CodeUnloadable(
                f"{flow} was edited while it was deployed: v{version.n} is recorded, and no route goes there",
                hint="deploy it again",
            )
        name = next(name for name in self.repo.versions(flow) if name.id == version.id)
        to = {f"v{name.n}": weight} if weight == WHOLE or standing is None else self._shares(standing, name.id, weight)
        entry = self.set_route(flow, route, to, note=note) if route else None
        return Deployed(flow, name, new, entry, notes)

    def _shares(self, standing: RouteEntry, version: str, weight: int) -> dict[str, int]:
        """Return the weights with which a version gets so many of a hundred, and the others what they had of the rest.

        They are whole numbers in the exact proportions, and add up to a hundred where that can be.
        """
        before = {d.version: d.weight for d in standing.to if d.version != version}
        total = sum(before.values()) or 1
        shares = {id: share * (WHOLE - weight) for id, share in before.items()} | {version: weight * total}
        common = gcd(*shares.values())
        scale = WHOLE * common // sum(shares.values()) if WHOLE * common % sum(shares.values()) == 0 else 1
        here = {d.version: version_at(self.repo, standing, d).n for d in standing.to}
        here |= {name.id: name.n for name in self.repo.versions(standing.flow) if name.id == version}
        return {f"v{here[id]}": share // common * scale for id, share in shares.items()}


def _check_may_deploy() -> None:
    from kitaru.runtime.loading import during_import

    if during_import():
        raise UsageError(
            "a flow was deployed while its file is being imported",
            hint='put .deploy() under `if __name__ == "__main__":`',
        )


def _check_route(route: str, note: str, weight: int) -> None:
    """Raise UsageError for what would be refused after the version is recorded."""
    if route and not is_route_name(route):
        raise UsageError(f"a route cannot be called {route!r}", hint="kitaru deploy FILE.py:flow --route stable")
    if note and not route:
        raise UsageError("a note is kept in the log of a route, and no route is moved", hint="name one: --route stable")
    if len(note) > MAX_NOTE:
        raise UsageError(f"a note of {len(note)} characters, where {MAX_NOTE} can be kept", hint="--note TEXT")
    if type(weight) is not int or not 1 <= weight <= WHOLE:
        raise UsageError(f"a weight of {weight}, which is of a hundred invocations", hint="--weight 10")
    if weight != WHOLE and not route:
        raise UsageError("a weight is of a route, and no route is moved", hint="name one: --route stable")
