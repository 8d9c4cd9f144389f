"""What was asked of a push or pull, and what became of it.

Owns: plain data for whoever shows it. Knows nothing of how stores are brought together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from kitaru.errors import AlreadyAnswered, Damaged, Diverged, KitaruError
from kitaru.model.moments import utc_text


class Tell(Protocol):
    """Is told how far a transfer is, from several threads, one at a time.

    `total` with `files` and `bytes` (0 where nobody knows yet) when more is to be transferred; `part` with the `bytes`
    of a piece of something large; `done` with `key`, and the `bytes` that were not told yet, for each.
    """

    def __call__(self, event: str, **fields: object) -> None:
        """Take one event."""


def tell_nobody(event: str, **fields: object) -> None:
    """Take an event, and do nothing."""


@dataclass(frozen=True, slots=True)
class PushChoice:
    """What is to be pushed: by default what is finished or waiting, and every other name.

    Attributes:
        runs: ids; only these and what they reach.
        flow: only the runs of this flow, its versions, routes and keys.
        everything: interrupted runs as well; what is sealed of those that execute is not.
    """

    runs: tuple[str, ...] = ()
    flow: str = ""
    everything: bool = False


@dataclass(frozen=True, slots=True)
class PullChoice:
    """What is to be pulled: by default all.

    Attributes:
        runs: ids; only these and what they reach.
        flow: only the runs of this flow, its versions, routes and keys.
        since_us: only runs begun then or later, microseconds since 1970 UTC; those that are here already go on.
        runs_only: large objects stay there until they are read, but for flow versions and answers.
    """

    runs: tuple[str, ...] = ()
    flow: str = ""
    since_us: int | None = None
    runs_only: bool = False


@dataclass(frozen=True, slots=True)
class RunMoved:
    """A run of which something was copied: `new` if there was nothing of it before; `segments` is how many more."""

    run: str
    flow: str
    new: bool
    segments: int


@dataclass(frozen=True, slots=True)
class VersionMoved:
    """A flow version that was copied, or got another number here: `was` is the number that it had here before."""

    flow: str
    n: int
    id: str
    was: int | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """A name of ours that was second.

    Attributes:
        kind: `answers`, `cancels`, `keys`, `routes`, `schedules`, `queue`.
        owner: the run, flow, schedule or invocation.
        key: its key, where what is there now is the other's; ours is in `lost/`.
        by, at: whose the standing one is, and since when (microseconds since 1970 UTC).
    """

    kind: str
    owner: str
    key: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class Parted:
    """A run that was continued here and elsewhere: what was recorded here is a run of its own now.

    Attributes:
        run, new_run: the run, which is the other's now, and what ours is called.
        number: of the first segment that differs.
        by, host, at: who continued it there, where, and when (microseconds since 1970 UTC).
    """

    run: str
    new_run: str
    number: int
    by: str
    host: str
    at: int


@dataclass(frozen=True, slots=True)
class Left:
    """Something that was left as it is, and why: a run's id, or a key."""

    what: str
    why: str


