"""The other side of a deploy's check: a fresh process that imports a flow from its snapshot, and from nothing else.

Owns: what is looked at in that process, and how it tells what it found: a JSON file. Who starts it, and what is made
of it, is `runtime.deploying`.

The flow's module is imported. What its functions import is only looked for, never executed: every import statement of
every file of the snapshot must lead to a file of the snapshot, or to something installed.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError
from kitaru.runtime.entry import Entry
from kitaru.runtime.importing import Recorded, ScriptLoader
from kitaru.runtime.imports import EVERYTHING, computed_lines, imports_of, optional_lines
from kitaru.runtime.loading import flow_at, load_object
from kitaru.runtime.names import relative
from kitaru.runtime.sources import is_library, project_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from importlib.machinery import ModuleSpec

    from kitaru.runtime.imports import Import

CODE, REQUEST, ANSWER = "code", "request.json", "answer.json"
"""In the directory that a check is given: the snapshot, laid out, and what goes there and back."""

MAX_SEARCHED = 50_000
"""Files of a project that are looked through for one that is missing."""

_SUFFIXES = tuple(importlib.machinery.all_suffixes())


def main(directory: str) -> None:
    """Do the check that a directory tells of, and put the answer there."""
    place = Path(directory)
    request = json.loads((place / REQUEST).read_bytes())
    answer = check(place / CODE, Path(request["root"]), Entry.from_json(request["entry"]), request["files"])
    (place / ANSWER).write_text(json.dumps(answer))


def check(tree: Path, root: Path, entry: Entry, files: Sequence[str]) -> dict[str, Any]:
    """Import a flow from its snapshot alone, and look for all that it imports later.

    Args:
        tree: where the snapshot lies.
        root: the project, of which nothing may be found.
        files: the snapshot's project-relative paths.

    Returns:
        `error` and `hint`, why the flow's module cannot be imported, empty if it can; `missing`, what its functions
        import of the project and the snapshot lacks, each `told` and `path`; `notes`, what could not be told for
        certain.
    """
    paths = [*(tree if p == "." else tree / p for p in entry.path), tree]
    recorded = _Alone(tree, files, paths, alone=True)
    try:
        load_object(entry, root, recorded)
        flow_at(sys.modules[entry.module], entry)
    except KitaruError as error:
        told = _in_project(error.message, tree)
        return {"error": told, "hint": _hint(error, tree, root), "missing": [], "notes": []}
    sources = {file: (tree / file).read_bytes() for file in files}
    look = _Look(tree, root, sources)
    for file, source in sources.items():
        look.file(file, source)
    return {"error": "", "hint": "", "missing": look.missing, "notes": look.notes}


class _Alone(Recorded):
    """A snapshot whose files are where they lie, also to themselves: no data file of the project is beside them."""

    def relabel(self, spec: ModuleSpec) -> ModuleSpec:
        spec.loader = ScriptLoader(spec.name, spec.origin or "")
        spec.cached = None
        return spec


def _in_project(text: str, tree: Path) -> str:
    """Return what is told of files of the snapshot as of files of the project, for that is where they are written."""
    for place in {str(tree), str(tree.resolve())}:
        text = text.replace(f"{place}/", "")
    return text


def _hint(error: KitaruError, tree: Path, root: Path) -> str:
    cause = error.__cause__
    if isinstance(cause, ModuleNotFoundError) and cause.path:
        return how_to_have(cause.path)
    if isinstance(cause, FileNotFoundError) and cause.filename:
        path = relative(str(cause.filename), tree) or relative(str(cause.filename), tree.resolve())
        if path and (root / path).exists():
            return f"a version holds Python files only: keep what is in {path} in one of them"
    return error.hint


def how_to_have(path: str) -> str:
    """Return how a file of the project comes to be in a snapshot."""
    if not path.endswith(".py"):
        return f"a version holds Python files only: install what {path} is of as a package"
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return f"import it by its name in the project, in an import statement: import {module}"


class _Look:
    """One look at everything that the files of a snapshot import.

    Attributes:
        missing: what is there in the project, and not in the snapshot: `told` (who imports it) and `path`.
        notes: what may be missing.
    """

    def __init__(self, tree: Path, root: Path, sources: Mapping[str, bytes]) -> None:
        self._tree, self._root, self._sources = tree, root, sources
        self._searched: list[str] | None = None
        self.missing: list[dict[str, str]] = []
        self.notes: list[str] = []

    def file(self, file: str, source: bytes) -> None:
        """Look at one file."""
        optional = optional_lines(source)
        for item in imports_of(source):
            self._import(file, item, optional=item.line in optional)
        for line in computed_lines(source):
            self.notes.append(f"{file}:{line} imports by a computed name: what it leads to is not in the version")

    def _import(self, file: str, item: Import, *, optional: bool) -> None:
        try:
            found = self._relative(file, item) if item.level else self._absolute(item)
            lacking = next(self._native(item, found), "") if found is not None else self._search(file, item)
        except ModuleNotFoundError as error:  # only the project has it
            found, lacking = None, error.path or ""
        where = f"{file}:{item.line} imports {item}"
        if lacking:
            self.missing.append({"told": f"{where}, and {lacking} is not in it", "path": lacking})
        elif found is None and not optional:
            self.notes.append(f"{where}, which is not installed here")

    # -- where an import leads: the folders of the snapshot with its submodules, none outside of it, or None ---------

    def _absolute(self, item: Import) -> list[str] | None:
        top, *rest = item.parts
        spec = _find(top)
        if spec is None:
            return None
        if spec.origin and self._own(spec.origin) is None:
            elsewhere = project_source(spec.origin, self._root)
            if elsewhere is not None:
                raise ModuleNotFoundError(name=top, path=elsewhere)
        folders = [own for place in spec.submodule_search_locations or () if (own := self._own(place)) is not None]
        return self._descend(folders, rest) if folders else []

    def _own(self, place: str) -> str | None:
        return relative(place, self._tree)

    def _relative(self, file: str, item: Import) -> list[str] | None:
        return self._descend([_folder_of(file, item.level)], item.parts)

    def _descend(self, folders: list[str], parts: Sequence[str]) -> list[str] | None:
        """Follow a dotted name through folders of the snapshot, executing nothing."""
        for n, part in enumerate(parts):
            places = [f"{folder}/{part}" if folder else part for folder in folders]
            package = [place for place in places if (self._tree / place / "__init__.py").is_file()]
            if not package and any((self._tree / f"{place}.py").is_file() for place in places):
                return [] if n == len(parts) - 1 else None
            folders = package[:1] or [place for place in places if (self._tree / place).is_dir()]
            if not folders:
                return None
        return folders

    # -- what the project has ----------------------------------------------------------------------------------------

    def _native(self, item: Import, folders: Sequence[str]) -> Iterator[str]:
        """Yield compiled modules of the project that are taken from a package of the snapshot, which holds source."""
        for folder in folders:
            for name in item.names:
                if name != EVERYTHING and not (self._tree / folder / f"{name}.py").is_file():
                    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
                        if (self._root / folder / f"{name}{suffix}").is_file():
                            yield f"{folder}/{name}{suffix}".lstrip("/")

    def _search(self, file: str, item: Import) -> str:
        """Return a file of the project that an import may be of, which led nowhere; empty if there is none."""
        wanted = "/".join(item.parts)
        if item.level:
            wanted = f"{_folder_of(file, item.level)}/{wanted}".lstrip("/")
        for path in self._project_files():
            stem = path.removesuffix("/__init__.py")
            stem = next((stem.removesuffix(s) for s in _SUFFIXES if stem.endswith(s)), stem)
            if path not in self._sources and f"/{stem}".endswith(f"/{wanted}") and wanted:
                return path
        return ""

    def _project_files(self) -> list[str]:
        if self._searched is None:
            self._searched = list(_modules_below(self._root))
        return self._searched


def _folder_of(file: str, level: int) -> str:
    """Return the folder that so many dots in a file mean."""
    above = PurePosixPath("/", file).parents
    return str(above[min(level, len(above)) - 1])[1:]


def _find(top: str) -> ModuleSpec | None:
    """Return how a top-level module would be found."""
    for finder in sys.meta_path:
        spec = finder.find_spec(top, None, None)
        if spec is not None:
            return spec
    return None


def _modules_below(root: Path) -> Iterator[str]:
    """Yield the project-relative paths of what Python could import, but for installed packages."""
    seen = 0
    for place, folders, files in os.walk(root):
        here = Path(place)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and not is_library(str(here / f / "x"), root))
        for file in sorted(files):
            seen += 1
            if seen > MAX_SEARCHED:
                return
            if file.endswith(_SUFFIXES):
                yield (here / file).relative_to(root).as_posix()
