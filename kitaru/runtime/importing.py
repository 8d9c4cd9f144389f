"""What importing a flow's code does to this process: `sys.path`, `sys.modules`, one finder, and how all is put back.

Owns: the modules, paths and finder that loading has put into the process. Knows nothing of targets, flows or runs.
Invariant: an import that fails leaves `sys.path` and the project's modules in `sys.modules` as they were.
"""

from __future__ import annotations

import contextvars
import importlib
import linecache
import os
import sys
import traceback
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.errors import CodeUnloadable, KitaruError
from kitaru.runtime.bytecode import Bytecode
from kitaru.runtime.names import MAIN, relative
from kitaru.runtime.source_text import source_text
from kitaru.runtime.sources import project_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import CodeType, ModuleType

_importing: contextvars.ContextVar[bool] = contextvars.ContextVar("kitaru_importing", default=False)


def during_import() -> bool:
    """Tell whether this thread is importing a flow's file right now, when a flow must not be started."""
    return _importing.get()


@contextmanager
def user_code(root: Path) -> Iterator[None]:
    """Turn whatever a user's module raises, SystemExit too, into one error that says where."""
    token = _importing.set(True)
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise CodeUnloadable(_failure(error, root), hint=_advice(error)) from error
    finally:
        _importing.reset(token)


def _failure(error: BaseException, root: Path) -> str:
    said = " ".join(str(error).split())
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
        return f"{_shown(error.filename, root)}:{error.lineno}: {type(error).__name__}: {error.msg}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _shown(f.filename, root)]
    place = f"{_shown(frames[-1].filename, root)}:{frames[-1].lineno}: " if frames else ""
    return f"{place}{type(error).__name__}: {said}" if said else f"{place}{type(error).__name__}"


def _advice(error: BaseException) -> str:
    if isinstance(error, KitaruError):
        return error.hint
    if isinstance(error, ModuleNotFoundError) and error.path:
        return "kitaru deploy records no version that lacks something"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"install {error.name} for {sys.executable}, or mend the import"
    return ""


def _shown(file: str, root: Path) -> str:
    """Return how a project's file is shown, the recorded ones as they stood in the project; empty for any other."""
    if session.recorded is not None:
        found = relative(file, session.recorded.directory)
        if found is not None:
            return found
    return project_source(file, root) or ""


class ScriptLoader(SourceFileLoader):
    """Compiles from source each time, as Python does for a script.

    Cached bytecode is told apart by whole seconds and size only, which a bug fixed at once and resumed can leave equal.
    """

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the compiled source."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _RecordedLoader(ScriptLoader):
    """Executes a recorded file with `__file__` where the project has it, so that data files beside it are found.

    Tracebacks show the recorded lines all the same: they read the file that the code was compiled from. The text that
    is compiled is the one that people were shown before they trusted it, and so is what bytecode is looked up by.
    """

    def __init__(self, name: str, path: str, shown: str, source: bytes | None, bytecode: Bytecode) -> None:
        super().__init__(name, path)
        self._shown, self._source, self._bytecode = shown, source, bytecode

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the compiled source."""
        path = self.get_filename(fullname)
        text = source_text(self.get_data(path) if self._source is None else self._source)
        return self._bytecode.code_of(text, path, lambda: self.source_to_code(text, path))

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module."""
        module.__file__ = self._shown
        super().exec_module(module)


class Recorded:
    """One recorded snapshot, laid out in a directory; a finder, first of all, for its modules.

    Args:
        directory: where its files are.
        files: their project-relative paths.
        paths: the folders in `directory` that stand in for the project's entries of `sys.path`.
        alone: the flow finds nothing else of the project: what the snapshot lacks is missing, whatever the working tree
            has. What the process has loaded before, it has.
        sources: the bytes of its files, as they were verified; without them, what is in the directory is executed.
        bytecode: what was compiled before.
    """

    def __init__(
        self,
        directory: Path,
        files: Iterable[str],
        paths: Iterable[Path],
        *,
        alone: bool = False,
        sources: Mapping[str, bytes] | None = None,
        bytecode: Bytecode | None = None,
    ) -> None:
        self.directory = directory
        self.files = frozenset(files)
        self._paths = [str(p) for p in paths]
        self._starts = (f"{directory}/", f"{directory.resolve()}/")
        self._alone = alone
        self._sources = sources or {}
        self.bytecode = bytecode or Bytecode()
        self._root = Path()

    def install(self, root: Path) -> None:
        """Shadow the project's own modules of these files."""
        self._root = root
        for name, rel in _project_modules(root).items():
            if rel in self.files:
                _take_out(name)
        sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module among the recorded files."""
        if path is None or any(f"{p}/".startswith(self._starts) for p in path):
            spec = PathFinder.find_spec(fullname, self._paths if path is None else path, target)
            if spec is not None and spec.origin is not None and spec.origin.startswith(self._starts):
                return self.relabel(spec)
        return self._elsewhere(fullname, path, target) if self._alone else None

    def modules(self) -> list[str]:
        """Return the names of the modules that are loaded of it, also those that its functions imported later."""
        origins = [(name, origin_of(module)) for name, module in list(sys.modules.items()) if name != MAIN]
        return [name for name, origin in origins if origin is not None and origin.startswith(self._starts)]

    def _elsewhere(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        """Find a module as the finders after this one do, unless it is a file of the project."""
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(fullname, path, target)
            if spec is None:
                continue
            found = project_source(spec.origin, self._root) if spec.origin else None
            if found is not None and self._in_flow():
                raise ModuleNotFoundError(f"{found} is not in the recorded version", name=fullname, path=found)
            return spec
        return None

    @staticmethod
    def _in_flow() -> bool:
        """Tell whether a flow's code imports, and not that of whoever executes it in his own process."""
        from kitaru.runtime.context import current_engine

        return during_import() or current_engine.get() is not None

    def relabel(self, spec: ModuleSpec) -> ModuleSpec:
        """Give a found module its place in the project as `__file__`."""
        origin = spec.origin or ""
        file = relative(origin, self.directory) or ""
        shown = str(self._root / file)
        spec.loader = _RecordedLoader(spec.name, origin, shown, self._sources.get(file), self.bytecode)
        spec.cached = None
        return spec


