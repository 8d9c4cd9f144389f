"""Claiming a run that lives on a remote, for as long as it is carried on here.

Owns: when a claim is made, that it is renewed while the run executes, what becomes of a run whose claim was lost, and
how a worker hands a claim over to the process it starts. What a claim is, the store knows. Shows nothing.

A claim that was handed over is not looked at before a third of its lease is over: a run that is done sooner costs no
connection at all.
"""

from __future__ import annotations

import json
import os
import re
import threading
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from kitaru.errors import KitaruError, RemoteError, RunClaimed, RunInterrupted
from kitaru.store import claims, layout, names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kitaru.blobs.contract import RemoteBlobs
    from kitaru.project.remotes import Remote
    from kitaru.project.remoting import Remoting
    from kitaru.store.claims import Claim, Holder
    from kitaru.store.repository import Repository

HANDED_OVER = "KITARU_CLAIM"
"""The environment variable by which a worker tells the process that it starts which claim that is to renew."""
BEATS = 3
"""A claim is renewed so many times a lease."""
LOOK_S = 1.0
"""How often it is looked whether one is due."""
LAST_WORD_S = 5.0
"""How long the end of a run waits for a renewal that is under way."""
_NONCE = re.compile("[0-9a-f]{24}")
UNPUSHED_US = claims.MAX_LEASE_US
"""How long others are kept from a run that was carried on here, for it to be pushed."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A claim as one process hands it over to another."""

    run: str
    remote: str
    segment: int
    number: int
    nonce: str

    def to_text(self) -> str:
        """Return it as an environment variable holds it."""
        return json.dumps(asdict(self))


