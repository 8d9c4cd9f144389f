"""A worker that works for a team: what lives on a remote is pulled, claimed, carried on as recorded, and pushed.

Owns: when the remote is looked at, which of its runs may be taken up here, and what a remote that fails does to a
worker: nothing but rest. How runs are found and carried on is `working`'s; how stores are brought together the store's.
Used by one thread, but for what waits for a process.
"""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING

from kitaru.errors import Diverged, KitaruError, RunClaimed, StoreError, Untrusted, UsageError
from kitaru.model.history import OVER
from kitaru.project.claiming import Handed
from kitaru.project.working import MAX_BACKOFF_S, NotNowError, Told
from kitaru.project.working_here import lives_on
from kitaru.store import claims, layout, names
from kitaru.store.sync.tracking import Tracking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kitaru.blobs.contract import RemoteBlobs
    from kitaru.project.due import Due
    from kitaru.project.project import Project
    from kitaru.store.claims import Claim
    from kitaru.store.sync.job import Pair
    from kitaru.store.sync.results import Outcome

POLL_S = 5.0
"""How often a remote is looked at by default."""
REST = 4
"""To look at a large remote takes its time: so many times as long a worker rests after it."""
LEAST_REST_S = 1.0


class RemoteWork:
    """What a worker does with one remote; `before` and `start` are for `working.Work`.

    Args:
        project: whose store the runs are pulled into.
        name: of the remote.
        carry: begins to carry a run on, in a process that renews the claim where it is given one; as of `Work`.
        poll_s: how long it rests between two looks at the remote.
        clock: seconds.

    Attributes:
        trouble: why the remote could not be used the last time; None where it could.

    Raises:
        UnknownRemote: there is none of that name.
    """

    def __init__(
        self,
        project: Project,
        name: str,
        carry: Callable[[Due, Handed | None], Callable[[], tuple[int, str]]],
        *,
        poll_s: float = POLL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._project, self._carry, self._poll_s, self._clock = project, carry, poll_s, clock
        self._remote = project.remote(name)
        self._connection: RemoteBlobs | None = None
        self._tracking = Tracking.open(project.repo.blobs, self._remote.name, self._remote.place)
        self._ended: queue.SimpleQueue[tuple[str, int, Claim]] = queue.SimpleQueue()
        self._unpushed = set(self._left_behind())
        self._claims: dict[str, Claim] = {}  # by which runs were carried on that are not pushed yet
        self._said: set[object] = set()
        self._push_at = self._look_at = self._retry_at = clock()
        self._failures = 0
        self.trouble: KitaruError | None = None

    @property
    def unpushed(self) -> list[str]:
        """The runs that went further here and could not be pushed yet."""
        return sorted(self._unpushed)

    # -- before each look for work ---------------------------------------------------------------------------------

    def before(self) -> Iterator[Told]:
        """Push what was carried on, and pull what is new, where it is time; yield what there is to say."""
        self._settle()
        now = self._clock()
        if now < self._retry_at:
            return
        try:
            if self._unpushed and now >= self._push_at:
                yield from self._push()
            if now >= self._look_at:
                yield from self._pull()
        except UsageError:  # a remote that cannot be as it is written down, or a library that is not there
            raise
        except KitaruError as error:
            yield from self._failed(error)
        else:
            self._failures, self.trouble = 0, None

    def _settle(self) -> None:
        """Look what has become of the runs whose processes have ended."""
        while True:
            try:
                run, had, claim = self._ended.get_nowait()
            except queue.Empty:
                return
            if self._has_more(run, had):
                self._unpushed.add(run)
                self._claims[run] = claim
                self._push_at = self._clock()
            else:
                claim.release()

    def _has_more(self, run: str, had: int) -> bool:
        blobs = self._project.repo.blobs
        return len(blobs.children(layout.run_key(run))) > had or bool(blobs.children(layout.open_key(run)))

    def _left_behind(self) -> Iterator[str]:
        """Yield the runs that live on the remote and went further here, and that a worker before did not push."""
        repo = self._project.repo
        for run in repo.run_ids():
            if not self._lives_there(run):
                continue
            is_ahead = self._tracking.segments_of(run) < len(repo.blobs.children(layout.run_key(run)))
            if is_ahead and not repo.blobs.children(layout.open_key(run)) and not repo.is_held(run):
                yield run

    def _lives_there(self, run: str) -> bool:
        return lives_on(self._project, self._tracking, run)

    def _failed(self, error: KitaruError) -> Iterator[Told]:
        """Rest longer and longer; say once what is wrong."""
        self._failures += 1
        self._retry_at = self._clock() + min(self._poll_s * 2**self._failures, MAX_BACKOFF_S)
        if self.trouble is None or self.trouble.message != error.message:
            yield Told("trouble", error.message, hint=error.hint)
        self.trouble = error

    # -- pushing and pulling ---------------------------------------------------------------------------------------

    @property
    def _blobs(self) -> RemoteBlobs:
        if self._connection is None:
            self._connection = self._remote.connect()
        return self._connection

    def _push(self) -> Iterator[Told]:
        from kitaru.store.sync import push
        from kitaru.store.sync.results import PushChoice

        claimed = {run: by for run in sorted(self._unpushed) if (by := self._claimed_by(run))}
        for run, by in claimed.items():
            if (run, by) not in self._said:
                self._said.add((run, by))
                yield Told("claimed", f"is carried on by {by} by now; what was done here is pushed after that", run)
        runs = tuple(sorted(self._unpushed - claimed.keys()))
        self._push_at = self._clock() + self._poll_s
        if not runs:
            return
        marks = self._project.repo.partial.marks()
        self._project.elsewhere.complete(  # what was left on another remote is not on this one
            mark.run for mark in marks if mark.run in self._unpushed and mark.url != self._remote.place
        )
        done = push(self._pair(), PushChoice(runs=runs))
        skipped = {left.what for left in done.skipped}
        self._unpushed = {run for run in runs if run in skipped} | claimed.keys()  # somebody here executes it again
        self._claims = {run: claim for run, claim in self._claims.items() if run in self._unpushed}
        for moved in done.runs:
            yield Told("pushed", f"pushed to {self._remote.name}", moved.run)
        yield from self._told(done)

    def _claimed_by(self, run: str) -> str:
        """Return who carries on a run that went further here, too, for the claim on it was lost; empty for nobody.

        He is to name the segment, for he goes on: what was stopped here in the middle is at most a run of its own. What
        came to its end here does not wait: the first to push has the run.
        """
        if self._is_over(run):
            return ""
        ours = self._claims.get(run)
        segment = ours.segment if ours is not None else self._tracking.segments_of(run) + 1
        found = claims.standing(self._blobs, run, segment)
        if found is None or not found.left_us:
            return ""
        name, services = found.name, self._project.services
        before = (name.by, name.host) == (services.user, services.host)  # a worker here that is gone
        is_ours = name.nonce == ours.who.nonce if ours is not None else before
        return "" if is_ours else claims.holder(name)

    def _is_over(self, run: str) -> bool:
        try:
            return self._project.state(run).status in OVER
        except KitaruError:
            return True

    def _pull(self) -> Iterator[Told]:
        from kitaru.store.sync import pull

        first, began = self._tracking.at is None, self._clock()
        done = pull(self._pair())
        self._look_at = self._clock() + max(self._poll_s, REST * (self._clock() - began))
        if first:
            self._unpushed.update(self._left_behind())
        self._unpushed.update(parted.new_run for parted in done.parted)
        if done.runs:
            count = f"{len(done.runs)} runs" if len(done.runs) > 1 else "1 run"
            yield Told("pulled", f"{count} pulled from {self._remote.name}")
        yield from self._told(done)

    def _pair(self) -> Pair:
        from kitaru.store.sync import Pair

        return Pair(self._project.repo, self._blobs, self._tracking, self._project.services.clock_us())

    def _told(self, done: Outcome) -> Iterator[Told]:
        for parted in done.parted:
            text = f"was continued by {parted.by or 'somebody'} too; what was done here is run {parted.new_run} now"
            yield Told("diverged", text, parted.run, f"kitaru diff {parted.run} {parted.new_run}")
        for left in done.refused:
            if left.what not in self._said:
                self._said.add(left.what)
                yield Told("trouble", f"{left.what}: {left.why}", hint=f"kitaru fsck --remote {self._remote.name}")

    # -- taking a run up -------------------------------------------------------------------------------------------

    def start(self, due: Due) -> Callable[[], tuple[int, str]]:
        """Begin to carry a run on, claimed where it lives on the remote, or is to; for `Work`.

        Raises:
            NotNowError: another machine has it, its code is not trusted here, or the remote does not answer.
        """
        run = due.run
        if not self._lives_there(run):
            return self._carry(due, None)
        if not due.is_new:
            self._check_trusted(run)
        here = [name.segment for name in names.segments(self._project.repo.blobs, run)]
        claim = self._claim(run, here)
        handed = Handed(run, self._remote.name, claim.segment, claim.number, claim.who.nonce)
        try:
            wait = self._carry(due, handed)
        except BaseException:
            claim.release()
            raise

        def ended() -> tuple[int, str]:
            try:
                return wait()
            finally:
                self._ended.put((run, len(here), claim))

        return ended

    def _check_trusted(self, run: str) -> None:
        from kitaru.runtime.trusting import check_trusted

        try:
            state = self._project.state(run)
            check_trusted(self._project.repo, state.start.flow, str(state.version["id"]), int(state.version["n"]))
        except Untrusted as error:
            raise NotNowError(self._poll_s, self._once(error, "untrusted")) from error

    def _claim(self, run: str, here: list[str]) -> Claim:
        services = self._project.services
        who = claims.Holder(services.random_bytes(12).hex(), services.user, services.host, services.clock_us)
        same = 0
        while layout.run_key(run, same + 1) in self._tracking.same:
            same += 1
        try:
            return claims.take(self._blobs, run, here, who, same=min(same, len(here)))
        except RunClaimed as error:
            raise NotNowError(max(error.left_us / 1_000_000, LEAST_REST_S)) from error
        except Diverged as error:
            self._look_at = self._clock()
            raise NotNowError(self._poll_s) from error
        except StoreError as error:
            told = next(self._failed(error), None)
            raise NotNowError(max(self._retry_at - self._clock(), LEAST_REST_S), told) from error

    def _once(self, error: KitaruError, kind: str) -> Told | None:
        """Return what there is to say of an error, if that was not said before."""
        if error.message in self._said:
            return None
        self._said.add(error.message)
        return Told(kind, error.message, hint=error.hint)
