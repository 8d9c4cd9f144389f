"""What a push does for its part, so that gc on the remote never takes away what the push relies on.

Owns: looking at `gc/` before anything is found there and after all names are made, and putting back what is missing;
and that a push which is cut short in between is made good by the next one.
docs/format.md says why that is enough. Knows nothing of what is pushed: a key of a store says what belongs there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kitaru.errors import Damaged
from kitaru.model.moments import utc_text
from kitaru.notices import notice
from kitaru.store import layout, names, visits
from kitaru.store.sync.placing import must_get
from kitaru.store.sync.tracking import Unsettled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kitaru.store.repository import Repository
    from kitaru.store.sync.tracking import Tracking
    from kitaru.store.sync.transfer import Transfer

LOOK_EVERY_S = 1.0


class Guard:
    """One push's eye on gc.

    Args:
        repo: the store that is pushed from.
        transfer: the remote.
        tracking: keeps what is not seen to yet.
        wait: waits for so many seconds.
    """

    def __init__(
        self, repo: Repository, transfer: Transfer, tracking: Tracking, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self._repo, self._transfer, self._remote, self._wait = repo, transfer, transfer.remote, wait
        self._tracking, left = tracking, tracking.unsettled
        self._seen = self._last() if left is None else min(left.seen, self._last())

    def relies_on(self, keys: Iterable[str], runs: Iterable[str]) -> None:
        """Keep, before any name is made that leads there, what is to be seen to: also by the next push, if need be.

        Args:
            keys: of what was written or found there, names too.
            runs: that are named next.
        """
        left = self._tracking.unsettled or Unsettled(self._seen, frozenset(), frozenset())
        self._tracking.unsettled = Unsettled(self._seen, left.keys.union(keys), left.runs.union(runs))
        self._tracking.save()

    def settle(self, keys_of: Callable[[Iterable[str]], Iterable[str]], *, anyway: bool = False) -> None:
        """See to it, once all names are made, that what they lead to is there.

        Args:
            keys_of: returns the keys of all that runs are, names too; asked only if a gc may have removed something.
            anyway: look even if none has.

        Raises:
            RemoteError: the remote said no, or nothing.
            Damaged: something is gone there, and cannot be had here.
        """
        left = self._tracking.unsettled
        if left is None:
            return
        checked = False
        while (last := self._last()) != self._seen or not (checked or (self._is_quiet(last) and not anyway)):
            wanted = left.keys.union(keys_of(left.runs))
            self._seen = self._await_end(wanted)
            self._put_back(wanted)
            checked = True  # and if nobody has begun to remove things since he was waited for, that is all
        self._tracking.unsettled = None

    def _last(self) -> int:
        return max(self._numbers(), default=0)

    def _numbers(self) -> list[int]:
        self._transfer.count(requests=1)
        return visits.numbers(self._remote)

    def _is_quiet(self, n: int) -> bool:
        """Tell whether the last entry is not that of somebody who was removing things, then or since."""
        return not n or not visits.last(self._remote).removing

    def _await_end(self, keys: frozenset[str]) -> int:
        """Wait until nobody removes any of these any more; return the number of the last entry then."""
        told = False
        while (visit := visits.last(self._remote)).may_remove(keys) and visit.is_at_work(self._remote.now_us()):
            if not told:
                notice(f"waiting for gc on {self._remote.url}, until {utc_text(visit.until)} at the latest")
                told = True
            self._wait(LOOK_EVERY_S)
        return visit.n

    def _put_back(self, keys: frozenset[str]) -> None:
        """Put back what is missing: content first, names last, as in any push."""
        wanted = sorted(keys, key=lambda key: (key.split("/")[0] not in (layout.OBJECTS, layout.SEGMENTS), key))
        there = self._transfer.there(wanted)
        missing = [key for key in wanted if key not in there]
        content = [key for key in missing if key.startswith((f"{layout.OBJECTS}/", f"{layout.SEGMENTS}/"))]
        self._transfer.each(self._put, content)
        for key in missing[len(content) :]:
            if self._follows(key):
                self._put(key)

    def _follows(self, key: str) -> bool:
        """Tell whether the name before it there is ours, too: a run may have been continued by somebody else."""
        log, _, last = key.rpartition("/")
        number = layout.number_of(last)
        if log.partition("/")[0] != layout.RUNS or number is None or number == 1:
            return True
        before = log + layout.numbered(number - 1)
        try:
            return self._transfer.get(before, names.MAX_NAME) == must_get(self._repo.blobs, before)
        except (KeyError, Damaged):
            return False

    def _put(self, key: str) -> None:
        data = self._here(key)
        self._transfer.create(key, data, len(data))

    def _here(self, key: str) -> bytes | memoryview:
        try:
            if key.startswith(f"{layout.SEGMENTS}/"):
                return self._repo.segments.find("".join(key.split("/")[1:])).data
            return (
                self._repo.blobs.view(key) if key.startswith(f"{layout.OBJECTS}/") else must_get(self._repo.blobs, key)
            )
        except KeyError:
            raise Damaged(self._remote.where(key), "was removed there, and is not here", hint="kitaru fsck") from None
