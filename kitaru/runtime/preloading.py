"""Recorded code that a process has imported ahead of the runs that its children are to execute.

Owns: which version that is. A process that forks a child for each run imports the version once; each child begins with
modules as the import left them, and nothing of another run. Knows nothing of processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.runtime.importing import session

if TYPE_CHECKING:
    from pathlib import Path

    from kitaru.runtime.importing import Recorded
    from kitaru.runtime.loading import LoadedFlow


@dataclass(frozen=True, slots=True)
class _Kept:
    version_id: str
    root: Path
    loaded: LoadedFlow
    recorded: Recorded | None


_kept: list[_Kept] = []


def import_ahead() -> None:
    """Import what most runs need, and what Kitaru imports late because most commands do not."""
    from importlib import import_module

    from pydantic import TypeAdapter

    TypeAdapter(int).validate_python(1)  # which imports more of it
    for name in ("compiled", "handle", "invoking"):
        import_module(f"kitaru.runtime.{name}")


def keep(version_id: str, root: Path, loaded: LoadedFlow) -> None:
    """Have a version's code that was just loaded be used by the next run of it in this process, or a child of it."""
    _kept[:] = [_Kept(version_id, root, loaded, session.recorded)]


def kept(version_id: str, root: Path) -> LoadedFlow | None:
    """Return the code of a version if it was kept, and no other was loaded since; once, for a run leaves traces."""
    found = [k for k in _kept if (k.version_id, k.root) == (version_id, root) and k.recorded is session.recorded]
    _kept.clear()
    return found[0].loaded if found else None
