"""Claims on a remote: who carries a run on, for all to see who share it.

Owns: the names below `claims/`, and when one of them counts. A claim is on the segment that a run gets next, and a
numbered log of names: the last one says who holds it and for how long. The holder adds a name before that time is over
(a heartbeat), or one that gives it back; once it is over, anybody may add his. Time is the remote's, never a machine's.

A claim saves work and keeps nothing apart: two machines that both believe they hold a run may repeat what it does
outside, but only one of them can name the segment. Knows nothing of how a run is executed.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged, Diverged, RunClaimed, StoreError
from kitaru.model.moments import utc_text
from kitaru.store import layout, names
from kitaru.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kitaru.blobs.contract import Listed, RemoteBlobs

LEASE_US = 60_000_000
"""How long a claim counts after it was made, or renewed last."""
MAX_LEASE_US = 600_000_000
"""What a name says beyond this is not believed: nobody is to be kept from a run for days."""
MAX_LOOKED_BACK = 5
MAX_SAID = 80
"""Characters of what a name says about who wrote it."""

SHAPE: dict[str, type] = {"nonce": str, "by": str, "host": str, "at": int, "lease": int}


@dataclass(frozen=True, slots=True)
class ClaimName:
    """One name of a claim.

    Attributes:
        nonce: the holder's, the same in all of his names.
        at: by the holder's clock, microseconds since 1970 UTC; for people only.
        lease: for how long it counts, microseconds from when the remote took it; 0 gives the claim back.
    """

    nonce: str
    by: str
    host: str
    at: int
    lease: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How a claim stands: its last name.

    Attributes:
        number: of that name.
        age_us: how long ago the remote took it.
    """

    name: ClaimName
    number: int
    age_us: int

    @property
    def left_us(self) -> int:
        """For how long it still counts; 0 where it counts no more."""
        return max(min(self.name.lease, MAX_LEASE_US) - self.age_us, 0)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who claims.

    Attributes:
        nonce: tells him from all others.
        clock_us: his clock, for what people read.
        lease_us: for how long each of his names is to count.
    """

    nonce: str
    by: str
    host: str
    clock_us: Callable[[], int]
    lease_us: int = LEASE_US

    def fields(self, lease_us: int) -> dict[str, Any]:
        """Return what a name of his says now."""
        return {"nonce": self.nonce, "by": self.by, "host": self.host, "at": self.clock_us(), "lease": lease_us}


class Claim:
    """A claim that is held. Not safe between threads.

    Args:
        segment: the number that the run's next segment gets.
        number: of the last name that the holder is known to have written.
    """

    def __init__(self, blobs: RemoteBlobs, run: str, segment: int, who: Holder, number: int) -> None:
        self.run, self.segment, self.who, self.number = run, segment, who, number
        self._blobs = blobs

    def renew(self, lease_us: int = 0) -> None:
        """Have it count for another lease from now, of its holder's usual length unless another is given.

        Raises:
            RunClaimed: it had run out, and somebody else has taken it.
            RemoteError: nobody knows; it counts for as long as it did.
        """
        self._write(lease_us or self.who.lease_us)

    def release(self) -> None:
        """Give it back, so that others need not wait for its end; where that does not arrive they do."""
        with contextlib.suppress(RunClaimed, StoreError):
            self._write(0)

    def cancellation(self) -> bytes | None:
        """Return the name by which somebody asked on the remote for the run to be cancelled, verified, if any did."""
        key = layout.cancel_key(self.run)
        try:
            data = self._blobs.get(key, limit=names.MAX_NAME)
        except KeyError:
            return None
        names.unpack(data, names.CANCEL_SHAPE, self._blobs.where(key))
        return data

    def _write(self, lease_us: int) -> None:
        number = self.number
        while True:  # what is there already, with the own nonce, was written by a request that was thought to be lost
            number += 1
            there = _write(self._blobs, self.run, self.segment, number, self.who.fields(lease_us))
            if there is None:
                self.number = number
                return
            if there.nonce != self.who.nonce:
                raise held(self.run, Standing(there, number, 0))


def standing(blobs: RemoteBlobs, run: str, segment: int) -> Standing | None:
    """Return how the claim on a run's n-th segment stands; None where there never was one."""
    last = _last(blobs, layout.claim_key(run, segment))
    if last is None:
        return None
    number, found = last
    name = _read(blobs, found.key)
    return Standing(name, number, max(blobs.now_us() - found.changed_us, 0))


