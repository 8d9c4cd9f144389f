"""Bytecode of recorded code, kept so that a process need not compile what another has compiled before.

Owns: the entries in `cache/code/`, what they depend on, and how much room they take. Any of them may be deleted,
spoilt or cut short at any time: then the source is compiled. Knows nothing of stores, versions and modules.

An entry is found by the SHA-256 of the very bytes of a source, and of all else that decides what they compile to: so it
is never out of date, and who has looked at a source has looked at what its entry executes. It begins with a digest of
itself under its name, and nothing is unmarshalled that differs from that. This tells damage, not malice: like Python's
own `__pycache__`, the directory is its user's alone. `PYTHONDONTWRITEBYTECODE` is about files beside the source, and
changes nothing here.
"""

from __future__ import annotations

import _imp
import contextlib
import hashlib
import importlib.util
import marshal
import os
import stat
import sys
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING

from kitaru.blobs.files import private_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DIRECTORY = "code"
SIZE_LIMIT = 64 << 20
"""Bytes; where there are more, the oldest entries go."""

_FORM = b"kitaru code 1\n"
_HEAD = len(_FORM) + hashlib.sha256().digest_size
_MAX_ENTRY = 16 << 20
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Bytecode:
    """The entries of one store.

    Args:
        cache: the store's directory for what can be made again; None where it has no disk, and nothing is kept.
        limit: bytes that all entries together may take.
    """

    def __init__(self, cache: Path | None, *, limit: int = SIZE_LIMIT) -> None:
        self.cache = cache
        self._directory = None if cache is None else cache / DIRECTORY
        self._limit = limit
        self._unchecked = limit  # bytes written since it was last looked how many there are: others write, too

    def code_of(self, source: bytes, path: str, compile_it: Callable[[], CodeType]) -> CodeType:
        """Return what a source compiles to, from its entry if there is one; otherwise keep it. No failure matters.

        Args:
            source: the source, as it is in its file.
            path: where tracebacks find it.
            compile_it: compiles it as of that path.
        """
        if self._directory is None:
            return compile_it()
        key = key_of(source)
        code = _unpacked(key, _read(self._directory / key))
        if code is None:
            code = compile_it()
            self._keep(self._directory / key, code)
        else:
            _imp._fix_co_filename(code, path)  # type: ignore[attr-defined]  # as importlib does; typeshed does not know it
        return code

    def clear(self) -> None:
        """Remove all entries."""
        if self._directory is not None:
            import shutil

            shutil.rmtree(self._directory, ignore_errors=True)

    def _keep(self, path: Path, code: CodeType) -> None:
        with contextlib.suppress(OSError, ValueError):  # the latter: nested deeper than marshal goes
            entry = _packed(path.name, code)
            _write(private_directory(path.parent) / path.name, entry)
            self._unchecked += len(entry)
            if self._unchecked >= self._limit // 8:
                self._unchecked = 0
                _make_room(path.parent, self._limit)


def key_of(source: bytes) -> str:
    """Return the name of a source's entry, for this Python as it was started."""
    compiler = f"{sys.implementation.cache_tag} {importlib.util.MAGIC_NUMBER.hex()} {sys.flags.optimize}"
    return hashlib.sha256(compiler.encode() + b"\0" + hashlib.sha256(source).digest()).hexdigest()


def _packed(key: str, code: CodeType) -> bytes:
    data = marshal.dumps(code)
    return _FORM + _digest(key, data) + data


def _unpacked(key: str, entry: bytes) -> CodeType | None:
    data = entry[_HEAD:]
    if entry[:_HEAD] != _FORM + _digest(key, data):
        return None
    try:
        code = marshal.loads(data)  # noqa: S302 - what was written here, as its digest says
    except (EOFError, ValueError, TypeError):
        return None
    return code if isinstance(code, CodeType) else None


def _digest(key: str, data: bytes) -> bytes:
    return hashlib.sha256(key.encode() + data).digest()


def _read(path: Path) -> bytes:
    """Return a file's bytes; none where that cannot be, or it is no entry."""
    try:
        with os.fdopen(os.open(path, _READ), "rb") as file:
            found = os.fstat(file.fileno())
            return file.read() if stat.S_ISREG(found.st_mode) and found.st_size <= _MAX_ENTRY else b""
    except OSError:
        return b""


def _write(path: Path, entry: bytes) -> None:
    """Put a file there whole; with the power it may come to be cut short, which its digest tells."""
    import tempfile

    fd, made = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(entry)
        Path(made).replace(path)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise


def _make_room(directory: Path, limit: int) -> None:
    """Remove the oldest files, and a quarter more than need be, if all together are over the limit."""
    found = sorted(_files(directory))
    size = sum(entry[2] for entry in found)
    if size <= limit:
        return
    for _, path, freed in found:
        if size <= limit * 3 // 4:
            return
        Path(path).unlink(missing_ok=True)
        size -= freed


def _files(directory: Path) -> Iterator[tuple[int, str, int]]:
    """Yield of each file when it was written, its path and its size."""
    with os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # another process makes room, too
                found = entry.stat(follow_symlinks=False)
                yield found.st_mtime_ns, entry.path, found.st_size
