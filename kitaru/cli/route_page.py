"""Where a route goes, in words and as JSON.

Owns: how an entry of a route's log is shown by every verb that shows one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.cli.text import iso

if TYPE_CHECKING:
    from kitaru.project import Project
    from kitaru.store.routes import RouteEntry


def where(project: Project, entry: RouteEntry) -> str:
    """Return where an entry sends a route: `v3`, `v3 90 %, v4 10 %`, `removed`."""
    names = [project.destination_name(entry.flow, destination) for destination in entry.to]
    if len(names) < 2:
        return names[0] if names else "removed"
    return ", ".join(f"{name} {share:.4g} %" for name, share in zip(names, _shares(entry), strict=True))


def _shares(entry: RouteEntry) -> list[float]:
    total = sum(destination.weight for destination in entry.to)
    return [100 * destination.weight / total for destination in entry.to]


def entry_json(project: Project, entry: RouteEntry) -> dict[str, Any]:
    """Return an entry of a route's log."""
    to = [
        {
            "version": project.destination_name(entry.flow, destination),
            "id": destination.version,
            "n": destination.n,
            "weight": destination.weight,
            "share": round(share / 100, 6),
        }
        for destination, share in zip(entry.to, _shares(entry), strict=True)
    ]
    return {
        "flow": entry.flow,
        "route": entry.route,
        "n": entry.n,
        "to": to,
        "back": entry.back or None,
        "at": iso(entry.at),
        "by": entry.by,
        "note": entry.note,
    }
