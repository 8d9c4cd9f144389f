"""How a store stands to a remote: `3 runs to push, 2 to pull, as of 5 minutes ago`.

Owns: the words and the JSON of it, for `status` and `remote show`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.cli.text import age, counted, iso

if TYPE_CHECKING:
    from kitaru.store.sync.results import Standing


_SUCH = "answers, versions and the like"


def standing_line(standing: Standing, now_us: int | None = None) -> str:
    """Return how a store stands to a remote, in a line; with the time, as of when."""
    ahead, behind, parted = len(standing.ahead), len(standing.behind), len(standing.parted)
    told = []
    if ahead:
        told.append(f"{counted(ahead, 'run')} to push")
    elif standing.names_ahead:
        told.append(f"{counted(standing.names_ahead, 'name')} to push ({_SUCH})")
    if behind:
        told.append(f"{behind if ahead else counted(behind, 'run')} to pull")
    elif standing.names_behind:
        told.append(f"{counted(standing.names_behind, 'name')} to pull ({_SUCH})")
    if parted:
        told.append(f"{counted(parted, 'run')} that went on here and there")
    if standing.at is None:
        told.append("never asked yet")
    elif not told:
        told.append("up to date")
    if standing.at is not None and now_us is not None:
        told.append(f"as of {age(standing.at, now_us)}")
    return ", ".join(told)


def standing_json(standing: Standing) -> dict[str, Any]:
    """Return how a store stands to a remote as a document."""
    return {
        "at": iso(standing.at or 0),
        "ahead": list(standing.ahead),
        "behind": list(standing.behind),
        "diverged": list(standing.parted),
        "names_ahead": standing.names_ahead,
        "names_behind": standing.names_behind,
    }
