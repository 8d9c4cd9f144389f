"""What is known of a remote since the last look: which names it has, and which of them are the same here.

Owns: the file `cache/remotes/<name>`, which may be deleted at any time: then all is compared again. Knows nothing of
how stores are brought together.

Names never change, so what was the same once is the same for ever. That is why a push with nothing new asks for
listings only.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from typing import TYPE_CHECKING

from kitaru.blobs.files import private_directory
from kitaru.store import layout

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kitaru.blobs.contract import Workspace

_MAX = 1 << 28
_SAME, _THERE = "=", "+"
_DIRECTORY = "remotes"


class Tracking:
    """What one store knows of one remote.

    Args:
        path: the file; None keeps it in memory only.
        name: what the remote is called here.
        place: where it is; what is known of another place is forgotten.

    Attributes:
        at: when the remote was last looked at, microseconds since 1970 UTC; None for never.
        there: keys of the names that it had then.
        same: those of them that are the same here.
        exclusive: whether it was tried, from here, that it tells who of two writers was first.
    """

    def __init__(self, path: Path | None, name: str, place: str) -> None:
        self._path, self.name, self.place = path, name, place
        self.at: int | None = None
        self.exclusive = False
        self.there: set[str] = set()
        self.same: set[str] = set()
        if path is not None:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                self._read(path.read_bytes()[:_MAX])

    @classmethod
    def open(cls, blobs: Workspace, name: str, place: str) -> Tracking:
        """Return what a store knows of a remote."""
        directory = blobs.scratch
        return cls(directory / _DIRECTORY / layout.escape(name) if directory else None, name, place)

    def _read(self, data: bytes) -> None:
        head, _, body = data.partition(b"\n")
        said = json.loads(head)
        if said["place"] != self.place or said["check"] != zlib.crc32(body) or type(said["at"]) is not int:
            return
        lines = body.decode().splitlines()
        self.at, self.exclusive = said["at"], said.get("exclusive") is True
        self.there = {line[1:] for line in lines}
        self.same = {line[1:] for line in lines if line[0] == _SAME}

    def save(self) -> None:
        """Keep it for the next process; a disk that refuses costs the next one a longer look."""
        if self._path is None or self.at is None:
            return
        body = "".join(f"{_SAME if key in self.same else _THERE}{key}\n" for key in sorted(self.there)).encode()
        said = {"at": self.at, "check": zlib.crc32(body), "exclusive": self.exclusive, "place": self.place}
        head = json.dumps(said).encode()
        with contextlib.suppress(OSError):
            private_directory(self._path.parent)
            scratch = self._path.with_name(f".{self._path.name}-{os.getpid()}")
            with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(head + b"\n" + body)
            scratch.replace(self._path)

    def forget(self) -> None:
        """Remove what is known, with the remote."""
        self.at, self.exclusive, self.there, self.same = None, False, set(), set()
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def looked(self, keys: Iterable[str], at: int) -> None:
        """Note what a remote has now. Where a name is gone that no gc removes, it is another store than it was."""
        found = set(keys)
        gone = self.same - found
        if any(not key.startswith(_REMOVED) for key in gone):
            self.same = set()
        self.same &= found
        self.there, self.at = found, at

    def match(self, key: str) -> None:
        """Note that a name is there, and the same here."""
        self.there.add(key)
        self.same.add(key)

    def has_run(self, run: str) -> bool:
        """Tell whether the remote had this run when it was last looked at."""
        return layout.run_key(run, 1) in self.there

    def segments_of(self, run: str) -> int:
        """Return how many segments of a run the remote had when it was last looked at."""
        number = 0
        while layout.run_key(run, number + 1) in self.there:
            number += 1
        return number


_REMOVED = (f"{layout.RUNS}/", f"{layout.ANSWERS}/", f"{layout.CANCELS}/", f"{layout.PARTED}/", f"{layout.QUEUE}/")
"""Where gc removes names: those of runs that were pruned."""
