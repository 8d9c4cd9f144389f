"""What is known of a remote since the last look: which names it has, and which of them are the same here.

Owns: the file `cache/remotes/<name>`, which may be deleted at any time: then all is compared again. Knows nothing of
how stores are brought together.

Names never change, so what was the same once is the same for ever. That is why a push with nothing new asks for
listings only. It holds as long as there is the same store: that one name was written there when it was written the last
time that somebody looked tells that much.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.blobs.files import private_directory
from kitaru.store import layout

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from kitaru.blobs.contract import Workspace

_MAX = 1 << 28
_SAME, _THERE = "=", "+"
_DIRECTORY = "remotes"


@dataclass(frozen=True, slots=True)
class Unsettled:
    """What a push has not seen to yet: that gc took nothing away there before the names led to it (see `guarding`).

    Attributes:
        seen: the last entry in `gc/` that it knows of.
        keys: of what it wrote or found there.
        runs: that it named, with all that they are.
    """

    seen: int
    keys: frozenset[str]
    runs: frozenset[str]

    def plain(self) -> dict[str, object]:
        """Return it as JSON holds it."""
        return {"seen": self.seen, "keys": sorted(self.keys), "runs": sorted(self.runs)}


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
        anchor: one of those that are the same, and when it was written there; None where none is known yet.
        unsettled: of pushes that were cut short, or of the one at work.
    """

    def __init__(self, path: Path | None, name: str, place: str) -> None:
        self._path, self.name, self.place = path, name, place
        self.at: int | None = None
        self.exclusive = False
        self.anchor: tuple[str, int] | None = None
        self.unsettled: Unsettled | None = None
        self.there: set[str] = set()
        self.same: set[str] = set()
        self._stamps: Mapping[str, int] = {}
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
        key, stamp = said["anchor"] or ("", 0)
        self.anchor = (str(key), int(stamp)) if key else None
        lines = body.decode().splitlines()
        self.at, self.exclusive = said["at"], said.get("exclusive") is True
        left = said.get("unsettled")
        self.unsettled = Unsettled(left["seen"], frozenset(left["keys"]), frozenset(left["runs"])) if left else None
        self.there = {line[1:] for line in lines}
        self.same = {line[1:] for line in lines if line[0] == _SAME}

    def save(self) -> None:
        """Keep it for the next process; a disk that refuses costs the next one a longer look."""
        if self._path is None or self.at is None:
            return
        self.settle(self._stamps)
        body = "".join(f"{_SAME if key in self.same else _THERE}{key}\n" for key in sorted(self.there)).encode()
        said: dict[str, object] = {
            "anchor": self.anchor,
            "at": self.at,
            "check": zlib.crc32(body),
            "exclusive": self.exclusive,
            "place": self.place,
        }
        if self.unsettled is not None:
            said["unsettled"] = self.unsettled.plain()
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
        self.anchor = self.unsettled = None
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def looked(self, stamps: Mapping[str, int], at: int) -> None:
        """Note what names a remote has now, and when each was written; where it is another store, forget what was."""
        if self._is_another(stamps):
            self.same, self.anchor, self.exclusive = set(), None, False
        self.same &= stamps.keys()
        self.there, self.at, self._stamps = set(stamps), at, stamps

    def _is_another(self, stamps: Mapping[str, int]) -> bool:
        """Tell whether the anchor is not what it was, or a name is gone that no gc removes."""
        if self.anchor is None or stamps.get(self.anchor[0]) != self.anchor[1]:
            return bool(self.same)
        return any(not key.startswith(_REMOVED) or not _is_pruned(key, stamps) for key in self.same - stamps.keys())

    def settle(self, stamps: Mapping[str, int]) -> None:
        """Choose the anchor, where there is none, among names that are the same and were written then."""
        if self.anchor is None:
            known = self.same & stamps.keys()
            key = min(known, key=lambda key: (key.startswith(_REMOVED), key), default=None)
            self.anchor = (key, stamps[key]) if key is not None else None

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


def forget(blobs: Workspace) -> None:
    """Forget what is known of all remotes: names here are not what they were, so all is compared again."""
    if blobs.scratch is not None:
        for path in (blobs.scratch / _DIRECTORY).rglob("*"):
            with contextlib.suppress(OSError):
                path.unlink()


_REMOVED = (f"{layout.RUNS}/", f"{layout.ANSWERS}/", f"{layout.CANCELS}/", f"{layout.PARTED}/", f"{layout.QUEUE}/")
"""Where gc removes names: those of runs that were pruned."""


def _is_pruned(key: str, keys: Collection[str]) -> bool:
    return f"{layout.PRUNED}/{key.split('/')[1]}" in keys
