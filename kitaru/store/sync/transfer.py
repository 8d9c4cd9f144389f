"""A remote as a push or pull uses it: many requests at once, counted, and told to whoever shows how far it is.

Owns: the threads. Knows nothing of what is copied.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from types import TracebackType

    from kitaru.blobs.contract import Content, Listed, Piece, RemoteBlobs
    from kitaru.store.sync.results import Tell

T = TypeVar("T")
U = TypeVar("U")

THREADS = 16
MANY = 50
"""So many questions whether something is there cost more than a listing of all that is."""
PIECE = 18 * 1024 * 1024
"""What is larger goes piece by piece; a bucket takes pieces of this size as they lie, and copies others."""
PAGE = 1000
"""So many keys come with one answer to a request for a listing."""


class Transfer:
    """A remote, many requests at once; a context.

    Args:
        remote: the place.
        tell: is told of what is copied.

    Attributes:
        requests, files, bytes: how many were sent, and copied.
    """

    def __init__(self, remote: RemoteBlobs, tell: Tell) -> None:
        self.remote, self._tell = remote, tell
        self.requests = self.files = self.bytes = 0
        self._guard = Lock()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="kitaru-sync")
        self._alone = ThreadPoolExecutor(1, thread_name_prefix="kitaru-sync-large")

    def __enter__(self) -> Transfer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._alone.shutdown(cancel_futures=True)

    def each(self, act: Callable[[T], U], items: Iterable[T]) -> list[U]:
        """Do something with each of some items, at once; the first failure is raised, and nothing new begun then."""
        futures = [self._pool.submit(act, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def alone(self, act: Callable[[], T]) -> T:
        """Do what takes much memory, one such thing at a time.

        Always on the same thread: what one has freed, glibc keeps for it, and sixteen would keep sixteen times as much.
        """
        return self._alone.submit(act).result()

    # -- requests ------------------------------------------------------------------------------------------------

    def listing(self, prefix: str) -> list[Listed]:
        """Return what is below a prefix."""
        found = list(self.remote.listing(prefix))
        self.count(requests=1 + len(found) // PAGE)
        return found

    def get(self, key: str, limit: int) -> bytes:
        """Return the bytes at a key; raises as `Blobs.get`."""
        self.count(requests=1)
        return self.remote.get(key, limit=limit)

    def exists(self, key: str) -> bool:
        """Tell whether something is at a key."""
        self.count(requests=1)
        return self.remote.exists(key)

    def there(self, keys: Collection[str]) -> set[str]:
        """Return those of some keys at which something is."""
        if len(keys) > MANY:
            listed = self.each(self.listing, sorted({key.partition("/")[0] for key in keys}))
            return {item.key for found in listed for item in found}.intersection(keys)
        asked = sorted(keys)
        return {key for key, found in zip(asked, self.each(self.exists, asked), strict=True) if found}

    def create(self, key: str, data: Content, size: int) -> bool:
        """Put something at a key, exclusively; False if there is something, which stays as it is."""
        self.count(requests=1)
        large = size > PIECE and isinstance(data, bytes | memoryview)
        won = self.remote.create(key, self._pieces(memoryview(data)) if large else data)  # type: ignore[arg-type]  # bytes
        if won:
            self.copied(key, size, told=size if large else 0)
        return won

    def _pieces(self, data: memoryview) -> Iterator[Piece]:
        """Yield what is large piece by piece, told as it goes."""
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            yield piece
            self._tell_part(len(piece))

    def chunks(self, key: str, limit: int) -> Iterator[Piece]:
        """Yield the bytes at a key piece by piece, told as they come."""
        self.count(requests=1)
        for piece in self.remote.chunks(key, limit=limit):
            self.count(size=len(piece))
            self._tell_part(len(piece))
            yield piece
            del piece  # or it would be in memory until the next one is

    # -- how far it is -------------------------------------------------------------------------------------------

    def expect(self, files: int, size: int) -> None:
        """Tell that more is to be copied."""
        if files:
            with self._guard:
                self._tell("total", files=files, bytes=size)

    def copied(self, key: str, size: int, *, told: int = 0) -> None:
        """Tell that something was copied, so many of whose bytes were told already."""
        self.count(size=size)
        with self._guard:
            self.files += 1
            self._tell("done", key=key, bytes=size - told)

    def _tell_part(self, size: int) -> None:
        with self._guard:
            self._tell("part", bytes=size)

    def count(self, *, requests: int = 0, size: int = 0) -> None:
        """Count requests, and bytes copied."""
        with self._guard:
            self.requests += requests
            self.bytes += size
