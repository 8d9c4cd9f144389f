"""Finding and reading: what can be asked of a project without executing anything.

Owns: the reading verbs, and the services (clock, randomness, user) that all verbs share. The real ones come in here.
"""

from __future__ import annotations

import getpass
import os
import socket
import time
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError, UnknownCall
from kitaru.model.history import RunState, Status, WaitView, live_status
from kitaru.model.ids import parse_call, parse_revision
from kitaru.model.summary import RunSummary, summarize
from kitaru.project import finding
from kitaru.project.giving_up import GivingUp
from kitaru.project.partial import FromRemotes
from kitaru.store.states import run_state

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kitaru.config import Config
    from kitaru.errors import Damaged
    from kitaru.model.history import CallView
    from kitaru.model.ids import CallName
    from kitaru.model.lineage import Lineage
    from kitaru.project.following import Follower, Line
    from kitaru.runtime.events import Services
    from kitaru.runtime.values import Values
    from kitaru.store.catalog import Listing
    from kitaru.store.repository import AnswerName, Repository


@dataclass(frozen=True, slots=True)
class OpenWait:
    """A question that waits for an answer, and the run that asks it."""

    state: RunState
    view: WaitView


def real_services(config: Config) -> Services:
    """Return the clock, randomness and user of this machine."""
    from kitaru.runtime.events import Services

    return Services(
        clock_us=lambda: time.time_ns() // 1000,
        random_bytes=os.urandom,
        user=config.user_name or _login(),
        host=socket.gethostname(),
        pid=os.getpid(),
    )


def _waits_of(state: RunState, all: bool) -> list[WaitView]:
    """Return the open waits of a run; with `all`, also the questions it asked itself that are open no more."""
    open_ = state.open_waits
    asked = [w for w in state.ordered_waits if w.run == state.run and not w.is_sleep] if all else []
    return [*open_, *(view for view in asked if view not in open_)]


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


