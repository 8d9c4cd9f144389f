# A model of a disk speaks in system calls and in paths as text, as the code under test does:
# ruff: noqa: PTH101, PTH108, PTH110, PTH112, PTH115, PTH116, PTH120, PTH123
"""A file layer that counts what it does, and fails or dies where it is told to."""

from __future__ import annotations

import errno
import os
import shutil
import threading

from kitaru.blobs import OsFiles

WRITING = (
    *("open", "pwrite", "fsync", "fdatasync", "ftruncate", "fchmod"),
    *("link", "unlink", "mkdir", "rmdir", "utime", "replace"),
)


class Died(BaseException):
    """The process is gone: nothing after this call happens."""


class FaultyFiles:
    """The real calls, recorded in order.

    Args:
        fail: name of a call to errno: every such call fails.
        die_at: the number of the call, from 0, at which the process dies; a write is then half done.
        after: die after that call instead of before it.
    """

    def __init__(self, *, fail=None, die_at=None, after=False):
        self.calls = []
        self.fail = dict(fail or {})
        self.die_at, self.after = die_at, after
        self.dead = False
        self._guard = threading.Lock()

    def __getattr__(self, name):
        if name not in WRITING:
            raise AttributeError(name)

        def call(*args):
            with self._guard:
                number = len(self.calls)
                self.calls.append(name)
            if self.dead:
                raise Died
            if name in self.fail:
                raise OSError(self.fail[name], os.strerror(self.fail[name]))
            if number == self.die_at and not self.after:
                self._die(name, args)
            try:
                return self._real(name, args)
            finally:
                if number == self.die_at:
                    self.dead = True
                    raise Died

        return call

    def _real(self, name, args):
        return getattr(OsFiles, name)(*args)

    def _die(self, name, args):
        self.dead = True
        if name == "pwrite":
            OsFiles.pwrite(args[0], args[1][: len(args[1]) // 2], args[2])
        raise Died

    def count(self, name):
        return self.calls.count(name)


ENOSPC, EIO, EROFS, EACCES = errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES


class PowerLoss(FaultyFiles):
    """When the process dies the power fails too: what was not synced is gone, bytes as well as names.

    A model of a strict disk: a file has the bytes it had at its last sync, a directory the names.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._bytes = {}  # inode: bytes at the last sync
        self._names = {}  # directory: names made in it since its last sync
        self._paths = {}  # inode: a path it has
        self._replaced = {}  # directory: (path, bytes that were there), since its last sync

    def _real(self, name, args):
        if name == "replace":
            self._keep_replaced(*args)
        result = super()._real(name, args)
        if name in ("fsync", "fdatasync"):
            self._synced(args[0])
        elif name == "open":
            self._named(args[0])
            self._track(result, args[0])
        elif name in ("link", "mkdir"):
            self._named(args[-1] if name == "link" else args[0])
            if name == "link":
                self._paths.setdefault(os.stat(args[1]).st_ino, []).append(args[1])
        return result

    def _keep_replaced(self, source, target):
        self._paths.setdefault(os.stat(source).st_ino, []).append(target)
        with open(target, "rb") as file:
            self._replaced.setdefault(os.path.dirname(target), []).append((target, file.read()))

    def _track(self, fd, path):
        inode = os.fstat(fd).st_ino
        self._bytes[inode] = b""
        self._paths[inode] = [path]

    def _named(self, path):
        self._names.setdefault(os.path.dirname(path), []).append(path)

    def _synced(self, fd):
        path = os.readlink(f"/proc/self/fd/{fd}")
        if os.path.isdir(path):
            self._names.pop(path, None)
            self._replaced.pop(path, None)
            return
        with open(path, "rb") as file:
            self._bytes[os.fstat(fd).st_ino] = file.read()

    def fail_power(self):
        """Let what was not synced be gone."""
        for inode, content in self._bytes.items():
            for path in self._paths[inode]:
                if os.path.exists(path) and os.stat(path).st_ino == inode:
                    os.chmod(path, 0o600)
                    with open(path, "wb") as file:
                        file.write(content)
        for path, content in [item for items in self._replaced.values() for item in reversed(items)]:
            os.unlink(path)
            with open(path, "wb") as file:
                file.write(content)
        for names in self._names.values():
            for path in sorted(names, reverse=True):
                shutil.rmtree(path) if os.path.isdir(path) else os.path.lexists(path) and os.unlink(path)
