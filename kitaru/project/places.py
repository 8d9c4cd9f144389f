"""What is put where a project is made, and opening its store.

Owns: laying down the template. Where a project is, `kitaru.config` finds. Knows nothing of what a store means.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from kitaru.blobs.files import DIRECTORY_MODE, GROWING_MODE, private_directory
from kitaru.blobs.local import LocalBlobs
from kitaru.config import STORE, find_root
from kitaru.errors import ProjectExists, StoreError
from kitaru.store.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STORE", "find_root", "lay_down", "open_repository"]

_PACKAGE = Path(__file__).parents[1]


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
        root.mkdir(parents=True, exist_ok=True)
        store.mkdir(exist_ok=True)
        store.chmod(DIRECTORY_MODE)
        _copy(_template(), store)
    except OSError as error:
        raise StoreError(f"{store} cannot be written: {error.strerror}", hint="choose another directory") from error
    Repository.create(LocalBlobs(store))


def _copy(source: Path, target: Path) -> None:
    """Copy files that are not there yet, as deep as they lie, and whether they can be executed; for the user alone."""
    for item in sorted(source.iterdir()):
        here = target / item.name
        if item.is_dir():
            private_directory(here)
            _copy(item, here)
        elif not here.exists():
            shutil.copyfile(item, here)
            here.chmod(GROWING_MODE | (item.stat().st_mode & 0o100))


def _template() -> Path:
    """Return the template: shipped in the wheel, or beside the package in a source checkout."""
    shipped = _PACKAGE / "_template"
    return shipped if shipped.is_dir() else _PACKAGE.parent / ".kitaru-template"
