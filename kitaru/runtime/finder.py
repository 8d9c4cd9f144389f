"""Which of the project's files an import leads to.

Owns: Python's path finder, as far as it concerns the files below one directory. What stands in a file is
`runtime.imports`; whether a file that was found is the project's own is for `runtime.sources` to say.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kitaru.runtime.imports import EVERYTHING, Import, ImportsOf, imports_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path


class Finder:
    """Finds the project's files behind an import, as Python's path finder would.

    Args:
        root: the project's directory.
        path: the folders in it where modules are looked for; `.` is the project.
        imports: tells what stands in a file.
    """

    def __init__(self, root: Path, path: Sequence[str], imports: ImportsOf = imports_of) -> None:
        self._root, self._imports = root, imports
        self._path = tuple("" if p == "." else p for p in path)
        self._known: dict[tuple[tuple[str, ...], str], tuple[list[str], tuple[str, ...]]] = {}

    def imported(self, file: str, source: bytes) -> Iterator[str]:
        """Yield the project files that importing `file` imports in turn."""
        for item in self._imports(source):
            yield from self._resolve(file, item)

    def _resolve(self, file: str, item: Import) -> Iterator[str]:
        folders = self._path
        if item.level:
            above = PurePosixPath("/", file).parents
            folders = (str(above[min(item.level, len(above)) - 1])[1:],)
        folders = yield from self._descend(folders, item.parts)
        for name in item.names:
            yield from self._all(folders) if name == EVERYTHING else self._one(folders, name)[0]

    def _all(self, folders: tuple[str, ...]) -> Iterator[str]:
        """Yield the files of all modules that are directly in these folders."""
        for folder in folders:
            for place in sorted((self._root / folder).iterdir()):
                found = place / "__init__.py" if place.is_dir() else place
                if found.suffix == ".py" and found.is_file():
                    yield found.relative_to(self._root).as_posix()

    def _descend(self, folders: tuple[str, ...], parts: Sequence[str]) -> Generator[str, None, tuple[str, ...]]:
        for part in parts:
            files, folders = self._one(folders, part)
            yield from files
        return folders

    def _one(self, folders: tuple[str, ...], part: str) -> tuple[list[str], tuple[str, ...]]:
        """Return the files that `part` in `folders` loads, and the folders in which its submodules are."""
        key = (folders, part)
        if key not in self._known:
            self._known[key] = self._look(folders, part)
        return self._known[key]

    def _look(self, folders: tuple[str, ...], part: str) -> tuple[list[str], tuple[str, ...]]:
        spaces = []
        for folder in folders:
            place = f"{folder}/{part}" if folder else part
            for file, inner in ((f"{place}/__init__.py", (place,)), (f"{place}.py", ())):
                if (self._root / file).is_file():
                    return [file], inner
            if (self._root / place).is_dir():
                spaces.append(place)
        return [], tuple(spaces)
