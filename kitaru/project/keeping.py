"""Upkeep: checking the store, mending it, and giving room back.

Owns: these verbs. What they do to the store is in `kitaru.store`; which runs are chosen is `kitaru.project.upkeep`.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, UsageError
from kitaru.project.remoting import Remoting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kitaru.blobs.contract import RemoteBlobs
    from kitaru.project.upkeep import Pruned
    from kitaru.store.check import Report
    from kitaru.store.gc import Collected
    from kitaru.store.mending import Repaired
    from kitaru.store.result_cache import CacheUse, ResultCache
    from kitaru.store.usage import Use


class Keeping(Remoting):
    """A project as it is looked after."""

    @cached_property
    def results(self) -> ResultCache:
        """The result cache; made when first needed."""
        from kitaru.store.result_cache import ResultCache

        return ResultCache(self.repo)

    def check(self) -> Report:
        """Check everything in the store: hashes, checksums, chains, references, names."""
        from kitaru.store.check import check

        return check(self.repo)

    def repair(self, *, dry_run: bool = False) -> list[Repaired]:
        """Mend what is damaged as far as it goes: nothing is deleted, damaged files are put aside in `lost/`."""
        from kitaru.store.repair import repair

        services = self.services
        return repair(
            self.repo, nonce=lambda: services.random_bytes(12).hex(), now=services.clock_us(), dry_run=dry_run
        )

    def prune(
        self,
        *,
        runs: Iterable[str] = (),
        keep_last: int | None = None,
        before_us: int | None = None,
        flow: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> list[Pruned]:
        """Remove runs on purpose: each gets a tombstone, and `gc` gives the room back.

        What replays still share with them stays. A running one is always kept, one that waits or was interrupted
        unless `force`.

        Args:
            runs: any revisions that name runs to remove; without them, the others say which.
            keep_last: keep the newest so many of each flow.
            before_us: only runs started before this, microseconds since 1970 UTC.
            flow: only runs of this flow.
            dry_run: tell what would be done, and do nothing.

        Raises:
            UsageError: nothing says which runs, or it is said twice.
            Damaged: a run of `runs` cannot be read; `force` removes it all the same.
        """
        from kitaru.project import upkeep

        named = [self.find_run(run) for run in runs]
        chosen = upkeep.choose(self._summaries(), runs=named, keep_last=keep_last, before_us=before_us, flow=flow)
        now, by = self.services.clock_us(), self.services.user
        return upkeep.prune(self.repo, chosen, now=now, by=by, force=force, dry_run=dry_run)

    def gc(self, *, grace_us: int | None = None, dry_run: bool = False) -> Collected:
        """Remove what nothing reaches: noted on this visit, removed on a later one. Safe while runs execute.

        What was worked out from sources goes at once: it is made again where it is needed.

        Args:
            grace_us: how long before this visit a candidate must have been noted; half a day by default.

        Raises:
            Damaged: something cannot be read, and who knows what it names; nothing was removed.
        """
        from kitaru.project.upkeep import GRACE_US
        from kitaru.runtime.derived import Derived
        from kitaru.store.gc import collect

        grace, nonce = GRACE_US if grace_us is None else grace_us, self.services.random_bytes(12).hex()
        done = collect(self.repo, self.services.clock_us(), grace=grace, nonce=nonce, dry_run=dry_run)
        if not dry_run:
            Derived(self.repo.blobs.scratch).clear()
        return done

    def gc_remote(self, remote: str | None = None, *, grace_us: int | None = None, dry_run: bool = False) -> Collected:
        """As `gc`, on a remote, by its clock: safe while others push there.

        Args:
            remote: its name; the default one without it.

        Raises:
            UnknownRemote, UsageError: there is none of that name, or nothing was pushed there yet.
            Damaged: something there cannot be read, and who knows what it names; nothing was removed.
            RemoteError: another gc is at work there, or the remote said no, or nothing.
        """
        from kitaru.project.upkeep import GRACE_US
        from kitaru.store.remote_gc import Who, collect

        services = self.services
        who = Who(services.user, services.host, lambda: services.random_bytes(12).hex())
        place = self._store_at(remote)
        grace = GRACE_US if grace_us is None else grace_us
        return collect(place, who, grace=grace, dry_run=dry_run, near=self._segment_here)

    def check_remote(self, remote: str | None = None) -> Report:
        """As `check`, of a remote: all that is there is read. Raises UnknownRemote, UsageError, RemoteError."""
        from kitaru.store.remote_check import check

        return check(self._store_at(remote))

    def _store_at(self, remote: str | None) -> RemoteBlobs:
        from kitaru.store import layout

        there = self.remote(remote)
        place = there.connect()
        if not place.exists(layout.FORMAT_KEY) and not place.children(layout.RUNS):
            raise UsageError(f"nothing was pushed to {there.name} yet", hint=f"kitaru push {there.name}")
        return place

    def _segment_here(self, segment: str) -> bytes | None:
        """Return a sealed journal if this store has it, too: it need not be fetched then."""
        try:
            data = bytes(self.repo.segments.find(segment).data)
        except (KeyError, Damaged):
            return None
        return data if hashlib.sha256(data).hexdigest() == segment else None

    def cache_use(self) -> CacheUse:
        """Return what the result cache holds."""
        return self.results.use()

    def clear_cache(self) -> CacheUse:
        """Forget all cached results, and return what there was: the next runs execute what they would have taken."""
        return self.results.clear()

    def usage(self) -> list[Use]:
        """Return what takes the room in the store, each byte counted once."""
        from kitaru.store.usage import usage

        return usage(self.repo)
