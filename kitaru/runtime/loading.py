"""Finding a flow by what a user typed or a run recorded, and importing its code.

Owns: the grammar of targets, laying out a recorded snapshot, and picking the flow from its module. Knows nothing of
stores and runs: a recorded snapshot comes as paths and bytes, which nobody vouches for.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import threading
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.errors import CodeUnloadable, FlowNotFound
from kitaru.runtime.entry import Entry, python_path
from kitaru.runtime.importing import Recorded, ScriptLoader, during_import, origin_of, session, user_code
from kitaru.runtime.names import MAIN, file_module, import_base, in_package, main_file, relative
from kitaru.runtime.sources import entry_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from kitaru.runtime.bytecode import Bytecode

__all__ = [
    "LoadedFlow",
    "Target",
    "during_import",
    "flow_at",
    "flows_of",
    "is_flow",
    "load_entry",
    "load_object",
    "load_target",
    "loaded_object",
    "materialize",
    "parse_target",
]

_lock = threading.RLock()


@dataclass(frozen=True, slots=True)
class Target:
    """What a user typed to name a flow: exactly one of `file` and `module` is set; `flow` may be left out."""

    file: str | None
    module: str | None
    flow: str | None

    def __str__(self) -> str:
        place = self.file or self.module or ""
        return f"{place}:{self.flow}" if self.flow else place


@dataclass(frozen=True, slots=True)
class LoadedFlow:
    """A flow whose code is imported.

    Attributes:
        flow: the object that `@flow` made.
        entry: where its code begins.
        loaded_files: project-relative files of the modules that were loaded on the way.
    """

    flow: Any
    entry: Entry
    loaded_files: tuple[str, ...]


def parse_target(text: str) -> Target:
    """Parse `FILE.py:flow`, `package.module:flow`, and each without `:flow`.

    Raises:
        FlowNotFound: neither.
    """
    place, colon, name = text.rpartition(":")
    if not colon or name.endswith(".py") or "/" in name:
        place, name = text, ""
    if not place or (colon and place != text and not name):
        raise FlowNotFound(f"{text!r} names no flow", hint="write FILE.py:flow or package.module:flow")
    is_file = place.endswith(".py") or "/" in place
    return Target(place if is_file else None, None if is_file else place, name or None)


def load_target(target: Target | str, root: Path, cwd: Path) -> LoadedFlow:
    """Import the code that a target names, without running its `__main__` block.

    A file finds what `python FILE` would find, and after it what is in `cwd` and the project.

    Args:
        target: as typed, or parsed.
        root: the project's directory.
        cwd: what a relative file is relative to.

    Raises:
        FlowNotFound: no such file, module or flow; the message lists the flows there are.
        CodeUnloadable: the import failed; nothing was changed.
    """
    target = parse_target(target) if isinstance(target, str) else target
    with _lock:
        paths = [*_places(target, root, cwd), *([cwd] if relative(cwd, root) else []), root]
        with session.importing(root, paths) as loading:
            module = _import_target(target, root, cwd)
            flow = _find_flow(module, target)
            entry = entry_of(flow, root)
        return LoadedFlow(flow, entry, session.files_of(entry.module, loading.files))


def load_entry(
    entry: Entry,
    root: Path,
    files: Mapping[str, bytes] | None = None,
    directory: Path | None = None,
    *,
    alone: bool = False,
    bytecode: Bytecode | None = None,
) -> LoadedFlow:
    """Import the code that a run recorded, needing no PYTHONPATH.

    Args:
        entry: where the recorded flow begins.
        root: the project's directory.
        files: the recorded snapshot to use instead of the working tree; its modules shadow the project's own.
        directory: a new or empty directory for these files, which stays as long as the code is used.
        alone: with `files`, nothing of the project is found but these.
        bytecode: with `files`, what they were compiled to before.

    Raises:
        CodeUnloadable: the import failed, the flow is gone, or a recorded path leads elsewhere; nothing was changed.
    """
    with _lock:
        if files is not None and directory is not None:
            tree = directory.absolute()
            materialize(files, tree)
            recorded = Recorded(tree, files, _below(tree, entry), alone=alone, sources=files, bytecode=bytecode)
        else:
            tree, recorded = root, None
        with session.importing(root, _below(tree, entry), recorded) as loading:
            module = _import_entry(entry, root, tree)
            flow = flow_at(module, entry)
        return LoadedFlow(flow, entry, session.files_of(entry.module, loading.files))


def load_object(entry: Entry, root: Path, recorded: Recorded | None = None) -> object:
    """Return what stands under an entry's name in its module, imported as `load_entry` would.

    Args:
        entry: where it is; the process that asks vouches for it.
        root: the project's directory.
        recorded: the snapshot to use instead of the working tree, laid out already.

    Raises:
        CodeUnloadable: the import failed; nothing was changed.
    """
    tree = root if recorded is None else recorded.directory
    with _lock, session.importing(root, _below(tree, entry), recorded):
        return _walk(_import_entry(entry, root, tree), entry.qualname)


def loaded_object(entry: Entry) -> object:
    """Return what stands under an entry's name in its module as this process has loaded it; None if it has not."""
    module = sys.modules.get(entry.module)
    return None if module is None else _walk(module, entry.qualname)


