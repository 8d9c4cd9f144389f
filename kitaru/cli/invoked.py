"""How a run of recorded code was invoked, in a line.

Owns: these words. What is recorded of it came with the run, maybe from elsewhere, and may be of any shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def invoked_line(told: Mapping[str, Any]) -> str:
    """Return as what a run was invoked, and what decided its version; empty of a run that was not invoked."""
    if not told:
        return ""
    parts = [f"as {told.get('target')}"]
    if told.get("route"):
        how = ", by its weights" if told.get("why") == "weight" else ""
        parts.append(f"by entry {told.get('entry')} of route {told['route']}{how}")
    parts += [f"{name} {told[name]}" for name in ("schedule", "invocation") if told.get(name)]
    if told.get("env") == "recorded":
        parts.append("in its recorded environment")
    return ", ".join(parts)


def differs_line(told: Mapping[str, Any]) -> str:
    """Return what a run executes on that is not as the version recorded it; empty where nothing is."""
    found = told.get("differs")
    parts = []
    for item in found if isinstance(found, list) else []:
        match item:
            case [str(name), str(then), str(now)]:
                parts.append(f"{name} {then} recorded, {f'{now} here' if now else 'missing here'}")
    return "; ".join(parts)
