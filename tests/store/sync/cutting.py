"""A remote whose connection is cut at the n-th request, before or after the server has done what was asked."""

from __future__ import annotations

import threading

from kitaru.errors import RemoteUnreachable

REQUESTS = ("create", "get", "exists", "size", "listing", "chunks", "now_us", "is_exclusive", "children", "delete")


class Cut:
    """A `RemoteBlobs` that passes everything on until the connection is gone.

    Args:
        remote: the real one.
        at: number of the request, from 0, at which it is cut.
        after: when the server has done it, and only the answer is lost.
    """

    def __init__(self, remote, at, *, after):
        self._remote, self._at, self._after = remote, at, after
        self._guard = threading.Lock()
        self.requests, self.is_cut = 0, False

    def __getattr__(self, name):
        found = getattr(self._remote, name)
        if name not in REQUESTS:
            return found

        def request(*args, **kwargs):
            mine = self._next()
            if mine is None or (mine and not self._after):
                raise RemoteUnreachable("the connection was cut")
            result = found(*args, **kwargs)
            if name in ("listing", "chunks"):
                result = iter(list(result))
            if mine:
                raise RemoteUnreachable("the connection was cut")
            return result

        return request

    def _next(self):
        """Return whether the next request is the one; None when the connection is gone."""
        with self._guard:
            if self.is_cut:
                return None
            self.is_cut = self.requests == self._at
            self.requests += 1
            return self.is_cut
