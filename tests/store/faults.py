"""A file layer that counts what it does, and fails or dies where it is told to."""

from __future__ import annotations

import errno
import os
import threading

from kitaru.blobs import OsFiles

WRITING = ("open", "pwrite", "fsync", "fdatasync", "ftruncate", "fchmod", "link", "unlink", "mkdir", "rmdir")


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
        real = getattr(OsFiles, name)

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
                return real(*args)
            finally:
                if number == self.die_at:
                    self.dead = True
                    raise Died

        return call

    def _die(self, name, args):
        self.dead = True
        if name == "pwrite":
            OsFiles.pwrite(args[0], args[1][: len(args[1]) // 2], args[2])
        raise Died

    def count(self, name):
        return self.calls.count(name)


ENOSPC, EIO, EROFS, EACCES = errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES
