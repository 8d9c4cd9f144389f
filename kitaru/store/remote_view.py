"""A remote as a store to read: listed once, names and segments fetched many at a time, then read as if they lay here.

Owns: what is fetched when, and where it is kept meanwhile. Can change nothing on the remote. Knows nothing of what the
bytes mean, but that names and segments are small and many, and objects large: these come one by one, when looked at.

Content is listed before names: what comes later is nobody's candidate (see `reach`), and what names it then is there to
be read all the same.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kitaru.blobs.contract import check_key
from kitaru.blobs.local import LocalBlobs
from kitaru.errors import Damaged
from kitaru.store import layout, names, runs
from kitaru.store.kinds import KINDS
from kitaru.store.repository import Repository
from kitaru.store.verified import Verified

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from types import TracebackType

    from kitaru.blobs.contract import Listed, RemoteBlobs, Workspace

THREADS = 16
CONTENT = (layout.SEGMENTS, layout.OBJECTS)
NAMES = tuple(kind.directory for kind in KINDS)
_ASIDE = (layout.CLAIMS, layout.TMP, layout.PACKS, layout.LOST)


class RemoteView:
    """A remote as `Repository` reads it; a context, for it keeps what it fetched in a directory of its own.

    Args:
        remote: the place.
        near: returns the verified bytes of a segment that is known to be here as well, or None; by default nothing is.

    Attributes:
        listed: all that is there, by key, as of the last `look`.
        odd: keys there that no store makes.
    """

    def __init__(self, remote: RemoteBlobs, near: Callable[[str], bytes | None] | None = None) -> None:
        self._remote, self._near = remote, near
        self.listed: dict[str, Listed] = {}
        self.odd: list[str] = []
        self._children: dict[str, set[str]] = {}
        self._names: dict[str, bytes] = {}
        self._kept = tempfile.TemporaryDirectory(prefix="kitaru-remote-")
        self._fetched: set[str] = set()
        self._segments = LocalBlobs(Path(self._kept.name), durable=False)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="kitaru-view")

    def __enter__(self) -> RemoteView:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._kept.cleanup()

    def look(self) -> None:
        """List what is there now, and fetch the names and segments that are new."""
        found = [item for directory in self._pool.map(self._list, CONTENT) for item in directory]
        found += [item for directory in self._pool.map(self._list, (*NAMES, *_ASIDE)) for item in directory]
        self.odd = [item.key for item in found if not _is_key(item.key)]
        self.listed = {item.key: item for item in found if _is_key(item.key)}
        self._children = _tree(self.listed)
        self._fetch_all(self._name, self._new(NAMES, self._names))
        self._fetch_all(self._segment, self._new((layout.SEGMENTS,), self._fetched))

    def _list(self, directory: str) -> list[Listed]:
        return list(self._remote.listing(directory))

    def _new(self, directories: Iterable[str], known: Collection[str]) -> list[str]:
        wanted = tuple(f"{directory}/" for directory in directories)
        return [key for key in self.listed if key.startswith(wanted) and key not in known]

    def _fetch_all(self, fetch: Callable[[str], None], keys: list[str]) -> None:
        for _ in self._pool.map(fetch, keys):
            pass

    def _name(self, key: str) -> None:
        if self.listed[key].size <= names.MAX_NAME:  # who reads a larger one is told
            try:
                self._names[key] = self._remote.get(key, limit=names.MAX_NAME)
            except KeyError:  # gone since it was listed
                self._forget(key)

    def _segment(self, key: str) -> None:
        segment = "".join(key.split("/")[1:])
        if self.listed[key].size > runs.MAX_SEGMENT or not layout.is_object_id(segment):
            return
        near = self._near(segment) if self._near else None
        try:
            self._segments.create(key, near if near is not None else self._remote.chunks(key, limit=runs.MAX_SEGMENT))
            self._fetched.add(key)
        except KeyError:
            self._forget(key)

    def _forget(self, key: str) -> None:
        self.listed.pop(key, None)
        directory, _, name = key.rpartition("/")
        self._children.get(directory, set()).discard(name)

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, key: str, *, limit: int | None = None, start: int = 0) -> bytes:
        """Return the bytes at a key, as `Blobs.get`."""
        if key in self._names:
            return self._names[key][start:]
        if key in self._fetched:
            return self._segments.get(key, limit=limit, start=start)
        return self._remote.get(key, limit=limit, start=start)

    def view(self, key: str) -> bytes | memoryview:
        """Return the bytes of a blob, as `Blobs.view`."""
        if key in self._fetched:
            return self._segments.view(key)
        size, segments = self.size(key), f"{layout.SEGMENTS}/"
        if size > runs.MAX_SEGMENT and key.startswith(segments):  # so large that it was not fetched
            raise Damaged(self.where(key), f"{size} bytes, where at most {runs.MAX_SEGMENT} belong")
        if key.startswith(f"{layout.OBJECTS}/"):
            return self._large(key)
        return self._names[key] if key in self._names else self._remote.view(key)

    def _large(self, key: str) -> memoryview | bytes:
        """Return a large object's file, mapped: verified on its way to the disk, and never in memory as a whole."""
        pieces = Verified(self._remote.chunks(key), "".join(key.split("/")[1:]), self.where(key))
        self._segments.create(key, pieces)
        try:
            return self._segments.view(key)
        finally:
            self._segments.delete(key)  # what is mapped stays as long as somebody looks at it

    def exists(self, key: str) -> bool:
        """Tell whether something was at a key."""
        return key in self.listed

    def size(self, key: str) -> int:
        """Return how many bytes are at a key, listed or come since; KeyError when there is nothing."""
        item = self.listed.get(key)
        return item.size if item is not None else self._remote.size(key)

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield all keys below a prefix, sorted."""
        yield from sorted(key for key in self.listed if key.startswith(f"{prefix}/"))

    def children(self, prefix: str) -> list[str]:
        """Return the names one level below a prefix, sorted."""
        return sorted(self._children.get(prefix, ()))

    def where(self, key: str) -> str:
        """Return the URL of a key."""
        return self._remote.where(key)

    def stamp(self, key: str) -> int:
        """Return when a blob was written, by the clock of the remote; KeyError when nothing was there."""
        return self.listed[key].changed_us

    def is_locked(self, name: str) -> bool:
        """Nothing executes there."""
        return False


def as_store(view: RemoteView) -> Repository:
    """Return a remote as a store, which can only be read.

    Raises:
        UnknownFormat: it is none, or one of another version.
    """
    return Repository.open(cast("Workspace", view))  # it reads as one, and whoever only reads asks for no more


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except ValueError:
        return False
    return True


def _tree(keys: Iterable[str]) -> dict[str, set[str]]:
    """Return the names one level below each directory."""
    found: dict[str, set[str]] = {}
    for key in keys:
        while key:
            directory, _, name = key.rpartition("/")
            if name in found.setdefault(directory, set()):
                break
            found[directory].add(name)
            key = directory  # noqa: PLW2901 - upwards
    return found
