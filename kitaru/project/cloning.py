"""Making a directory of what a remote has: whole, or not at all.

Owns: where a clone goes, and that nothing half-made is left. Knows nothing of what is in it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from kitaru.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.project.remotes import Remote

T = TypeVar("T")


def target_of(url: str, directory: Path | str | None) -> Path:
    """Return where a clone goes: by default a directory here that is called like the end of the URL.

    Raises:
        UsageError: there is something in it already, or the URL ends in nothing that a directory can be called.
    """
    name = PurePosixPath(url.rpartition("://")[2]).name
    if directory is None and name in {"", ".", ".."}:
        raise UsageError("what is the new directory to be called?", hint=f"kitaru clone {url} DIR")
    target = Path(directory or name).absolute()
    if target.is_symlink() or target.exists():
        _check_empty(target, url)
    return target


def _check_empty(target: Path, url: str) -> None:
    if not target.is_dir() or any(target.iterdir()):
        raise UsageError(f"{target} is there already, and not empty", hint=f"kitaru clone {url} DIR")


def check_store(remote: Remote) -> None:
    """Raise UsageError where nothing was ever pushed to a remote, UnknownFormat where another version did."""
    from kitaru.store.sync.sight import format_of

    if not format_of(remote.connect()):
        raise UsageError(
            f"there is no store at {remote.url}", hint=f"kitaru init --remote {remote.url}, and kitaru push"
        )


def made_whole(target: Path, fill: Callable[[Path], T]) -> T:
    """Have a new directory filled beside the target, and put it there when it is complete.

    A target that is there stays the directory that it is, for somebody may stand in it: it is filled from within.

    Raises:
        StoreError: the disk said no; nothing is left, as with whatever `fill` raises.
    """
    made = _missing(target.parent)
    is_there = target.is_dir()
    scratch = (target if is_there else target.parent) / f".clone-{os.urandom(6).hex()}"
    try:
        scratch.mkdir(parents=True)
        filled = fill(scratch)
        if is_there:
            _empty_into(scratch, target)
        else:
            scratch.rename(target)  # one that somebody made and filled meanwhile refuses
    except OSError as error:
        _undo(scratch, made)
        raise StoreError(f"{target} cannot be made: {error.strerror}", hint="choose another directory") from error
    except BaseException:
        _undo(scratch, made)
        raise
    return filled


def _empty_into(scratch: Path, target: Path) -> None:
    for path in scratch.iterdir():
        path.rename(target / path.name)  # what somebody else made there meanwhile refuses
    scratch.rmdir()


def _missing(directory: Path) -> list[Path]:
    """Return the directories that would have to be made, the innermost first."""
    return [path for path in (directory, *directory.parents) if not path.exists()]


def _undo(scratch: Path, made: list[Path]) -> None:
    shutil.rmtree(scratch, ignore_errors=True)
    for directory in made:
        with contextlib.suppress(OSError):  # somebody else uses it by now
            directory.rmdir()
