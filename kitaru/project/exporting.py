"""Writing a recorded snapshot's files where a person wants them.

Owns: that nothing is written outside of the directory, nor over anything without leave. The files come from a store,
and nobody vouches for their names.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kitaru.errors import StoreError, UsageError
from kitaru.runtime.entry import python_path

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_NAMED = 3
"""Files in the way that an error names."""


def write_files(files: Mapping[str, bytes], directory: Path, *, force: bool) -> list[Path]:
    """Write files below a directory, which is made where needed; what is there already with the same bytes stays.

    Returns:
        Their paths.

    Raises:
        CodeUnloadable: a path leads elsewhere, or is of no Python file; nothing was written.
        UsageError: a file is in the way, and `force` is not set; nothing was written.
        StoreError: a file cannot be written.
    """
    places = {directory / python_path(path): data for path, data in files.items()}
    wanted = [place for place, data in places.items() if not _holds(place, data)]
    in_the_way = [place for place in wanted if os.path.lexists(place)]
    if in_the_way and not force:
        named = ", ".join(map(str, in_the_way[:MAX_NAMED]))
        more = f" and {len(in_the_way) - MAX_NAMED} more" if len(in_the_way) > MAX_NAMED else ""
        raise UsageError(
            f"{named}{more} {'are' if len(in_the_way) > 1 else 'is'} there already, with other content",
            hint="write to another directory, or over them with --force",
        )
    for place in wanted:
        _write(place, places[place], directory)
    return list(places)


def _holds(place: Path, data: bytes) -> bool:
    try:
        return not place.is_symlink() and place.read_bytes() == data
    except OSError:
        return False


def _write(place: Path, data: bytes, directory: Path) -> None:
    """Write a file whole, in the place of whatever has its name; a link there is replaced and not followed."""
    part = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if directory.resolve() not in (place.parent.resolve(), *place.parent.resolve().parents):
            raise UsageError(f"{place} leads out of {directory}, by a link", hint="write to another directory")
        part.write_bytes(data)
        part.replace(place)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        told = f"{place} cannot be written: {error.strerror or error}"
        raise StoreError(told, hint="write to another directory") from error
