"""What a place that keeps write-once bytes can do, and what more a place where runs execute can.

Owns: the protocols and what a key may look like. Knows nothing of what the bytes mean.
Invariant: once `create` has returned True, the blob survives power loss (where the place is durable), and nobody else's
`create` of that key ever succeeds. A reader sees a blob whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

Piece: TypeAlias = bytes | bytearray | memoryview
Content: TypeAlias = Piece | Iterable[Piece]
"""What a blob is made of: all of it, or piece by piece."""

MAX_KEY_PART_BYTES = 255


def check_key(key: str) -> str:
    """Return `key` if it is one: parts joined by `/`, none of them empty, `.`, `..`, longer than a file's name may be.

    Raises:
        ValueError: it is not, for instance because it would leave the place it belongs to.
    """
    if "\0" in key or "\\" in key:
        raise ValueError(f"{key!r} is not a key: it has a character that no key has")
    for part in key.split("/"):
        if part in {"", ".", ".."} or len(part.encode("utf-8", "surrogateescape")) > MAX_KEY_PART_BYTES:
            raise ValueError(f"{key!r} is not a key: {part!r} cannot be part of one")
    return key


def pieces(data: Content) -> Iterable[Piece]:
    """Return content as an iterable of its pieces."""
    return [data] if isinstance(data, bytes | bytearray | memoryview) else data


class Blobs(Protocol):
    """Bytes at keys such as `a/b/c`. Every method may raise `StoreError` when the place itself fails."""

    def create(self, key: str, data: Content) -> bool:
        """Put `data` at `key`, exclusively and durably; False if there is already something, which stays as it is."""

    def get(self, key: str, *, limit: int | None = None, start: int = 0) -> bytes:
        """Return the bytes at `key`, from `start` on.

        Raises:
            KeyError: there is nothing.
            Damaged: there are more than `limit` bytes.
        """

    def view(self, key: str) -> bytes | memoryview:
        """Return the bytes of a blob that will not change any more, without copying where that can be had."""

    def exists(self, key: str) -> bool:
        """Tell whether something is at `key`."""

    def size(self, key: str) -> int:
        """Return how many bytes are at `key`; KeyError when nothing is."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield all keys below `prefix`, sorted."""

    def children(self, prefix: str) -> list[str]:
        """Return the names one level below `prefix`, sorted."""

    def delete(self, key: str) -> None:
        """Remove what is at `key`, if anything: for what is scratch or has been kept elsewhere, never for a name."""

    def settle(self, key: str, *, content: bool = False) -> None:
        """Make a name that was found durable, before it is relied on; with `content`, its bytes too."""

    def where(self, key: str) -> str:
        """Return how a user would find `key`: the path of the file, or its URL, for messages."""


class Listed(NamedTuple):
    """A blob as a listing tells of it: `changed_us` is when it was written, by the clock of the place."""

    key: str
    size: int
    changed_us: int


class Unfinished(NamedTuple):
    """What somebody began to write, and nobody can read: it takes room until it is finished or given up.

    `begun_us` is by the clock of the place. `give_up()` frees the room, and has whoever is at it still fail; False if
    there is nothing to give up any more.
    """

    key: str
    begun_us: int
    give_up: Callable[[], bool]


class RemoteBlobs(Blobs, Protocol):
    """A place that other machines write to as well: a bucket, or a shared folder. Safe between threads.

    Nothing executes there, so there are no locks and nothing grows; what a listing or a read returns is never stale.
    """

    @property
    def url(self) -> str:
        """What it was opened by, less anything secret."""

    @property
    def max_key_bytes(self) -> int | None:
        """How long a key may be there; None where no key of a store is too long."""

    def listing(self, prefix: str) -> Iterator[Listed]:
        """Yield all below `prefix`, sorted by key; `prefix` is a whole number of key parts, or empty for all."""

    def unfinished(self) -> Iterable[Unfinished]:
        """Return what was begun to be written and is at no key; nothing where that cannot be, or is told to nobody.

        A place whose writers put what is unfinished below `tmp/` has none: whoever sweeps there removes it.
        """

    def chunks(self, key: str, *, limit: int | None = None) -> Iterator[bytes]:
        """Yield the bytes at `key` piece by piece, for what may be large; raises as `get` does."""

    def now_us(self) -> int:
        """Return the time by the clock of the place, microseconds since 1970 UTC: the one that `changed_us` is of."""

    def is_exclusive(self) -> bool:
        """Try out whether `create` lets exactly one of several writers win, with scratch keys below `tmp/`."""


class Appender(Protocol):
    """A new file that only its creator writes. `append` is called by one thread at a time, `sync` by any.

    After a failed write or sync every later call raises the same error, and the file is not touched again.
    """

    @property
    def size(self) -> int:
        """How many bytes were appended."""

    @property
    def synced(self) -> int:
        """How many of them are known to be durable."""

    def append(self, data: bytes) -> int:
        """Write `data` at the end, and return where the end is then."""

    def sync(self, upto: int) -> None:
        """Return when the first `upto` bytes are durable; threads that call at once share one sync."""

    def finish(self) -> None:
        """Make everything durable, give the file exactly its size, and write it no more."""

    def close(self) -> None:
        """Write it no more, and leave it as it is."""


class Lock(Protocol):
    """A lock held; it goes with the process that took it, at the latest."""

    def release(self) -> None:
        """Let go; again is harmless."""


class Workspace(Blobs, Protocol):
    """What only a place where runs execute has: files that grow, and locks."""

    @property
    def directory(self) -> Path | None:
        """Where it lies, for other processes of this machine to open it too; None if only this process has it."""

    @property
    def durable(self) -> bool:
        """Whether what was written survives power loss."""

    @property
    def scratch(self) -> Path | None:
        """A local directory for what can be made again at any time; None if there is no disk."""

    def appender(self, key: str) -> Appender:
        """Make a new file at `key`, its name durable; StoreError if there is one."""

    def stage(self, key: str, data: Content) -> bool:
        """As `create`, but what is put there may vanish with the power until `settle` was called with the key."""

    def adopt(self, source: str, key: str) -> bool:
        """Let the finished file at `source` be the blob at `key` too, without a copy; False if `key` is taken."""

    def move(self, key: str, to: str) -> None:
        """Put a blob out of the way, under a name nobody has: how damage is kept without being in the way."""

    def replace(self, key: str, data: bytes, kept: str) -> None:
        """Put what is right in the place of a damaged blob, kept as `kept`: one of both is there at any time."""

    def stamps(self, prefix: str, names: Collection[str] | None = None) -> dict[str, int]:
        """Return for each name one level below `prefix`, or each of `names` that is there, a number that changes when
        something is added below it.
        """

    def stamp(self, key: str) -> int:
        """Return a number that `freshen` changes and nothing else: a file's time; KeyError if nothing is there."""

    def freshen(self, key: str) -> bool:
        """Give a file a new stamp, for somebody relies on it from now on; False if there is none."""

    def prune(self, prefix: str) -> None:
        """Remove the directory `prefix` if it is empty, where there are directories; never an error."""

    def lock(self, name: str, *, wait_s: float = 0.0) -> Lock | None:
        """Take a lock, trying for `wait_s`; None when another holds it, be it another thread of this process."""

    def is_locked(self, name: str) -> bool:
        """Tell whether a lock is held, leaving no trace."""