def handed_over() -> Handed | None:
    """Return the claim that this process was given, if it was, and forget it: it is not for what it starts in turn."""
    text = os.environ.pop(HANDED_OVER, "")
    try:
        return Handed(**json.loads(text)) if text else None
    except (ValueError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class Home:
    """The remote that a run lives on.

    Attributes:
        name: as it is configured.
        open: connects to it.
        same: so many of the run's segments are known to be the same there as here.
    """

    name: str
    open: Callable[[], RemoteBlobs]
    same: int


def home_of(project: Remoting, run: str, among: Iterable[Remote]) -> Home | None:
    """Return the first of some remotes that a run lives on, as far as is known here; nothing is asked."""
    from kitaru.store.sync.tracking import Tracking

    for remote in among:
        tracking = Tracking.open(project.repo.blobs, remote.name, remote.place)
        if tracking.has_run(run):
            same = 0
            while layout.run_key(run, same + 1) in tracking.same:
                same += 1
            return Home(remote.name, remote.connect, same)
    return None


def hold_of(project: Remoting) -> Hold | None:
    """Return what claims a run of a project when it is taken up; None where there is no remote."""
    handed = handed_over()
    if not project.config.tables.get("remotes"):
        return None
    services = project.services
    nonce = handed.nonce if handed is not None else _nonce_of(project)
    who = claims.Holder(nonce, services.user, services.host, services.clock_us)

    def find(run: str) -> Home | None:
        if handed is not None and handed.run == run:
            return Home(handed.remote, project.remote(handed.remote).connect, 0)
        return home_of(project, run, project.remotes())

    return Hold(project.repo, find, who, handed)


def _nonce_of(project: Remoting) -> str:
    """Return what tells this store from others, so that a run it was kept from others for is not kept from itself.

    Between the processes here, the run's lock decides. It may be lost with the cache, and is another one then.
    """
    made = project.services.random_bytes(12).hex()
    directory = project.repo.blobs.scratch
    if directory is None:
        return made
    path = directory / "holder"
    with suppress(OSError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(fd, made.encode())
            os.close(fd)
        found = path.read_text("utf-8")
        return found if _NONCE.fullmatch(found) else made
    return made


def hold_handed_over(project: Remoting, run: str) -> Hold | None:
    """Return what renews the claim that this process was given for a run that it has begun; None where it was not."""
    text = os.environ.get(HANDED_OVER, "")
    hold = hold_of(project) if text and json.dumps(run) in text else None
    if hold is not None:
        hold.take(run)
    return hold


class Hold:
    """The claim of one execution of a run, from before it is taken up until it is over.

    Args:
        find: returns where a run lives; None where on no remote.
        who: who claims.
        handed: the claim that this process was given.
    """

    def __init__(
        self, repo: Repository, find: Callable[[str], Home | None], who: Holder, handed: Handed | None = None
    ) -> None:
        self._repo, self._find, self._who, self._handed = repo, find, who, handed
        self._open: Callable[[], Claim] | None = None
        self._claim: Claim | None = None
        self._run, self._had = "", 0

    def take(self, run: str) -> None:
        """Claim a run that this process has locked, where it lives on a remote; again is harmless.

        Raises:
            RunClaimed: another machine carries it on.
            Diverged: another machine has.
            RemoteError: the remote cannot be asked.
        """
        if self._run:
            return
        if self._handed is not None and self._handed.run != run:
            self._handed = None
        here = [name.segment for name in names.segments(self._repo.blobs, run)]
        home = self._find(run)
        if home is not None:
            self._take(run, here, home)
        self._run, self._had = run, len(here)

    def _take(self, run: str, here: list[str], home: Home) -> None:
        handed = self._handed
        if handed is not None:
            self._open = lambda: claims.Claim(home.open(), run, handed.segment, self._who, handed.number)
            return
        try:
            self._claim = claims.take(home.open(), run, here, self._who, same=min(home.same, len(here)))
        except RemoteError as error:
            hint = f"kitaru resume {run} --offline, which may do what another machine does"
            raise type(error)(f"run {run} was not claimed: {error.message}", hint=hint) from error

    @property
    def _is_held(self) -> bool:
        return self._claim is not None or self._open is not None

    @contextmanager
    def held(self, run: str) -> Iterator[None]:
        """Claim a run for what does not take long; raises as `take`."""
        self.take(run)
        try:
            yield
        finally:
            self.end()

    @contextmanager
    def renewed(self, stop: Callable[[KitaruError], None]) -> Iterator[None]:
        """Renew the claim while the block executes; `stop` is called with the reason if it was lost."""
        over = threading.Event()
        thread = threading.Thread(target=self._renew, args=[over, stop], name="kitaru-claim", daemon=True)
        if self._is_held:
            thread.start()
        try:
            yield
        finally:
            over.set()
            if thread.is_alive():
                thread.join(LAST_WORD_S)
            if not thread.is_alive():
                self.end()

    def _renew(self, over: threading.Event, stop: Callable[[KitaruError], None]) -> None:
        for _ in self._beats(over):
            try:
                if self._claim is None and self._open is not None:
                    self._claim = self._open()
                if self._claim is not None:
                    self._claim.renew()
                    self._look_for_cancellation(self._claim)
            except RunClaimed as lost:
                self._claim = self._open = None
                return stop(_taken_over(self._run, lost))
            except KitaruError:
                continue  # nobody can tell; the segment's name decides in the end

    def _beats(self, over: threading.Event) -> Iterator[None]:
        """Yield each time a renewal is due: soon after a machine wakes, too, whose own clock stood still meanwhile."""
        every_us = self._who.lease_us // BEATS
        step_s = min(every_us / 1_000_000, LOOK_S)
        since_us, waited_s = self._who.clock_us(), 0.0
        while not over.wait(step_s):
            waited_s += step_s
            if waited_s * 1_000_000 >= every_us or self._who.clock_us() - since_us >= every_us:
                yield
                since_us, waited_s = self._who.clock_us(), 0.0

    def _look_for_cancellation(self, claim: Claim) -> None:
        """Bring the request to cancel the run here, where the engine looks for it."""
        if not self._repo.is_cancellation_there(self._run):
            asked = claim.cancellation()
            if asked is not None:
                self._repo.blobs.create(layout.cancel_key(self._run), asked)

    def end(self) -> None:
        """Give the claim back where nothing was recorded; else keep others from the run until it can be pushed.

        One that was handed over is left to who did.
        """
        claim, self._claim = self._claim, None
        if claim is None or self._handed is not None:
            return
        with suppress(KitaruError):
            if self._was_carried_on():
                claim.renew(UNPUSHED_US)
            else:
                claim.release()

    def _was_carried_on(self) -> bool:
        blobs = self._repo.blobs
        named = blobs.children(layout.run_key(self._run))
        return len(named) > self._had or bool(blobs.children(layout.open_key(self._run)))


def _taken_over(run: str, by: RunClaimed) -> RunInterrupted:
    return RunInterrupted(
        f"run {run} was stopped here, for its claim had run out: {by.message}",
        hint=f"kitaru pull, or kitaru resume {run} --offline; what a call does outside may be done twice",
    )
