"""Removing from a remote what nothing there reaches, in two visits, while others push to it.

Owns: what a visit notes, when a candidate is removed, and in which order. What is unreached is told by `reach`, what a
push does for its part by `sync.guarding`; docs/format.md says why both together are safe. Time is the remote's.

A visit writes down what it found unreached. A later one, a grace on, says first that it will remove things, then looks
at all names again, and only then removes what is unreached still and was not written anew. An upload that was begun a
grace ago and is not finished goes on the first visit: nobody can rely on it.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from kitaru.errors import RemoteError, RemoteRefused
from kitaru.model.moments import utc_text
from kitaru.store import layout, reach, visits
from kitaru.store.gc import SCRATCH_AGE_US, Collected
from kitaru.store.remote_view import CONTENT, THREADS, RemoteView, as_store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from kitaru.blobs.contract import RemoteBlobs

GIVE_UP = 0.7
"""Part of the lease after which nothing more is removed: a request may take a while."""


@dataclass(frozen=True, slots=True)
class Who:
    """Whoever pays a visit: `nonce` makes a new one for each entry."""

    by: str
    host: str
    nonce: Callable[[], str]


@dataclass(slots=True)
class _Candidates:
    """Keys that nothing reaches, in the order in which they go: each list before the next."""

    names: list[str] = field(default_factory=list)
    claims: list[str] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)

    def all(self) -> list[str]:
        return [*self.names, *self.claims, *self.segments, *self.objects]


def collect(
    remote: RemoteBlobs,
    who: Who,
    *,
    grace: int,
    dry_run: bool = False,
    near: Callable[[str], bytes | None] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Collected:
    """Pay a visit.

    Args:
        remote: the place.
        who: pays it.
        grace: a candidate is removed when it was noted so many microseconds ago, on an earlier visit.
        dry_run: tell what would be removed, and change nothing.
        near: see `RemoteView`.
        monotonic: seconds, for the lease.

    Raises:
        UnknownFormat: that is no store, or one of another version.
        Damaged: something that is needed cannot be read; nothing was removed.
        RemoteError: another gc is at work there, or the remote said no.
    """
    with RemoteView(remote, near) as view:
        return _Visit(remote, view, who, grace=grace, dry_run=dry_run, monotonic=monotonic).pay()


class _Visit:
    def __init__(
        self,
        remote: RemoteBlobs,
        view: RemoteView,
        who: Who,
        *,
        grace: int,
        dry_run: bool,
        monotonic: Callable[[], float],
    ) -> None:
        self._remote, self._view, self._who = remote, view, who
        self._grace, self._dry_run, self._monotonic = grace, dry_run, monotonic
        self._known: dict[str, frozenset[str]] = {}
        self._done = Collected()
        self._n, self._before = 0, dict[str, tuple[int, int]]()
        self._stop_at = 0.0

    def pay(self) -> Collected:
        last, now = visits.last(self._remote), self._remote.now_us()
        if last.is_at_work(now):
            raise _busy(last, self._remote)
        self._n, self._before = last.n, dict(last.noted or {})
        began = self._monotonic()
        found = self._look()
        took_us = int((self._monotonic() - began) * 1_000_000)
        noted = self._noted(found, now)
        ripe = [key for key in found.all() if self._is_ripe(key, now)]
        if self._dry_run:
            self._tell_removed(ripe)
        elif ripe:
            noted = self._remove(ripe, noted, now, max(visits.LEASE_US, 4 * took_us))
        elif noted != self._before or last.removing:
            self._write(visits.NOTED, noted, now)
        self._tell_noted({key: told for key, told in noted.items() if key not in set(self._done.removed)})
        if not self._dry_run:
            self._sweep(now)
        self._give_up(now)
        return self._done

    # -- what nothing reaches --------------------------------------------------------------------------------------

    def _look(self) -> _Candidates:
        self._view.look()
        return self._unreached()

    def _unreached(self, spared: Collection[str] = ()) -> _Candidates:
        found = reach.unreached(as_store(self._view), self._known, spared)
        return _Candidates(found.names, self._claims(), found.segments, found.objects)

    def _claims(self) -> list[str]:
        """Return the claims of segments that exist, and of pruned runs: they are over."""
        over = []
        for key in self._view.keys(layout.CLAIMS):
            _, run, segment, *_ = (*key.split("/"), "")
            if self._view.exists(f"{layout.PRUNED}/{run}") or self._view.exists(f"{layout.RUNS}/{run}/{segment}"):
                over.append(key)
        return over

    def _noted(self, found: _Candidates, now: int) -> dict[str, tuple[int, int]]:
        """Return the candidates with when they were first noted, and their stamps."""
        noted = {}
        for key in found.all():
            stamp = self._view.stamp(key)
            at, then = self._before.get(key, (now, None))
            noted[key] = (min(at, now) if then == stamp else now, stamp)
        return noted

    def _is_ripe(self, key: str, now: int) -> bool:
        at, stamp = self._before.get(key, (0, None))
        return stamp == self._view.stamp(key) and at <= now - self._grace

    # -- removing ----------------------------------------------------------------------------------------------------

    def _remove(
        self, ripe: list[str], noted: Mapping[str, tuple[int, int]], now: int, lease: int
    ) -> dict[str, tuple[int, int]]:
        """Remove what is ripe and still unreached after that was said; return what is noted from now on."""
        self._stop_at = self._monotonic() + GIVE_UP * min(lease, visits.MAX_LEASE_US) / 1_000_000
        self._write(visits.REMOVING, noted, now, lease)
        found = self._look()
        again = self._noted(found, now)
        wanted = {key for key in ripe if noted[key] == again.get(key)}
        stay = {layout.unescape(key.split("/")[1]) for key in found.names if key not in wanted}
        if stay:  # pushed since they were pruned, say: a run goes as a whole, with what it needs, or not at all
            found = self._unreached(stay)
        gone = self._delete(_Candidates(*([k for k in keys if k in wanted] for keys in _lists(found))))
        left = {key: told for key, told in again.items() if key not in gone}
        self._write(visits.NOTED, left, now)
        return left

    def _delete(self, wanted: _Candidates) -> set[str]:
        gone: set[str] = set()
        with ThreadPoolExecutor(THREADS, thread_name_prefix="kitaru-gc") as pool:
            by_run = [list(keys) for _, keys in groupby(wanted.names, lambda key: key.split("/")[1])]
            for run in pool.map(self._delete_in_order, by_run):
                gone.update(run)
            for key in {key.rpartition("/")[0]: key for key in gone}.values():
                self._remote.settle(key)  # a name must not come back to a segment that is gone
            for keys in (wanted.claims, wanted.segments, wanted.objects):
                for some in pool.map(self._delete_in_order, [[key] for key in keys]):
                    gone.update(some)
        self._tell_removed(key for key in wanted.all() if key in gone)
        return gone

    def _delete_in_order(self, keys: list[str]) -> list[str]:
        """Remove keys one after the other, as long as the lease lasts; return those that are gone."""
        gone = []
        for key in keys:
            if self._monotonic() >= self._stop_at:
                break
            self._remote.delete(key)
            gone.append(key)
        return gone

    def _write(self, state: str, noted: Mapping[str, tuple[int, int]], at: int, lease: int = 0) -> None:
        fields = {
            "state": state,
            "at": at,
            "lease": lease,
            "by": self._who.by,
            "host": self._who.host,
            "noted": {key: list(told) for key, told in noted.items()},
            "nonce": self._who.nonce(),
        }
        if not visits.write(self._remote, self._n + 1, fields):
            raise _busy(visits.last(self._remote), self._remote)
        self._n += 1

    def _sweep(self, now: int) -> None:
        """Remove lists that are not the last, and what was left in `tmp/`."""
        for n in visits.numbers(self._remote)[:-1]:
            self._remote.delete(layout.visit_key(n))
        for key in self._view.keys(layout.TMP):
            if self._view.stamp(key) < now - SCRATCH_AGE_US:
                self._remote.delete(key)
                self._done.scratch += 1

    def _give_up(self, now: int) -> None:
        """Free the room of uploads that were broken off: of content that is this store's, whatever else is there."""
        try:
            found = self._remote.unfinished()
            old = [each for each in found if each.begun_us <= now - self._grace and _is_content(each.key)]
            if self._dry_run:
                self._done.uploads = len(old)
                return
            with ThreadPoolExecutor(THREADS, thread_name_prefix="kitaru-gc") as pool:
                self._done.uploads = sum(pool.map(lambda each: each.give_up(), old))
        except RemoteRefused:
            self._done.uploads = None  # whoever may remove keys may perhaps not do this; all else is done

    # -- what is told ------------------------------------------------------------------------------------------------

    def _tell_removed(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._done.removed.append(key)
            self._done.removed_bytes += self._view.size(key)

    def _tell_noted(self, noted: Mapping[str, tuple[int, int]]) -> None:
        for key in noted:
            self._done.noted.append(key)
            self._done.noted_bytes += self._view.size(key)
        self._done.due = min((at for at, _ in noted.values()), default=-self._grace) + self._grace


def _is_content(key: str) -> bool:
    directory, _, rest = key.partition("/")
    return directory in CONTENT and layout.is_object_id(rest.replace("/", ""))


def _lists(found: _Candidates) -> tuple[list[str], ...]:
    return found.names, found.claims, found.segments, found.objects


def _busy(visit: visits.Visit, remote: RemoteBlobs) -> RemoteError:
    who = f"{visit.by or 'somebody'} on {visit.host}" if visit.host else visit.by or "somebody"
    until = f" until {utc_text(visit.until)} at the latest" if visit.removing else ""
    return RemoteError(f"another gc is at work on {remote.url}: {who}{until}", hint="try again when it is done")
