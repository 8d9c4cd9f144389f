"""Sharing runs with a team: what goes to remotes and comes from them.

Owns: these verbs. How stores are brought together is `kitaru.store.sync`.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from kitaru.config import STORE, load
from kitaru.errors import AmbiguousRevision, FlowNotFound, PrunedRun, UnknownRun, UsageError
from kitaru.project import places
from kitaru.project.remoting import Remoting
from kitaru.project.targets import known_versions
from kitaru.store import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import Self

    from kitaru.blobs.contract import RemoteBlobs
    from kitaru.project.remotes import Remote
    from kitaru.runtime.events import Services
    from kitaru.store.sync.job import Pair
    from kitaru.store.sync.results import Outcome, PullChoice, Tell
    from kitaru.store.sync.tracking import Tracking


class Sharing(Remoting):
    """A project as one of several that share runs."""

    # -- push, fetch, pull ---------------------------------------------------------------------------------------

    def push(
        self,
        remote: str | None = None,
        *,
        runs: Iterable[str] = (),
        flow: str = "",
        everything: bool = False,
        dry_run: bool = False,
        unsafe: bool = False,
        strict: bool = True,
        tell: Tell | None = None,
    ) -> Outcome:
        """Send runs to a remote, with what they reach; by default those that are finished or wait.

        Args:
            remote: its name; the default one without it.
            runs: any revisions that name runs to send; without them, all that are not there yet.
            flow: only runs of this flow.
            everything: runs that were interrupted as well.
            dry_run: tell what would be done, and do nothing.
            unsafe: even to a place that cannot tell who of two writers was first.
            strict: end with the error that the push ends in; without it, `error()` of what is returned has it.
            tell: told how far it is, from several threads.

        Raises:
            UnknownRemote, UnknownRun
            FlowNotFound: nothing is recorded of `flow`.
            Diverged: a run was continued there as well: what was done here is a run of its own now. All else is pushed.
            AlreadyAnswered: somebody else answered a question first. All else is pushed.
            Damaged: something there is not what it should be. All else is pushed.
            RemoteUnreachable, RemoteRefused: nothing, or not all, was pushed; do it again.
            NotExclusive: the place cannot tell who was first, and `unsafe` was not said.
        """
        from kitaru.store import sync
        from kitaru.store.sync.results import PushChoice

        there = self.remote(remote)
        if flow:
            known_versions(self.repo, flow)
        choice = PushChoice(self._named(runs, self.find_run), flow, everything)
        if not dry_run:
            self._complete_for(there.place)
        outcome = sync.push(self._pair(there, tell), choice, dry_run=dry_run, unsafe=unsafe)
        if strict and outcome.error():
            _raise(outcome)
        return outcome

    def fetch(
        self,
        remote: str | None = None,
        *,
        runs: Iterable[str] = (),
        flow: str = "",
        since_us: int | None = None,
        runs_only: bool = False,
        strict: bool = True,
        tell: Tell | None = None,
    ) -> Outcome:
        """As `pull`, but bring only content, verified: nothing becomes visible."""
        from kitaru.store.sync import fetch

        return self._bring(
            self.remote(remote), runs, _choosing(flow, since_us, runs_only=runs_only), fetch, strict=strict, tell=tell
        )

    def pull(
        self,
        remote: str | None = None,
        *,
        runs: Iterable[str] = (),
        flow: str = "",
        since_us: int | None = None,
        runs_only: bool = False,
        dry_run: bool = False,
        strict: bool = True,
        tell: Tell | None = None,
    ) -> Outcome:
        """Bring what others pushed: runs, flow versions, answers and all other names.

        Args:
            remote: its name; the default one without it.
            runs: ids, or unique prefixes of ids, of runs there; without them, all.
            flow: only runs of this flow.
            since_us: only runs started then or later, microseconds since 1970 UTC.
            runs_only: leave large objects there until they are first read.
            dry_run, strict, tell: as of `push`.

        Raises:
            UnknownRemote, UnknownRun
            FlowNotFound: the remote has nothing of `flow`.
            Damaged: something there is not what it should be; nothing of it is visible, and all else was pulled.
            RemoteUnreachable, RemoteRefused: nothing, or not all, was pulled; do it again.
        """
        from kitaru.store.sync import pull

        there, runs, act = self.remote(remote), tuple(runs), partial(pull, dry_run=dry_run)
        choice = _choosing(flow, since_us, runs_only=runs_only)
        outcome = self._bring(there, runs, choice, act, strict=strict, tell=tell)
        if not (runs_only or dry_run or flow or since_us):
            self._complete_from(there.place, runs)
        return outcome

    def _pair(self, remote: Remote, tell: Tell | None) -> Pair:
        from kitaru.store.sync import Pair, tell_nobody

        at = self.services.clock_us()
        return Pair(self.repo, remote.connect(), self._tracking(remote), at, tell or tell_nobody)

    def _complete_for(self, place: str) -> None:
        """Bring the large objects that runs left on other remotes: they are not on this one."""
        self.elsewhere.complete(mark.run for mark in self.repo.partial.marks() if mark.url != place)

    def _complete_from(self, place: str, runs: tuple[str, ...]) -> None:
        """Bring the large objects that runs left on a remote when they were pulled without them."""
        marked = [mark.run for mark in self.repo.partial.marks() if mark.url == place]
        self.elsewhere.complete(run for run in marked if not runs or run.startswith(runs))

    def _bring(
        self,
        remote: Remote,
        runs: Iterable[str],
        choice: PullChoice,
        act: Callable[[Pair, PullChoice], Outcome],
        *,
        strict: bool,
        tell: Tell | None,
    ) -> Outcome:
        pair = self._pair(remote, tell)
        named = self._named(runs, lambda text: _find_there(pair.remote, text))
        outcome = act(pair, replace(choice, runs=named))
        if outcome.is_nothing and not pair.tracking.there:
            outcome.skip(remote.name, "nothing was pushed there yet")
        elif choice.flow and not _has_flow(pair.tracking, choice.flow):
            raise FlowNotFound(f"remote {remote.name} has nothing of a flow {choice.flow!r}", hint="kitaru pull")
        if strict and outcome.refused:
            _raise(outcome)
        return outcome

    def _named(self, runs: Iterable[str], find: Callable[[str], str]) -> tuple[str, ...]:
        """Return the ids of runs that were named; where one is none, it may have been meant for a remote."""
        found = []
        for text in runs:
            try:
                found.append(find(text))
            except PrunedRun:
                raise
            except UnknownRun as error:
                remotes = ", ".join(remote.name for remote in self.remotes())
                raise UsageError(
                    f"{text!r} names no run, and no remote: these are {remotes}", hint=error.hint
                ) from error
        return tuple(found)

    def untrusted_of(self, outcome: Outcome) -> list[str]:
        """Return the versions, as `FLOW@v3`, that came with a pull and whose code may not be executed here yet."""
        may = self.repo.trust.may_execute
        return [f"{moved.flow}@v{moved.n}" for moved in outcome.versions if not may(moved.flow, moved.id)]

    # -- a project of what a remote has ---------------------------------------------------------------------------

    @classmethod
    def clone(
        cls,
        url: str,
        directory: Path | str | None = None,
        *,
        name: str = "origin",
        endpoint_url: str = "",
        profile: str = "",
        region: str = "",
        runs_only: bool = False,
        strict: bool = True,
        tell: Tell | None = None,
    ) -> tuple[Self, Outcome]:
        """Make a project of what a remote has, in a new directory, and return what was brought with it.

        Args:
            url, endpoint_url, profile, region: as of `add_remote`.
            directory: where; called like the end of the URL by default, and not there yet, or empty.
            name: what the remote is to be called in it.
            runs_only, strict, tell: as of `pull`.

        Raises:
            UsageError: there is something in the directory already, or nothing at the URL.
            RemoteUnreachable, RemoteRefused: nothing was made.
            Damaged: something there is not what it should be; all else was cloned.
        """
        from kitaru.project import cloning

        def fill(root: Path) -> Outcome:
            places.lay_down(root)
            project = cls._of(root)
            remote = project.add_remote(name, url, endpoint_url=endpoint_url, profile=profile, region=region)
            cloning.check_store(remote)
            return project.pull(name, runs_only=runs_only, strict=False, tell=tell)

        target = cloning.target_of(url, directory)
        outcome = cloning.made_whole(target, fill)
        if strict and outcome.refused:
            _raise(outcome)
        return cls._of(target), outcome

    @classmethod
    def _of(cls, root: Path, services: Services | None = None) -> Self:
        config = load(root / STORE / "config.toml")
        return cls(root, places.open_repository(root, durable=config.durability != "process-crash"), config, services)


def _choosing(flow: str, since_us: int | None, *, runs_only: bool) -> PullChoice:
    from kitaru.store.sync.results import PullChoice

    return PullChoice(flow=flow, since_us=since_us, runs_only=runs_only)


def _has_flow(tracking: Tracking, flow: str) -> bool:
    """Tell whether a remote has a version of a flow, as it was looked at last."""
    try:
        directory = layout.flow_key(flow)
    except ValueError:
        return False
    return any(key.startswith(f"{directory}/") for key in tracking.there)


def _find_there(remote: RemoteBlobs, text: str) -> str:
    """Return the id of the run on a remote that a text is, or begins; raises UnknownRun, AmbiguousRevision."""
    found = []
    for part in remote.children(layout.RUNS):
        with contextlib.suppress(ValueError):
            run = layout.unescape(part)
            if run == text:
                return run
            found += [run] * run.startswith(text)
    if len(found) > 1:
        raise AmbiguousRevision(text, found)
    if not found or not text:
        raise UnknownRun(text)
    return found[0]


def _raise(outcome: Outcome) -> NoReturn:
    error = outcome.error()
    assert error is not None  # noqa: S101 - asked for only where something is wrong
    raise error
