"""One class, one name: what a module is called in the store, whichever way Python came to load it.

Owns: the names of modules and classes in recorded values and entries. Knows nothing of stores, runs or flows, and
never imports anything.

A file started as `python FILE` is `__main__` to Python, and another module when a resume imports it. Here both have
the file's importable name, so that `Plan` is one class in either.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

MAIN = "__main__"
_seen_main: tuple[ModuleType | None, Path] | None = None
_MAINS = (MAIN, "__mp_main__")  # multiprocessing's spawned children reload the main file under the second name


def relative(path: str | Path, root: Path) -> str | None:
    """Return `path` relative to `root` with forward slashes (`.` for the root itself), or None when it is outside."""
    absolute = os.path.abspath(path)  # noqa: PTH100 - lexical: a symlink inside the project stays inside it
    found = _below(absolute, str(root))
    return found if found is not None else _below(os.path.realpath(absolute), os.path.realpath(root))


def _below(path: str, folder: str) -> str | None:
    if path == folder:
        return "."
    prefix = folder.rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else None


def import_base(file: Path) -> Path:
    """Return the folder from which `file` is imported: above its top-most package, or its own without a package."""
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        folder = folder.parent
    return folder


def in_package(file: Path) -> bool:
    """Tell whether the file is part of a package, that is, has an `__init__.py` beside it."""
    return (file.parent / "__init__.py").is_file()


def file_module(file: Path, root: Path) -> str:
    """Return the importable name of a file.

    In a package it is the dotted name from the top-most package; elsewhere the dotted project-relative path, though
    its parts may be no identifiers; and outside of the project the file's own name.
    """
    base = import_base(file)
    if not in_package(file):
        base = root if relative(file, root) else file.parent
    parts = (relative(file, base) or file.name).removesuffix(".py").split("/")
    if len(parts) > 1 and parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def main_file() -> Path | None:
    """Return the file that Python was started with; None in a REPL, a notebook or under `python -c`.

    Python takes `__file__` away when a script has come to its end, while its threads, and so its runs, go on: what was
    seen once is remembered for as long as it is the same module.
    """
    global _seen_main  # noqa: PLW0603 - `__main__` is one per process
    module = sys.modules.get(MAIN)
    file = getattr(module, "__file__", None)
    if isinstance(file, str) and Path(file).is_file():
        _seen_main = (module, Path(file).absolute())
        return _seen_main[1]
    return _seen_main[1] if _seen_main is not None and _seen_main[0] is module else None


def module_name(module: object, root: Path) -> str:
    """Return what a module is called in the store.

    Args:
        module: a module's name, a module, or a class or function of it.
        root: the project's directory.

    Returns:
        The module's `__name__`; for `__main__` its file's importable name, or `__main__` where it has no file.
    """
    name = _python_name(module)
    if name not in _MAINS:
        return name
    file = main_file()
    return file_module(file, root) if file else MAIN


def _python_name(module: object) -> str:
    if isinstance(module, str):
        return module
    found = module.__name__ if isinstance(module, ModuleType) else getattr(module, "__module__", None)
    return found if isinstance(found, str) else MAIN


def alias_main(root: Path) -> None:
    """Let the importable name of a script inside the project lead to the running `__main__`.

    A module of that name which comes from another file keeps it: a script called `json.py` must not become `json`.
    """
    file = main_file()
    if file is None or relative(file, root) is None:
        return
    name = file_module(file, root)
    there = getattr(sys.modules.get(name), "__file__", None)
    if name not in sys.modules or (there is not None and Path(there).absolute() == file):
        sys.modules[name] = sys.modules[MAIN]


class ClassNames:
    """Classes by their names in the store, for encoder and decoder.

    Args:
        root: the project's directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._main: str | None = None

    def name_of(self, cls: type) -> str:
        """Return `module:qualname`, with `__main__` under its importable name."""
        module = cls.__module__
        return f"{self._main_name() if module in _MAINS else module}:{cls.__qualname__}"

    def class_of(self, name: str) -> type | None:
        """Return the loaded class of that name, or None; local classes have no name that leads to them."""
        module, _, qualname = name.partition(":")
        if not qualname or "<locals>" in qualname:
            return None
        found = _walk(sys.modules.get(module), qualname)
        if found is None and module == self._main_name():
            found = _walk(sys.modules.get(MAIN), qualname)
        return found

    def _main_name(self) -> str:
        if self._main is None:
            self._main = module_name(MAIN, self.root)
        return self._main


def _walk(module: ModuleType | None, qualname: str) -> type | None:
    found: object = module
    for part in qualname.split("."):
        # Only what stands there already: a module's or metaclass's __getattr__ may import, or run anything.
        if not isinstance(found, (ModuleType, type)):
            return None
        found = found.__dict__.get(part)
    return found if isinstance(found, type) else None
