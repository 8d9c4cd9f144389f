"""Where a project is, and what is put there when it is made.

Owns: the search for `.kitaru/`, upwards, and laying down the template. Knows nothing of what a store means.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from kitaru.blobs.local import LocalBlobs
from kitaru.errors import NotAProject, ProjectExists, StoreError
from kitaru.store.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable

STORE = ".kitaru"
_PACKAGE = Path(__file__).parents[1]


def find_root(directory: Path | str | None) -> Path:
    """Return the nearest directory, from this one (the current one by default) upwards, that holds a store.

    `KITARU_DIR` names where to begin instead of the current directory, as `GIT_DIR` does for git.

    Raises:
        NotAProject: none does.
    """
    start = Path(directory or os.environ.get("KITARU_DIR") or ".").absolute()
    for root in (start, *start.parents):
        if (root / STORE / "format").exists():
            return root
    raise NotAProject(str(start))


def open_repository(root: Path, *, durable: bool, random_bytes: Callable[[int], bytes] = os.urandom) -> Repository:
    """Open the store of a project; `durable` is False for `process-crash` durability."""
    return Repository.open(LocalBlobs(root / STORE, durable=durable), random_bytes)


def lay_down(root: Path) -> None:
    """Make a project of a directory: the template's files, then the store's format, which makes it one.

    Raises:
        ProjectExists: it is one already.
        StoreError: it cannot be written.
    """
    store = root / STORE
    if (store / "format").exists():
        raise ProjectExists(str(root))
    try:
        store.mkdir(parents=True, exist_ok=True)
        _copy(_template(), store)
    except OSError as error:
        raise StoreError(f"{store} cannot be written: {error.strerror}", hint="choose another directory") from error
    Repository.create(LocalBlobs(store))


def _copy(source: Path, target: Path) -> None:
    """Copy files that are not there yet, as deep as they lie, and whether they can be executed."""
    for item in sorted(source.iterdir()):
        here = target / item.name
        if item.is_dir():
            here.mkdir(exist_ok=True)
            _copy(item, here)
        elif not here.exists():
            shutil.copyfile(item, here)
            here.chmod(here.stat().st_mode | (item.stat().st_mode & 0o111))


def _template() -> Path:
    """Return the template: shipped in the wheel, or beside the package in a source checkout."""
    shipped = _PACKAGE / "_template"
    return shipped if shipped.is_dir() else _PACKAGE.parent / ".kitaru-template"
