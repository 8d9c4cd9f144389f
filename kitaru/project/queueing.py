"""The queue: invocations that a worker is to start.

Owns: queueing, listing and cancelling them. An invocation is called as its run will be, so that it is started once
however many workers there are; which version it gets is decided when it starts. Who takes them is `project.working`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from kitaru.errors import AlreadyCancelled, AmbiguousRevision, UnknownInvocation, UsageError
from kitaru.model.ids import RUN_ID_LENGTH, is_run_id, new_run_id
from kitaru.model.moments import from_datetime, is_moment, utc_text
from kitaru.project.invoking import Invoking
from kitaru.project.queued import QueueLook, has_begun, state_of
from kitaru.store.invocations import MAX_PRIORITY, Invocation, invocation_ids, put_invocation, read_invocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class QueuedInvocation:
    """An invocation, and how it stands.

    Attributes:
        state: `queued`, `delayed`, `cancelled`, `pruned`, or, once its run has begun, how that stands; `given up` where
            workers leave it alone.
    """

    invocation: Invocation
    state: str

    @property
    def is_pending(self) -> bool:
        """Whether it still waits for a worker."""
        return self.state in ("queued", "delayed")


class Queueing(Invoking):
    """A project as invocations are queued."""

    def enqueue(
        self,
        target: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        text: bool = False,
        documents: Mapping[str, Any] | None = None,
        key: str = "",
        tags: Iterable[str] = (),
        env: str = "",
        priority: int = 0,
        not_before: datetime | timedelta | int | None = None,
    ) -> Invocation:
        """Queue an invocation: a worker starts its run, whose id is the invocation's.

        Args:
            target, inputs, text, documents, tags: as of `invoke`. The inputs are checked now, by the version that the
                target leads to now, and again when the run starts, by the one that it leads to then.
            key: start the run once for this flow and key: where one is queued or was started, that one is returned.
            env: the environment to start it in.
            priority: the higher, the earlier; of equals, the oldest is first.
            not_before: do not start it before this time, or for so long; a number is microseconds since 1970 UTC.

        Raises:
            FlowNotFound, UsageError, BadInput: as of `invoke`; nothing was queued.
            CodeUnloadable: the code of the version that the target leads to now is not in the store.
            Unencodable, SecretLeak: an input cannot be stored.
        """
        _check_priority(priority)
        choice, checked = self.check_inputs(target, inputs or {}, text=text, documents=documents, key=key)
        now = self.services.clock_us()
        invocation = Invocation(
            self._keyed(choice.flow, key, now) if key else new_run_id(self.services.random_bytes),
            target,
            choice.flow,
            self._keep_inputs(checked),
            key=key,
            env=env,
            priority=priority,
            not_before=_moment(not_before, now),
            tags=list(dict.fromkeys(tags)),
            at=now,
            by=self.services.user,
            nonce=self.services.random_bytes(12).hex(),
        )
        return put_invocation(self.repo.blobs, invocation)[1]

    def _keyed(self, flow: str, key: str, now_us: int) -> str:
        """Return the run that is for a key, which is named here if nobody has named one."""
        standing = self.repo.start_key(flow, key)
        if standing is None:
            run = new_run_id(self.services.random_bytes)
            _, standing = self.repo.put_start_key(flow, key, run, by=self.services.user, at=now_us)
        return standing.run

    def _keep_inputs(self, inputs: Mapping[str, Any]) -> str:
        """Keep inputs as a value of the store, and return its id."""
        encoded = self.values.encode(dict(inputs), frozenset(), "inputs")
        self.repo.put_objects(encoded.objects)
        return encoded.id

    def queue(self, *, all: bool = False) -> list[QueuedInvocation]:
        """Return the invocations that wait for a worker, in the order in which they are taken; then those given up.

        Args:
            all: also those that were taken or cancelled, which come after the others, the youngest first.
        """
        look, now = QueueLook(self.repo), self.services.clock_us()
        pending = [QueuedInvocation(i, "delayed" if i.not_before > now else "queued") for i in look.pending()]
        pending.sort(key=lambda queued: queued.state == "delayed")
        if not all:
            runs = [summary.run for summary in self.unfinished()[0] if summary.given_up]
            left = [invocation for run in runs if (invocation := look.find(run)) is not None]
            return [*pending, *(QueuedInvocation(i, GIVEN_UP) for i in left)]
        waiting = {queued.invocation.id for queued in pending}
        others = [i for i in map(look.find, invocation_ids(self.repo.blobs)) if i is not None and i.id not in waiting]
        others.sort(key=lambda i: (-i.at, i.id))
        status = {summary.run: GIVEN_UP if summary.given_up else summary.status for summary in self.log()}
        return [*pending, *(QueuedInvocation(i, self._how(i, now, status)) for i in others)]

    def _how(self, invocation: Invocation, now_us: int, known: Mapping[str, str]) -> str:
        return known.get(invocation.run) or state_of(self.repo, invocation, now_us, lambda _: "begun")

    def invocation(self, text: str) -> QueuedInvocation:
        """Return the invocation that an id, or a unique prefix of one, names.

        Raises:
            UnknownInvocation, AmbiguousRevision
        """
        found = read_invocation(self.repo.blobs, self._find_invocation(text.lower()))
        now = self.services.clock_us()
        return QueuedInvocation(found, state_of(self.repo, found, now, self._standing))

    def _standing(self, run: str) -> str:
        state = self.state(run)
        return GIVEN_UP if self.giving_up.told(state) else str(state.status)

    def _find_invocation(self, text: str) -> str:
        if is_run_id(text):
            found = [text] if text in invocation_ids(self.repo.blobs) else []
        else:
            found = [i for i in invocation_ids(self.repo.blobs) if text and i.startswith(text)]
        if len(found) > 1 and len(text) < RUN_ID_LENGTH:
            raise AmbiguousRevision(text, found)
        if not found:
            raise UnknownInvocation(text)
        return found[0]

    def dequeue(self, text: str, *, reason: str = "", by: str = "") -> Invocation:
        """Cancel an invocation that nobody has taken: its run is never begun.

        Args:
            text: its id, or a unique prefix.
            reason: why, for the record.
            by: who asks; the project's user by default.

        Raises:
            UnknownInvocation, AmbiguousRevision
            UsageError: its run has begun.
            AlreadyCancelled: somebody asked first; says who and when.
        """
        queued = self.invocation(text)
        run = queued.invocation.run
        if queued.state == "pruned":
            self.repo.check_unpruned(run)
        if has_begun(self.repo, run):
            raise UsageError(f"invocation {run} was taken: its run is {queued.state}", hint=f"kitaru cancel {run}")
        at, by = self.services.clock_us(), by or self.services.user
        won, standing = self.repo.put_cancellation(run, by=by, at=at, reason=reason)
        if not won:
            told = f"invocation {run} was cancelled by {standing.by or 'somebody'} at {utc_text(standing.at)}"
            raise AlreadyCancelled(told, hint="kitaru queue --all")
        return queued.invocation


def _check_priority(priority: int) -> None:
    if type(priority) is not int or abs(priority) > MAX_PRIORITY:
        raise UsageError(f"{priority!r} is no priority", hint=f"a whole number, at most {MAX_PRIORITY}")


def _moment(when: datetime | timedelta | int | None, now_us: int) -> int:
    """Return a time as microseconds since 1970 UTC; a datetime without a zone is local."""
    moment = when or 0
    if isinstance(when, timedelta):
        moment = now_us + when // timedelta(microseconds=1)
    elif isinstance(when, datetime):
        moment = from_datetime(when.astimezone())
    if not isinstance(moment, int) or not is_moment(moment):
        raise UsageError(f"{when} is no time to begin at", hint="a datetime, or a timedelta from now on")
    return moment