@dataclass(slots=True)
class Outcome:
    """What a push, fetch or pull did.

    Attributes:
        runs: of which something was copied.
        versions: that were copied, or got another number here.
        names: how many other names were copied, by directory: answers, cancels, keys, routes, …
        lost: names of ours that were second.
        parted: runs that were continued on both sides.
        refused: keys on the remote, or runs, that are not what they should be: nothing of them is visible.
        skipped: runs that execute here, or are not finished.
        files, bytes: copied.
        requests: sent to the remote.
        reached: keys of the content that pushed names lead to, written now or found there.
        dry_run: nothing was done; it says what would be.
    """

    runs: list[RunMoved] = field(default_factory=list)
    versions: list[VersionMoved] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)
    parted: list[Parted] = field(default_factory=list)
    refused: list[Left] = field(default_factory=list)
    skipped: list[Left] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    requests: int = 0
    reached: set[str] = field(default_factory=set)
    dry_run: bool = False

    @property
    def is_nothing(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.runs or self.versions or self.names or self.lost or self.parted or self.refused)

    def count(self, directory: str) -> None:
        """Count one more name of a kind."""
        self.names[directory] = self.names.get(directory, 0) + 1

    def refuse(self, what: str, why: str | KitaruError) -> None:
        """Note that something on the remote is not what it should be."""
        self.refused.append(Left(what, why if isinstance(why, str) else why.message))

    def skip(self, what: str, why: str) -> None:
        """Note that something was left for another time."""
        if Left(what, why) not in self.skipped:
            self.skipped.append(Left(what, why))

    def give_way(self, taken: Outcome) -> None:
        """Take up what became of names of ours that were second, when what stands was brought."""
        self.lost += taken.lost
        self.parted += taken.parted
        self.refused = list(dict.fromkeys([*self.refused, *taken.refused]))
        self.skipped = list(dict.fromkeys([*self.skipped, *taken.skipped]))
        moved = {(v.flow, v.id): v for v in taken.versions if v.was not in (None, v.n)}
        self.versions = [v for v in self.versions if (v.flow, v.id) not in moved] + list(moved.values())

    def sort(self) -> None:
        """Bring what was done by several threads into an order that does not depend on them."""
        self.runs.sort(key=lambda moved: moved.run)
        self.versions.sort(key=lambda moved: (moved.flow, moved.n))
        self.lost.sort(key=lambda lost: lost.key)
        self.parted.sort(key=lambda parted: parted.run)
        self.refused.sort(key=lambda left: left.what)
        self.skipped.sort(key=lambda left: left.what)

    def error(self) -> KitaruError | None:
        """Return what a push ends with when all else is done: damage first, then runs, answers, routes."""
        if self.refused:
            more = f" (and {len(self.refused) - 1} more)" if len(self.refused) > 1 else ""
            return Damaged(self.refused[0].what, self.refused[0].why + more, hint="kitaru fsck --remote NAME")
        if self.parted:
            return _diverged(self.parted)
        answers = [lost for lost in self.lost if lost.kind == "answers"]
        if answers:
            first = answers[0]
            text = f"run {first.owner} was answered by {first.by or 'somebody'} at {utc_text(first.at)}, before you"
            return AlreadyAnswered(text, hint=f"kitaru show {first.owner}")
        moved = next((lost for lost in self.lost if lost.kind in _LOGS), None)
        return _overtaken(moved) if moved is not None else None


_LOGS = {
    "routes": ("a route of {} was moved", "kitaru route list {}"),
    "schedules": ("schedule {} was changed", "kitaru schedule log {}"),
}
"""Names whose order counts: an entry that was second would not mean what it meant when it was made."""


def _overtaken(lost: Lost) -> Diverged:
    what, look = _LOGS[lost.kind]
    by, at = lost.by or "somebody", utc_text(lost.at)
    text = f"{what.format(lost.owner)} by {by} at {at}, before you; do it again on top"
    return Diverged(text, hint=look.format(lost.owner))


def _diverged(parted: list[Parted]) -> Diverged:
    first = parted[0]
    by = f"{first.by} on {first.host}" if first.by and first.host else first.by or first.host or "somebody else"
    more = f" (and {len(parted) - 1} more)" if len(parted) > 1 else ""
    text = f"run {first.run} was continued by {by} at {utc_text(first.at)}; yours is run {first.new_run} now{more}"
    return Diverged(text, hint=f"kitaru diff {first.run} {first.new_run}")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a store stands to a remote, as of the last look there.

    Attributes:
        at: when that was, microseconds since 1970 UTC; None for never.
        ahead: runs of which something is here and not there.
        behind: runs of which something is there and not here.
        parted: runs that differ.
        names_ahead, names_behind: how many other names are on one side only.
    """

    at: int | None
    ahead: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    parted: tuple[str, ...] = ()
    names_ahead: int = 0
    names_behind: int = 0
