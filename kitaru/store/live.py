"""What calls in flight write, where another process can read it while they execute.

Owns: one small file per executing run in the scratch directory, as lines of JSON. It is never synced, nothing depends
on it, and it is removed when the run lets go: what counts is in the run's records. A reader believes nothing of it that
has not the right form. A run that writes nothing has no such file.

The file is bounded: one that has grown too large begins anew, under the same name. Its first line tells one from the
next, for a file system gives numbers of files again.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from kitaru.blobs.files import private_directory
from kitaru.store import layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kitaru.blobs.contract import Workspace

DIRECTORY = "live"
MAX_FILE = 4 << 20
MAX_HELD = 4096
"""A line that is longer is written before it ends."""

MAX_READ = 1 << 20
_MAX_HEAD = 64
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_APPEND
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of what a call wrote.

    Attributes:
        order, began: which call, and which attempt of it.
        start: how many characters of this stream the attempt had written before.
        at: microseconds since 1970 UTC.
    """

    call: str
    order: int
    began: int
    stream: str
    start: int
    at: int
    text: str


_TYPES = {"call": str, "order": int, "began": int, "stream": str, "start": int, "at": int, "text": str}


def path_of(blobs: Workspace, run: str) -> Path | None:
    """Return where the output of a run in flight is, or would be; None where there is no disk."""
    return None if blobs.scratch is None else blobs.scratch / DIRECTORY / layout.run_part(run)


class LiveWriter:
    """Writes what calls write, by whole lines as far as they come; safe between threads. Never raises.

    Args:
        path: of the file, which is made when there is something to write; None writes nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._fd: int | None = None
        self._size = self._count = 0
        self._guard = threading.Lock()
        self._held: dict[tuple[int, str], Piece] = {}
        self._ends: dict[tuple[int, int, str], int] = {}

    def add(self, piece: Piece) -> None:
        """Take a piece, whose `start` is found here."""
        if self._path is None:
            return
        with self._guard, contextlib.suppress(OSError):
            self._add(piece)

    def _add(self, piece: Piece) -> None:
        place = piece.order, piece.began, piece.stream
        start = self._ends.get(place, 0)
        self._ends[place] = start + len(piece.text)
        held = self._held.pop((piece.order, piece.stream), None)
        if held is not None and held.began == piece.began:
            start, text = held.start, held.text + piece.text
        else:
            text = piece.text
        whole = Piece(piece.call, piece.order, piece.began, piece.stream, start, piece.at, text)
        if text.endswith(("\n", "\r")) or len(text) > MAX_HELD:
            self._write(whole)
        else:
            self._held[piece.order, piece.stream] = whole

    def flush(self, order: int) -> None:
        """Write what a call has written of lines that are not ended."""
        if not self._held:
            return
        with self._guard, contextlib.suppress(OSError):
            for place in [place for place in self._held if place[0] == order]:
                self._write(self._held.pop(place))

    def forget(self, order: int) -> None:
        """A call is over: what it wrote is in its record."""
        if not self._ends:
            return
        with self._guard:
            self._ends = {place: end for place, end in self._ends.items() if place[0] != order}
            self._held = {place: piece for place, piece in self._held.items() if place[0] != order}

    def _write(self, piece: Piece) -> None:
        line = json.dumps(asdict(piece)).encode("ascii") + b"\n"
        if self._fd is None or self._size + len(line) > MAX_FILE:
            self._begin()
        if self._fd is not None:
            self._size += os.write(self._fd, line)

    def _begin(self) -> None:
        """Make the file, anew where it has grown too large or a dead process left one."""
        assert self._path is not None  # noqa: S101 - nothing is added without one
        self._remove()
        private_directory(self._path.parent)
        self._fd = os.open(self._path, _WRITE, 0o600)
        self._count += 1
        self._size = os.write(self._fd, b"%d.%d\n" % (os.getpid(), self._count))

    def close(self) -> None:
        """Write no more, and remove the file."""
        if self._fd is not None:
            with self._guard, contextlib.suppress(OSError):
                self._remove()

    def _remove(self) -> None:
        assert self._path is not None  # noqa: S101 - as above
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._path.unlink(missing_ok=True)


class LiveReader:
    """Reads what calls in flight of another process write.

    Args:
        path: as of the writer; None has nothing to read.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._head = b""
        self._at = 0
        self._rest = b""

    def read(self) -> list[Piece]:
        """Return what has come since the last time, up to a limit; nothing where there is no file."""
        if self._path is None:
            return []
        try:
            fd = os.open(self._path, _READ)
        except OSError:
            return []
        try:
            return list(self._pieces(self._more(fd)))
        except OSError:
            return []
        finally:
            os.close(fd)

    def _more(self, fd: int) -> bytes:
        head, ended, _ = os.pread(fd, _MAX_HEAD, 0).partition(b"\n")
        if not ended:
            return b""
        if self._head != head:
            self._head, self._at, self._rest = head, len(head) + 1, b""
        data = os.pread(fd, MAX_READ, self._at)
        self._at += len(data)
        return data

    def _pieces(self, data: bytes) -> Iterator[Piece]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-MAX_READ:]
        for line in lines:
            with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):
                fields = json.loads(line)
                if fields.keys() == _TYPES.keys() and all(type(fields[name]) is kind for name, kind in _TYPES.items()):
                    yield Piece(**fields)