class Reading:
    """A project as it is read.

    Args:
        root: the directory with the `.kitaru/` in it.
        repo: its store.
        config: its settings.
        services: clock, randomness and user; the machine's own by default.

    Attributes:
        damaged: run id to error, of the runs that the last `log()`, `waits()` or `@` could not read and left out.
    """

    def __init__(self, root: Path, repo: Repository, config: Config, services: Services | None = None) -> None:
        self.root, self.repo, self.config = root, repo, config
        self._services = services
        self.damaged: dict[str, Damaged] = {}
        self.elsewhere = FromRemotes(repo, lambda: self.config)
        repo.look_elsewhere(self.elsewhere)
        repo.tell_digests(self._digest_of)

    def complete(self, runs: Iterable[str] = ()) -> list[str]:
        """Bring the large objects of runs that were pulled without them, and return which these were.

        Args:
            runs: any revisions that name runs; all that lack something by default.

        Raises:
            RemoteError: a remote said no, or nothing, or does not have it; what came until then is kept.
        """
        found = [self.find_run(run) for run in runs] or [mark.run for mark in self.repo.partial.marks()]
        found = [run for run in found if self.repo.partial.is_marked(run)]
        self.elsewhere.complete(found)
        return found

    @property
    def services(self) -> Services:
        """Clock, randomness, user."""
        if self._services is None:
            self._services = real_services(self.config)
        return self._services

    @cached_property
    def giving_up(self) -> GivingUp:
        """Which runs workers leave alone."""
        return GivingUp(self.config)

    @cached_property
    def values(self) -> Values:
        """Encodes and decodes values of this project; none with a secret in it is stored from now on."""
        from kitaru.runtime.names import ClassNames
        from kitaru.runtime.redaction import hide_credentials
        from kitaru.runtime.values import Values

        hide_credentials()
        if self.config.tables.get("secrets"):
            from kitaru.llm.secrets import learn

            learn(self.config.settings)
        return Values(ClassNames(self.root), self.repo.object, self.repo.large_object)

    # -- finding ---------------------------------------------------------------------------------------------------

    def find_run(self, text: str) -> str:
        """Return the id of the run that a revision names: `@`, `@~2`, an id, or a unique prefix.

        Raises:
            BadRevision, UnknownRun, AmbiguousRevision
        """
        return finding.find_run(self.repo, text, lambda: self._summaries().ids())

    def find_call(self, text: str) -> tuple[RunState, CallView]:
        """Return the call that a revision names, `RUN:call` or `RUN:call#2`, with its run; raises also UnknownCall."""
        state = self.state(self.find_run(text))
        wanted = parse_revision(text).call
        if wanted is None:
            raise UnknownCall(state.run, "", [c.label for c in state.ordered_calls])
        return state, finding.find_call(state, wanted)

    def find_wait(self, text: str) -> tuple[RunState, WaitView] | None:
        """Return the wait that a revision names, with its run, or None where it names no wait."""
        state = self.state(self.find_run(text))
        wanted = parse_revision(text).call
        view = finding.find_wait(state, wanted) if wanted is not None else None
        return (state, view) if view is not None else None

    def find_object(self, prefix: str) -> str:
        """Return the whole id of an object from a unique prefix; raises UnknownObject, AmbiguousRevision."""
        return finding.find_object(self.repo, prefix)

    def rev_parse(self, text: str) -> str:
        """Return the run id, the record id of a call or wait, or the object id that a revision names."""
        return finding.rev_parse(self.repo, text, self.find_run, self.state)

    # -- reading ---------------------------------------------------------------------------------------------------

    def log(
        self,
        *,
        flow: str | None = None,
        status: str | None = None,
        tags: Iterable[str] = (),
        since_us: int | None = None,
        limit: int | None = None,
    ) -> list[RunSummary]:
        """Return summaries of runs, newest first, with their live status.

        Args:
            flow: only runs of this flow.
            status: only runs that stand so now.
            tags: only runs that have all of these.
            since_us: only runs started at or after this, microseconds since 1970 UTC.
            limit: at most so many.
        """
        return self.log_page(limit, flow=flow, status=status, tags=tags, since_us=since_us)[0]

    def log_page(
        self,
        limit: int | None,
        *,
        flow: str | None = None,
        status: str | None = None,
        tags: Iterable[str] = (),
        since_us: int | None = None,
        count: bool = False,
    ) -> tuple[list[RunSummary], int]:
        """Return the first of what `log` lists, and how many more there are: counted only with `count`, else 0.

        The summaries of those beyond the limit are not decoded, but for a status.
        """
        found, wanted = self._summaries(), frozenset(tags)
        if since_us is not None:
            found = found.since(since_us)
        if flow or wanted:
            found = found.narrowed(
                lambda s: (not flow or s["flow"] == flow) and all(tag in s["tags"] for tag in wanted)
            )
        if status is None:
            shown = [self._live(summary) for summary in found[:limit]]
            return shown, len(found) - len(shown)
        if status not in (Status.COMPLETED, Status.CANCELLED):
            found = found.unfinished()
        found = found.narrowed(lambda s: s["status"] in (status, Status.RUNNING))  # which may stand otherwise by now
        fitting = (live for s in found if (live := self._live(s)).status == status)
        return list(islice(fitting, limit)), sum(1 for _ in fitting) if count else 0

    def unfinished(self) -> tuple[list[RunSummary], int]:
        """Return the runs that may still go on, newest first, with their live status; and how many runs there are.

        Those that failed are among them. Only these are decoded, whatever else there is.
        """
        found = self._summaries()
        return [self._live(summary) for summary in found.unfinished()[:]], len(found)

    def _summaries(self) -> Listing:
        from kitaru.store.catalog import Catalog

        catalog = Catalog(self.repo)
        summaries = catalog.summaries()
        self.damaged = catalog.damaged  # what is read later may add to it
        return summaries

    def _live(self, summary: RunSummary) -> RunSummary:
        may_be_given_up = self.giving_up.is_given_up(summary)
        if (summary.status != Status.RUNNING and not may_be_given_up) or self.repo.is_held(summary.run):
            return summary
        from dataclasses import replace

        summary = summarize(summary.run, self.repo.records(summary.run))  # it may have come to its end meanwhile
        recorded = {"id": summary.version_id, "n": summary.version}
        return replace(
            summary,
            status=live_status(Status(summary.status), held=False),
            version=self.repo.version_number(summary.flow, recorded),
            given_up=self.giving_up.is_given_up(summary),
        )

    def state(self, run: str) -> RunState:
        """Return all that is recorded of a run, by its whole id; `status` is the live one.

        Raises:
            UnknownRun: there is no such run.
            Damaged: what is stored is not what was written.
        """
        state, _ = run_state(self.repo, run)
        while state.status is Status.RUNNING and not self.repo.is_held(run):
            before = state.head  # it may have come to its end between the look at its records and that at its lock
            state, _ = run_state(self.repo, run)
            if state.head == before:
                state.status = live_status(state.status, held=False)
        return state

    def logs(self, run: str, call: str | None = None) -> tuple[RunState, list[Line]]:
        """Return a run, and what it did and wrote, as it was in time; of its calls in flight too.

        Args:
            run: any revision that names it.
            call: only this call: `fetch#2`, or all of a name.

        Raises:
            UnknownRun, UnknownCall
        """
        from kitaru.project.following import recorded_lines
        from kitaru.store.live import LiveReader, path_of

        state, only = self._wanted(run, call)
        pieces = LiveReader(path_of(self.repo.blobs, state.run)).read() if self.repo.is_held(state.run) else []
        value = partial(self.value, run=state.run)
        return state, recorded_lines(self.repo, state.run, value, only, pieces)

    def follow(self, run: str, call: str | None = None, *, wait: bool = False) -> Follower:
        """Return what follows a run, from any process: its `lines()` come as things happen.

        Args:
            run, call: as of `logs`; a call that has not begun yet can be followed too, while the run executes.
            wait: go on while the run waits with no process, until it is over.
        """
        from kitaru.project.following import Follower

        state, only = self._wanted(run, call)
        return Follower(self.repo, state.run, partial(self.value, run=state.run), only=only, wait=wait)

    def _wanted(self, run: str, call: str | None) -> tuple[RunState, CallName | None]:
        """Return a run and the call that is wanted of it, by its name or in the revision.

        Raises:
            UnknownCall: the run has none such, and comes to none any more.
        """
        state, named = self.state(self.find_run(run)), parse_revision(run).call
        only = parse_call(call) if call is not None else named
        known = {view.name for view in state.calls.values()}
        if only is not None and only.name not in known and state.status is not Status.RUNNING:
            raise UnknownCall(state.run, str(only), [c.label for c in state.ordered_calls])
        return state, only

    def waits(self, *, all: bool = False) -> list[OpenWait]:
        """Return the open waits of all runs, questions and sleeps, oldest first; with `all`, every question asked."""
        found = self._summaries()
        summaries = found[:] if all else found.unfinished()[:]
        asking = [s.run for s in summaries if s.waits or s.wakes or (all and s.asked)]
        waits = [OpenWait(state, view) for state in map(self.state, asking) for view in _waits_of(state, all)]
        return sorted(waits, key=lambda w: w.view.record.at)

    def given(self, state: RunState, view: WaitView) -> AnswerName | None:
        """Return the answer that was given to an open wait and that its run has not taken yet, or None."""
        if not view.is_open or state.end is not None:
            return None
        return self.repo.answer(state.run, view.record.digest)

    def value(self, object_id: str, run: str | None = None) -> object:
        """Return the value of an object, for showing: classes that are not loaded come as `Opaque` records.

        Args:
            run: where to look first.

        Raises:
            UnknownObject, Damaged
        """
        runs = run_state(self.repo, run)[1] if run else []
        return self.values.decoder(runs, opaque=True).decode(object_id)

    def raw(self, object_id: str) -> bytes:
        """Return the bytes of an object, whose SHA-256 is its id; raises UnknownObject, Damaged."""
        return self.repo.object(object_id)

    def version(self, recorded: dict[str, Any]) -> dict[str, Any]:
        """Return a flow version as a record names it: entry, files, inputs' schema, environment, git state."""
        from kitaru.runtime.versions import describe

        return describe(self.values, recorded)

    def _digest_of(self, id: str) -> str:
        """Return the digest of a version by the id of its value; empty of what cannot be read."""
        from kitaru.runtime.versions import digest_of

        try:
            return digest_of(self.version({"id": id}))
        except (KitaruError, ValueError):
            return ""

    def lineage(self, state: RunState, call: CallView) -> Lineage:
        """Return where a call's arguments came from and where its output went."""
        from kitaru.model.lineage import is_trivial, lineage

        return lineage(state, call, lambda object_id: is_trivial(self.repo.object(object_id, [state.run])))

    def holder(self, run: str) -> str:
        """Return which process executes a run, as far as it can be told."""
        return self.repo.holder(run)