def _below(tree: Path, entry: Entry) -> list[Path]:
    return [*(tree if p == "." else tree / p for p in entry.path), tree]


def materialize(files: Mapping[str, bytes], directory: Path) -> None:
    """Write a recorded snapshot's files, read-only, into a new or empty directory.

    Raises:
        CodeUnloadable: a path is no project-relative path of a Python file, or the directory is not empty.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise CodeUnloadable(f"{directory} is not empty, so that recorded code cannot be laid out there")
    for path, data in files.items():
        place = directory / python_path(path)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o444), "wb") as out:
                out.write(data)
        except OSError as error:
            raise CodeUnloadable(f"the recorded file {path} cannot be laid out: {error.strerror or error}") from error


# --- finding and importing one module --------------------------------------------------------------------------------


def _places(target: Target, root: Path, cwd: Path) -> list[Path]:
    if target.file is None:
        return []
    file = _existing(target.file, cwd)
    if relative(file, root) is None:
        raise FlowNotFound(f"{target.file} is outside of the project {root}", hint="kitaru init in its own directory")
    return [import_base(file)]


def _existing(text: str, cwd: Path) -> Path:
    file = Path(os.path.abspath(cwd / text))  # noqa: PTH100 - lexical, as in names.relative
    if file.is_file() and file.suffix == ".py":
        return file
    if file.is_file():
        raise FlowNotFound(f"{text} is not a Python file", hint="write FILE.py:flow")
    import difflib

    near = sorted(p.name for p in file.parent.glob("*.py")) if file.parent.is_dir() else []
    close = difflib.get_close_matches(file.name, near, 3) or near[:8]
    raise FlowNotFound(f"no file {text} in {cwd}", hint=f"beside it are {', '.join(close)}" if close else "")


def _import_target(target: Target, root: Path, cwd: Path) -> ModuleType:
    if target.file is not None:
        file = _existing(target.file, cwd)
        return _import_file(file_module(file, root), file, root)
    name = target.module or ""
    if not all(name.split(".")):
        raise FlowNotFound(f"{name!r} is no module", hint="write FILE.py:flow or package.module:flow")
    try:
        with user_code(root):
            return importlib.import_module(name)
    except CodeUnloadable as error:
        missing = getattr(error.__cause__, "name", None)
        if isinstance(error.__cause__, ModuleNotFoundError) and f"{name}.".startswith(f"{missing}."):
            raise FlowNotFound(
                f"no module named {missing}", hint="write FILE.py:flow or package.module:flow"
            ) from error.__cause__
        raise


def _import_entry(entry: Entry, root: Path, tree: Path) -> ModuleType:
    if entry.file is not None:
        file = tree / entry.file
        if not file.is_file():
            raise CodeUnloadable(f"{entry.file} is not in the project", hint="use the recorded code: --as-recorded")
        return _import_file(entry.module, file, root)
    if entry.module == MAIN:
        return sys.modules[MAIN]
    with user_code(root):
        return importlib.import_module(entry.module)


def _import_file(name: str, file: Path, root: Path) -> ModuleType:
    """Import a file under a name, unless the module of that name is this file already."""
    if main_file() == file:
        return sys.modules[MAIN]
    there = sys.modules.get(name)
    if there is not None and origin_of(there) != str(file) and session.owns(name):
        del sys.modules[name]  # loaded here before, for another file
        there = None
    if there is None:
        with user_code(root):
            there = importlib.import_module(name) if in_package(file) else _execute(name, file)
    if origin_of(there) != str(file):
        raise CodeUnloadable(
            f"{file} cannot be loaded as {name}: that module is {origin_of(there) or 'built in'}",
            hint="rename the file",
        )
    return there


def _execute(name: str, file: Path) -> ModuleType:
    spec = ModuleSpec(name, ScriptLoader(name, str(file)), origin=str(file))
    spec.has_location = True
    if session.recorded is not None:
        spec = session.recorded.relabel(spec)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    assert spec.loader is not None  # noqa: S101 - given above; for the type checker
    spec.loader.exec_module(module)
    return module


# --- the flows of a module -------------------------------------------------------------------------------------------


def is_flow(value: object) -> bool:
    """Tell whether `@flow` made this object, without importing or calling anything."""
    decorators = sys.modules.get("kitaru.runtime.decorators")
    return decorators is not None and isinstance(value, decorators.Flow)


def flows_of(module: ModuleType) -> dict[str, Any]:
    """Return the flows that a module itself defines, by the names that a target gives them."""
    found = {name: value for name, value in vars(module).items() if is_flow(value)}
    return {name: value for name, value in found.items() if value.fn.__module__ == module.__name__}


def _find_flow(module: ModuleType, target: Target) -> Any:  # noqa: ANN401 - a Flow; the decorators are not imported for it
    if target.flow:
        found = _walk(module, target.flow)
        if is_flow(found):
            return found
    flows = flows_of(module)
    if target.flow is None and len({f.name for f in flows.values()}) == 1:
        return next(iter(flows.values()))
    place = target.file or target.module
    if not flows:
        raise FlowNotFound(f"{place} has no flow", hint="decorate its function with @flow")
    if target.flow is None:
        raise FlowNotFound(f"{place} has several flows", hint=" or ".join(f"{place}:{name}" for name in flows))
    raise FlowNotFound(f"{place} has no flow named {target.flow!r}", hint=f"its flows are {', '.join(flows)}")


def flow_at(module: ModuleType, entry: Entry) -> Any:  # noqa: ANN401 - as above
    """Return the flow of an entry from its module, which is loaded.

    Raises:
        CodeUnloadable: it is not there, or nobody can find it by its name.
    """
    if "<locals>" in entry.qualname:
        raise CodeUnloadable(
            f"{entry.module}:{entry.qualname} is defined inside a function, where a resume cannot find it",
            hint="move the flow to the top level of its file",
        )
    found = _walk(module, entry.qualname)
    if is_flow(found):
        return found
    if entry.module == MAIN and entry.file is None:
        raise CodeUnloadable(
            f"{entry.qualname} was defined in a notebook or REPL, which is not this process",
            hint="run its cells again and resume there, or move the flow to a file",
        )
    flows = {f.fn.__qualname__: f for f in flows_of(module).values()}
    if entry.qualname in flows:
        return flows[entry.qualname]
    where = entry.file or entry.module
    hint = f"its flows are {', '.join(flows)}" if flows else "use the recorded code: --as-recorded"
    raise CodeUnloadable(f"{where} has no flow {entry.qualname} any more", hint=hint)


def _walk(module: ModuleType, qualname: str) -> object:
    found: object = module
    for part in qualname.split("."):
        found = inspect.getattr_static(found, part, None)
    return found
