"""What every repair does by hand: tell of it, put a file aside in `lost/`, see whether a name can be read.

Owns: where what is damaged goes, and that nothing is done where a repair is only tried. Knows nothing of why something
is damaged, or how it is mended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.errors import Damaged
from kitaru.store import layout, names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kitaru.store.names import SegmentName
    from kitaru.store.repository import Repository


@dataclass(frozen=True, slots=True)
class Repaired:
    """Something that was mended, or would be: the file, and what was done about it."""

    where: str
    did: str


class Mending:
    """A repair of one store.

    Args:
        repo: the store.
        nonce: makes the names under which damage is put aside.
        now: microseconds since 1970 UTC.
        dry_run: only tell.
    """

    def __init__(self, repo: Repository, nonce: Callable[[], str], now: int, *, dry_run: bool) -> None:
        self.repo, self.blobs, self.nonce, self.now = repo, repo.blobs, nonce, now
        self.is_dry = dry_run
        self.done: list[Repaired] = []
        self._nameless: set[str] = set()

    def tell(self, key: str, did: str) -> bool:
        """Note what is done; tell whether it is to be done."""
        self.done.append(Repaired(self.blobs.where(key), did))
        return not self.is_dry

    def put_aside(self, key: str) -> None:
        """Move a file to `lost/`."""
        self.blobs.move(key, self.aside(key))

    def aside(self, key: str) -> str:
        """Return a new key in `lost/` for what lies at this one."""
        plain = "-".join(layout.escape(part)[:40].replace("/", "-") for part in key.split("/")[-3:])
        return f"{layout.LOST}/damaged-{plain}-{self.nonce()}"

    def runs(self, directory: str) -> Iterator[str]:
        """Yield the runs of a directory; what is no run's is put aside."""
        for part in self.blobs.children(directory):
            try:
                yield layout.unescape(part)
            except ValueError:
                self.put_nameless_aside(f"{directory}/{part}")

    def put_nameless_aside(self, directory: str, why: str = "no run has such a name") -> None:
        """Move all that is in a directory to `lost/`, and the directory away; once."""
        if directory in self._nameless:
            return
        self._nameless.add(directory)
        if self.tell(directory, f"{why}: put aside"):
            keys = list(self.blobs.keys(directory))
            for key in keys:
                self.put_aside(key)
            for empty in sorted({directory, *(key.rpartition("/")[0] for key in keys)}, key=len, reverse=True):
                self.blobs.prune(empty)

    def names_of(self, run: str) -> list[SegmentName]:
        """Return those of a run's names that can be read."""
        found = []
        for part in self.blobs.children(layout.run_key(run)):
            number = layout.number_of(part)
            try:
                if number is not None:
                    found.append(names.segment_name(self.blobs, run, number))
            except Damaged:
                continue
        return sorted(found, key=lambda name: name.number)
