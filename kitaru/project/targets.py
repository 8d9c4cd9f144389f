"""Flow versions as a user names them: `FLOW`, `FLOW@v3`, `FLOW@latest`, `FLOW@ROUTE`.

Owns: the one grammar of these names, and how one leads to a version in the store. Which version an invocation by a
route gets is decided elsewhere; here a route stands for a version only where it goes to a single one.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.errors import FlowNotFound, UsageError
from kitaru.model.ids import is_typed
from kitaru.model.moments import utc_text
from kitaru.store import layout, routes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kitaru.store.repository import Repository, VersionName
    from kitaru.store.routes import Destination, RouteEntry

LATEST = "latest"
_NUMBER = re.compile(r"v([1-9]\d{0,8})")
_LIKE_A_NUMBER = re.compile(r"[vV]?\d+")


@dataclass(frozen=True, slots=True)
class FlowTarget:
    """A flow, and what stands after its `@`: at most one of `n`, `latest` and `route` is set.

    Attributes:
        n: the version's number; 0 where none was named.
        latest: whether `@latest` was typed.
        route: the route's name, or empty.
    """

    flow: str
    n: int = 0
    latest: bool = False
    route: str = ""

    @property
    def bare(self) -> bool:
        """Whether only the flow was named."""
        return not (self.n or self.latest or self.route)

    def __str__(self) -> str:
        at = f"v{self.n}" if self.n else LATEST if self.latest else self.route
        return f"{self.flow}@{at}" if at else self.flow


def names_version(text: str) -> bool:
    """Tell whether a text names a flow version and not a run: `@` stands in it, and not at its beginning."""
    return text.rfind("@") > 0


def is_route_name(text: str) -> bool:
    """Tell whether a route may be called so: it can be typed after `@`, in one way only, and is no version."""
    return (
        is_typed(text)
        and unicodedata.is_normalized("NFC", text)
        and text != LATEST
        and _LIKE_A_NUMBER.fullmatch(text) is None
    )


def parse_flow_target(text: str) -> FlowTarget:
    """Parse `FLOW`, `FLOW@v3`, `FLOW@latest` and `FLOW@ROUTE`.

    Raises:
        UsageError: none of these.
    """
    flow, at, rest = text.rpartition("@")
    if not at:
        flow, rest = text, ""
    if not flow or (at and not rest):
        raise _malformed(text)
    if rest == LATEST:
        return FlowTarget(flow, latest=True)
    number = _NUMBER.fullmatch(rest)
    if number is not None:
        return FlowTarget(flow, int(number[1]))
    if rest and not is_route_name(rest):
        raise _malformed(text)
    return FlowTarget(flow, route=rest)


def _malformed(text: str) -> UsageError:
    return UsageError(f"{text!r} names no flow version", hint="write FLOW, FLOW@v3, FLOW@latest or FLOW@ROUTE")


def find_version(repo: Repository, target: FlowTarget | str) -> VersionName:
    """Return the version that a name leads to; a flow alone is its latest.

    Raises:
        FlowNotFound: nothing is recorded of the flow.
        UsageError: it is no such name, the flow has no such version or route, or the route goes to several.
    """
    target = parse_flow_target(target) if isinstance(target, str) else target
    known = known_versions(repo, target.flow)
    if target.route:
        return _only_version(repo, standing_entry(repo, target.flow, target.route))
    if not target.n:
        return known[-1]
    for name in known:
        if name.n == target.n:
            return name
    last = known[-1].n
    has = f"v1 to v{last}" if last > 1 else "v1"
    raise UsageError(
        f"flow {target.flow} has no version v{target.n}", hint=f"it has {has}, as in {target.flow}@v{last}"
    )


def _only_version(repo: Repository, entry: RouteEntry) -> VersionName:
    if len(entry.to) > 1:
        here = [repo.version_number(entry.flow, {"id": version, "n": n}) for version, n, _ in entry.to]
        several = " and ".join(f"v{n}" for n in here)
        told = f"{entry.flow}@{entry.route} goes to {several}: which is meant?"
        raise UsageError(told, hint=f"{entry.flow}@v{here[0]}")
    return version_at(repo, entry, entry.to[0])


def standing_entry(repo: Repository, flow: str, route: str) -> RouteEntry:
    """Return the entry of a route's log that holds.

    Raises:
        FlowNotFound: nothing is recorded of the flow.
        UsageError: the flow has no such route, or it was removed.
    """
    known_versions(repo, flow)
    entry = routes.last_entry(repo.blobs, flow, route) if _can_be_stored(route) else None
    if entry is not None and entry.to:
        return entry
    if entry is not None:
        told = f"route {route} of {flow} was removed by {entry.by or 'somebody'} at {utc_text(entry.at)}"
        raise UsageError(told, hint=f"kitaru route log {flow} {route}")
    there = [name for name in routes.route_names(repo.blobs, flow) if is_routed(repo, flow, name)]
    hint = f"its routes are {', '.join(there)}" if there else f"kitaru route set {flow} {route} v1"
    raise UsageError(f"flow {flow} has no route {route!r}", hint=hint)


def is_routed(repo: Repository, flow: str, route: str) -> bool:
    """Tell whether a flow has a route that goes somewhere."""
    entry = routes.last_entry(repo.blobs, flow, route)
    return entry is not None and bool(entry.to)


def version_at(repo: Repository, entry: RouteEntry, destination: Destination) -> VersionName:
    """Return the version that a route goes to, by its id; its number here may be another than when the entry was made.

    Raises:
        UsageError: it is not in this store.
    """
    for name in repo.versions(entry.flow):
        if name.id == destination.version:
            return name
    told = (
        f"{entry.flow}@{entry.route} goes to v{destination.n} ({destination.version[:12]}), which is not in this store"
    )
    raise UsageError(told, hint="kitaru pull")


def known_versions(repo: Repository, flow: str) -> list[VersionName]:
    """Return a flow's versions, oldest first; there is at least one.

    Raises:
        FlowNotFound: nothing is recorded of the flow.
    """
    known = repo.versions(flow) if _can_be_stored(flow) else []
    if not known:
        others = [name for name in repo.flows() if name != flow]  # whose first version is just being recorded
        raise FlowNotFound(f"nothing is recorded of a flow {flow!r}", hint=_near(flow, others))
    return known


def _can_be_stored(flow: str) -> bool:
    try:
        layout.escape(flow)
    except ValueError:
        return False
    return True


def _near(flow: str, flows: Iterable[str]) -> str:
    import difflib

    names = list(flows)
    if not names:
        return "kitaru deploy FILE.py:FLOW records one here, kitaru pull brings a team's"
    shown = difflib.get_close_matches(flow, names, n=3) or names[:8]
    return f"the flows are {', '.join(shown)}{', …' if len(names) > len(shown) else ''}"
