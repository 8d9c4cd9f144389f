"""Which source files a flow needs, and the flow version they make.

Owns: what is a source file of the project's own, finding a flow's entry point, the transitive closure of its project
imports, and the version's fingerprint. Which file an import leads to is `runtime.finder`. Knows nothing of stores and
runs; it reads source files, and never imports or executes one.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.errors import CodeUnloadable
from kitaru.runtime.entry import Entry
from kitaru.runtime.finder import Finder
from kitaru.runtime.imports import ImportsOf, imports_of
from kitaru.runtime.names import MAIN, import_base, in_package, main_file, module_name, relative

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_TOTAL_BYTES = 64 * 1024 * 1024

_KITARU = Path(__file__).parents[1]
_FOREIGN_PARTS = {"site-packages", "dist-packages", ".kitaru", "__pycache__"}


def project_source(path: str | Path, root: Path) -> str | None:
    """Return the project-relative path of a source file of the project itself, or None for any other file.

    Not the project's own are virtual environments, installed packages, the standard library and Kitaru.
    """
    rel = relative(path, root)
    if rel is None or not rel.endswith(".py"):
        return None
    folder = (root / rel).parent
    return None if _foreign(str(folder), str(root)) else rel


def is_library(path: str, root: Path) -> bool:
    """Tell whether a source file is part of an installed package, the standard library or Kitaru."""
    return _foreign(os.path.dirname(os.path.abspath(path)), str(root))  # noqa: PTH100, PTH120 - hot


@functools.lru_cache(maxsize=4096)
def _foreign(folder: str, root: str) -> bool:
    here = Path(folder)
    if relative(here, _KITARU) or here.name in _FOREIGN_PARTS or _is_stdlib(folder):
        return True
    if folder == root or here.parent == here:
        return False  # a project may be a virtual environment itself, made by `python -m venv .`
    return (here / "pyvenv.cfg").is_file() or _foreign(str(here.parent), root)


def _is_stdlib(folder: str) -> bool:
    return folder in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))


def import_path(root: Path) -> tuple[str, ...]:
    """Return the entries of `sys.path` inside the project, relative to it, in order."""
    found: dict[str, None] = {}
    for item in sys.path:
        rel = relative(item or ".", root)
        if rel is not None and Path(item or ".").is_dir() and not _foreign(str(root / rel), str(root)):
            found.setdefault(rel)
    return tuple(found)


def entry_of(fn: Callable[..., Any], root: Path) -> Entry:
    """Return where a flow's code begins.

    Args:
        fn: the flow, or the function it decorates.
        root: the project's directory.
    """
    fn = getattr(fn, "fn", fn)
    module = module_name(fn, root)
    file = _file_of(fn, root)
    path = import_path(root)
    if file and in_package(root / file):
        # An editable install may find a package by a hook instead of by sys.path.
        base = relative(import_base(root / file), root)
        path = path if base is None or base in path else (base, *path)
    return Entry(module, fn.__qualname__, file, path)


def _file_of(fn: Callable[..., Any], root: Path) -> str | None:
    file = getattr(sys.modules.get(fn.__module__), "__file__", None)
    if file is None:
        file = main_file() if fn.__module__ == MAIN else fn.__code__.co_filename
    return project_source(file, root) if file and Path(file).is_file() else None


def snapshot(entry: Entry, root: Path, also: Iterable[str] = (), imports: ImportsOf = imports_of) -> dict[str, bytes]:
    """Return every source file of the project that a flow needs: its own and, transitively, all that it imports.

    Imports are found by parsing, also those inside functions, and `import_module` with a name that stands there; where
    only a package stands there, as in `import_module(f"tools.{name}")`, all its modules are taken. What is imported by
    a name that is computed as a whole is not seen.

    Args:
        entry: where the flow begins.
        root: the project's directory.
        also: more project-relative files, such as those of modules loaded while the flow's was imported.
        imports: tells what stands in a file.

    Returns:
        Project-relative path to bytes, in path order.

    Raises:
        CodeUnloadable: a file cannot be read, or is too large to be source.
    """
    finder = Finder(root, entry.path, imports)
    queue = [*([entry.file] if entry.file else []), *also]
    files: dict[str, bytes] = {}
    total = 0
    while queue:
        file = queue.pop()
        if file in files or project_source(root / file, root) is None:
            continue
        files[file] = _read(root, file)
        total += len(files[file])
        if total > MAX_TOTAL_BYTES:
            raise CodeUnloadable(f"the flow's sources are over {MAX_TOTAL_BYTES >> 20} MiB", hint=_NOT_SOURCE)
        queue.extend(_package_files(file, root))
        queue.extend(finder.imported(file, files[file]))
    return dict(sorted(files.items()))


def imported_sources(statements: bytes, file: str, root: Path) -> dict[str, bytes]:
    """Return the project files that import statements standing in `file` lead to, as `snapshot` does for a flow.

    Raises:
        CodeUnloadable: a file cannot be read, or is too large to be source.
    """
    path = import_path(root)
    return snapshot(Entry("", "", None, path), root, Finder(root, path).imported(file, statements))


_NOT_SOURCE = "keep data in files that the code reads, instead of in Python source"


def _package_files(file: str, root: Path) -> Iterator[str]:
    base = import_base(root / file)
    for folder in (root / file).parents:
        if folder in (base, root):
            return
        yield f"{folder.relative_to(root).as_posix()}/__init__.py"


def _read(root: Path, file: str) -> bytes:
    try:
        size = (root / file).stat().st_size
        if size > MAX_FILE_BYTES:
            raise CodeUnloadable(f"{file} has {size:,} bytes, too many for a source file", hint=_NOT_SOURCE)
        return (root / file).read_bytes()
    except OSError as error:
        raise CodeUnloadable(f"{file} cannot be read: {error.strerror or error}") from error


def external_imports(files: Mapping[str, bytes], path: Sequence[str], imports: ImportsOf = imports_of) -> set[str]:
    """Return the top-level names that these files import and that are neither the project's nor Python's own.

    Args:
        files: a snapshot.
        path: the entries of `sys.path` inside the project, as an `Entry` has them.
        imports: tells what stands in a file.
    """
    own = {name for p in path for file in files for name in _top_below(file, p)}
    found = {item.parts[0] for source in files.values() for item in imports(source) if not item.level}
    return found - own - sys.stdlib_module_names


def _top_below(file: str, folder: str) -> list[str]:
    prefix = "" if folder == "." else folder + "/"
    return [file[len(prefix) :].split("/", maxsplit=1)[0].removesuffix(".py")] if file.startswith(prefix) else []


def fingerprint(entry: Entry, files: Mapping[str, bytes], environment: Mapping[str, Any]) -> str:
    """Return the digest that tells flow versions apart: of code, Python and distributions.

    Not of the git commit, nor of `sys.path`, which differs between `python FILE` and `kitaru run FILE`.

    Args:
        entry: where the flow begins.
        files: its snapshot.
        environment: `{"python", "distributions"}`, of `kitaru.runtime.environment`.

    Returns:
        SHA-256, in hexadecimal digits.
    """
    told = {
        "entry": [entry.module, entry.qualname, entry.file],
        "files": {path: hashlib.sha256(data).hexdigest() for path, data in files.items()},
        "environment": dict(environment),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def version_value(
    entry: Entry,
    files: Mapping[str, bytes],
    environment: Mapping[str, Any],
    inputs: dict[str, Any],
    git: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return the value that is stored as a flow version.

    Args:
        entry: where the flow begins.
        files: its snapshot.
        environment: `{"python", "distributions"}`, of `kitaru.runtime.environment`.
        inputs: the JSON schema of its parameters.
        git: `{"commit", "dirty"}`, or None.
    """
    return {"entry": entry.to_json(), "files": dict(files), "inputs": inputs, **environment, "git": git}


def changed_files(recorded: Mapping[str, bytes], current: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Return the paths that differ, in order, each with `changed`, `added` or `removed`."""
    found = []
    for path in sorted({*recorded, *current}):
        if path not in recorded:
            found.append((path, "added"))
        elif path not in current:
            found.append((path, "removed"))
        elif recorded[path] != current[path]:
            found.append((path, "changed"))
    return found
