"""Where a flow's code begins, and recorded paths that nobody vouches for.

Owns: the entry of a flow version, as plain data and back, the check of each path in it, and whether code belongs to it
that can be started. Looks at no file: finding a live flow's entry is `runtime.sources`, loading a recorded one
`runtime.loading`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.errors import CodeUnloadable

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a flow's code begins.

    Attributes:
        module: the module's name in the store.
        qualname: the flow's function in it.
        file: the module's file, relative to the project; None outside of it, and in a notebook or REPL.
        path: the entries of `sys.path`, relative to the project, that its imports need, in order; `.` is the project.
    """

    module: str
    qualname: str
    file: str | None
    path: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the entry as plain data."""
        return {"module": self.module, "qualname": self.qualname, "file": self.file, "path": list(self.path)}

    @classmethod
    def from_json(cls, data: object) -> Entry:
        """Read an entry of a recorded version, which nobody vouches for.

        Raises:
            CodeUnloadable: it is no entry, or names a place outside of the project.
        """
        match data:
            case {"module": str(module), "qualname": str(qualname), "file": str() | None as file, "path": list(path)}:
                checked = tuple(p if p == "." else safe_path(p) for p in path)
                return cls(module, qualname, file if file is None else safe_path(file), checked)
        raise CodeUnloadable("the recorded version does not say where its flow is", hint="kitaru fsck")


def startable_entry(name: str, version: Mapping[str, Any]) -> Entry:
    """Return the entry of a recorded version that can be started from the store.

    Args:
        name: how the version is called, for errors.
        version: its value, which nobody vouches for.

    Raises:
        CodeUnloadable: its code is not in the store, or it does not say where that is.
    """
    entry = Entry.from_json(version.get("entry"))
    if entry.file is None:
        raise CodeUnloadable(
            f"{name} was recorded in an interactive session, so that its code is not in the store",
            hint="move the flow to a file and run it from there",
        )
    return entry


def safe_path(path: object) -> str:
    """Return a recorded project-relative path unchanged if it is one.

    Raises:
        CodeUnloadable: it is absolute, leads upwards, or is no path at all.
    """
    if isinstance(path, str) and path and "\0" not in path and "\\" not in path and len(path) <= 1024:
        parts = path.split("/")
        if not any(part in ("", ".", "..") for part in parts):
            return path
    raise CodeUnloadable(f"the recorded version names {path!r}, which is no path inside a project", hint="kitaru fsck")


def python_path(path: object) -> str:
    """Return a recorded project-relative path unchanged if it is one of a Python file.

    Raises:
        CodeUnloadable: it is not.
    """
    checked = safe_path(path)
    if not checked.endswith(".py"):
        raise CodeUnloadable(f"the recorded version names {path!r}, which is no Python file", hint="kitaru fsck")
    return checked