# --- what loading leaves in the process ------------------------------------------------------------------------------


def _project_modules(root: Path, directory: Path | None = None) -> dict[str, str]:
    """Map each loaded module of the project, or of the recorded files in `directory`, to its relative file."""
    starts = tuple(str(p) for p in (root, root.resolve(), directory) if p is not None)
    found = {}
    for name, module in list(sys.modules.items()):
        origin = origin_of(module) if name != MAIN else None
        if origin is None or not origin.startswith(starts) or module is sys.modules.get(MAIN):
            continue
        rel = relative(origin, directory) if directory is not None else None
        rel = rel or project_source(origin, root)
        if rel is not None:
            found[name] = rel
    return found


def _take_out(name: str) -> None:
    """Forget a module, also as an attribute of its package, where `from package import name` would still find it."""
    module = sys.modules.pop(name, None)
    package, _, child = name.rpartition(".")
    if module is not None and getattr(sys.modules.get(package), "__dict__", {}).get(child) is module:
        delattr(sys.modules[package], child)


def _put_back(modules: dict[str, ModuleType]) -> None:
    for name, module in modules.items():
        if sys.modules.get(name) is not module:
            sys.modules[name] = module
            package, _, child = name.rpartition(".")
            if package in sys.modules:
                setattr(sys.modules[package], child, module)


@dataclass
class Loading:
    """One import under way; `files` are known when it has succeeded."""

    files: tuple[str, ...] = ()


@dataclass
class Session:
    """The project modules and `sys.path` entries that loading has left in this process, to be taken out again."""

    modules: dict[str, tuple[str, int]] = field(default_factory=dict)  # name to file and time of change
    loads: dict[str, tuple[str, ...]] = field(default_factory=dict)  # name of a flow's module to what it loaded
    paths: list[str] = field(default_factory=list)
    recorded: Recorded | None = None

    def owns(self, name: str) -> bool:
        """Tell whether loading put this module here, not the process's own code."""
        return name in self.modules

    def files_of(self, module: str, loaded: tuple[str, ...]) -> tuple[str, ...]:
        """Return what a flow's module loaded: now, or when it was imported earlier in this process."""
        return self.loads.setdefault(module, loaded)

    @contextmanager
    def importing(self, root: Path, paths: Sequence[Path], recorded: Recorded | None = None) -> Iterator[Loading]:
        """Prepare `sys.path` for an import, and put everything back if it fails."""
        before = dict(sys.modules), list(sys.path), list(sys.meta_path), copy(self)
        loading = Loading()
        try:
            if recorded is not None or self._stale(root):
                self._forget()
            self._enter(root, paths, recorded)
            there = set(sys.modules)
            yield loading
            loading.files = self._remember(root, there)
        except BaseException:
            self._restore(root, *before)
            raise

    def _stale(self, root: Path) -> bool:
        """Tell whether code left by an earlier load is not what is on disk now, or is of another project."""
        return self.recorded is not None or any(
            relative(file, root) is None or _changed(file) != at for file, at in self.modules.values()
        )

    def _forget(self) -> None:
        late = self.recorded.modules() if self.recorded is not None else ()
        for name in (*self.modules, *late):
            _take_out(name)
        sys.path[:] = [p for p in sys.path if p not in self.paths]
        sys.meta_path[:] = [f for f in sys.meta_path if f is not self.recorded]
        self.modules, self.loads, self.paths, self.recorded = {}, {}, [], None

    def _enter(self, root: Path, paths: Sequence[Path], recorded: Recorded | None) -> None:
        wanted = list(dict.fromkeys(str(p) for p in paths))
        self.paths = [*self.paths, *(p for p in wanted if p not in sys.path)]
        sys.path[:] = [*wanted, *(p for p in sys.path if p not in wanted)]
        if recorded is not None:
            recorded.install(root)
            self.recorded = recorded
        importlib.invalidate_caches()
        linecache.checkcache()

    def _remember(self, root: Path, there: set[str]) -> tuple[str, ...]:
        directory = self.recorded.directory if self.recorded else None
        found = {name: rel for name, rel in _project_modules(root, directory).items() if name not in there}
        files = {name: str((directory or root) / rel) for name, rel in found.items()}
        self.modules = {**self.modules, **{name: (file, _changed(file)) for name, file in files.items()}}
        return tuple(sorted(set(found.values())))

    def _restore(
        self, root: Path, modules: dict[str, ModuleType], path: list[str], meta_path: list[Any], state: Session
    ) -> None:
        directory = self.recorded.directory if self.recorded else None
        for name in _project_modules(root, directory):
            if name not in modules:
                _take_out(name)
        # Installed packages that were imported on the way stay: many of them cannot be imported twice.
        _put_back(modules)
        sys.path[:], sys.meta_path[:] = path, meta_path
        self.__dict__.update(state.__dict__)


def _changed(file: str) -> int:
    try:
        return Path(file).stat().st_mtime_ns
    except OSError:
        return -1


session = Session()


def origin_of(module: ModuleType) -> str | None:
    """Return the absolute file that a module was compiled from, or None."""
    spec = getattr(module, "__spec__", None)
    origin = getattr(spec, "origin", None) or getattr(module, "__file__", None)
    return os.path.abspath(origin) if isinstance(origin, str) else None  # noqa: PTH100 - lexical, as above