def take(blobs: RemoteBlobs, run: str, here: Sequence[str], who: Holder, *, same: int) -> Claim:
    """Claim the carrying on of a run.

    That nobody has carried it on already is looked at once it is claimed: whoever held the claim before named his
    segment first.

    Args:
        here: ids of the run's segments as they are named here.
        same: so many of them, from the first, are known to be the remote's too.

    Raises:
        RunClaimed: another holds it.
        Diverged: the remote has a segment of the run that is not here.
    """
    segment = same + 1
    while True:
        try:
            claim = _claim(blobs, run, segment, who)
        except RunClaimed:
            _look(blobs, run, here, who, same)  # its holder may be done, and has named the segment
            raise
        try:
            following = _look(blobs, run, here, who, same)
        except BaseException:
            claim.release()
            raise
        if following == segment:
            return claim
        claim.release()
        segment = following


def _look(blobs: RemoteBlobs, run: str, here: Sequence[str], who: Holder, same: int) -> int:
    """Return the number of the segment that a run gets next on a remote; raises Diverged as `take`."""
    there = _last(blobs, layout.run_key(run))
    if there is None:
        return 1
    number, found = there
    if number > same and not _is_here(blobs, found, here[number - 1 : number]):
        by = _other(blobs, run, number, who)
        told = f" by {one_line(by, MAX_SAID)}" if by else ""
        raise Diverged(f"run {run} was continued{told} at {utc_text(found.changed_us)}", hint="kitaru pull")
    return number + 1


def _is_here(blobs: RemoteBlobs, found: Listed, here: Sequence[str]) -> bool:
    """Tell whether a name there is of the segment that is here, if one is."""
    if not here:
        return False
    fields = names.unpack(blobs.get(found.key, limit=names.MAX_NAME), names.SEGMENT_SHAPE, blobs.where(found.key))
    return bool(fields["segment"] == here[0])


def _other(blobs: RemoteBlobs, run: str, segment: int, who: Holder) -> str:
    """Return who else held the claim on a segment last: he, as far as is known, named it."""
    for found in sorted(blobs.listing(layout.claim_key(run, segment)), reverse=True)[:MAX_LOOKED_BACK]:
        name = _read(blobs, found.key)
        if name.nonce != who.nonce:
            return name.by
    return ""


def held(run: str, by: Standing) -> RunClaimed:
    """Return the error that tells who carries a run on elsewhere."""
    how = "claimed" if by.number == 1 else "heard of"
    who = holder(by.name)
    message = f"run {run} is being carried on by {who} ({how} {by.age_us // 1_000_000} s ago)"
    hint = f"kitaru resume {run} --offline, which may do it a second time"
    return RunClaimed(message, hint=hint, holder=who, left_us=by.left_us)


def holder(name: ClaimName) -> str:
    """Return who holds a claim, and where, for people."""
    who = one_line(name.by, MAX_SAID) or "somebody"
    return f"{who} on {one_line(name.host, MAX_SAID)}" if name.host else who


def _claim(blobs: RemoteBlobs, run: str, segment: int, who: Holder) -> Claim:
    last = standing(blobs, run, segment)
    if last is not None and last.left_us and last.name.nonce != who.nonce:
        raise held(run, last)
    claim = Claim(blobs, run, segment, who, last.number if last is not None else 0)
    claim.renew()
    return claim


def _last(blobs: RemoteBlobs, directory: str) -> tuple[int, Listed] | None:
    """Return the last of the numbered names in a directory; what is no number there is none."""
    found = [(layout.number_of(there.key.rpartition("/")[2]), there) for there in blobs.listing(directory)]
    return max(((number, there) for number, there in found if number is not None), default=None)


def _write(blobs: RemoteBlobs, run: str, segment: int, number: int, fields: dict[str, Any]) -> ClaimName | None:
    """Write a name; where there is one already, return that."""
    key = layout.claim_key(run, segment, number)
    return None if blobs.create(key, names.pack(fields)) else _read(blobs, key)


def _read(blobs: RemoteBlobs, key: str) -> ClaimName:
    """Return a name; of one that cannot be read nobody knows whose it is, but like any other it runs out."""
    try:
        return ClaimName(**names.unpack(blobs.get(key, limit=names.MAX_NAME), SHAPE, blobs.where(key)))
    except (Damaged, KeyError):
        return ClaimName("", "", "", 0, LEASE_US)
