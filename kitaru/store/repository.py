"""The store, as the floors above see it: runs, objects and names, and nothing of how they lie on disk.

Owns: opening a store, and which part of this package does what. Write order: objects, then the record that names them,
then the name that reaches it; read in reverse.
"""

from __future__ import annotations

import contextlib
import os
import socket
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kitaru.errors import Damaged, PrunedRun, RunHeld, StoreError, UnknownFormat, UnknownRun
from kitaru.model.moments import utc_text
from kitaru.store import envelope, layout, loose, names, recovery, runs
from kitaru.store.names import AnswerName, CancelName, KeyName, PrunedName, VersionName
from kitaru.store.objects import ObjectFinder
from kitaru.store.segments import Segments
from kitaru.store.strand import FrameCache
from kitaru.store.writer import RunWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kitaru.blobs.contract import Lock, Workspace
    from kitaru.model.records import Stored
    from kitaru.store.partial import Elsewhere, Partial
    from kitaru.store.trust import Trust

__all__ = ["AnswerName", "CancelName", "KeyName", "PrunedName", "Repository", "RunWriter", "VersionName"]

LOCK_WAIT_S = 0.5
"""How long a lock is tried for: a status probe takes it too, for microseconds."""


class Repository:
    """A store of format 1.

    Args:
        blobs: where it lies.
        random_bytes: source of nonces.
    """

    def __init__(self, blobs: Workspace, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self.blobs = blobs
        self._random_bytes = random_bytes
        self._cache = FrameCache()
        self._numbers: dict[tuple[str, str], int] = {}
        self._digests: dict[str, str] = {}
        self._digest_of: Callable[[str], str] = lambda _: ""
        self.segments = Segments(blobs)
        self._objects = ObjectFinder(self.segments, self._cache)

    @classmethod
    def create(cls, blobs: Workspace, random_bytes: Callable[[int], bytes] = os.urandom) -> Repository:
        """Make an empty store; harmless where one is."""
        blobs.create(layout.FORMAT_KEY, names.canonical(layout.FORMAT) + b"\n")
        return cls.open(blobs, random_bytes)

    @classmethod
    def open(cls, blobs: Workspace, random_bytes: Callable[[int], bytes] = os.urandom) -> Repository:
        """Open a store.

        Raises:
            UnknownFormat: it is none, or one of another version.
            Damaged: its format cannot be read.
        """
        where = blobs.where(layout.FORMAT_KEY)
        try:
            data = blobs.get(layout.FORMAT_KEY, limit=names.MAX_NAME)
        except KeyError:
            raise UnknownFormat(where, "none") from None
        names.check_format(data, where)
        return cls(blobs, random_bytes)

    @cached_property
    def trust(self) -> Trust:
        """Whose code may be executed from here."""
        from kitaru.store.trust import Trust

        return Trust(self.blobs)

    @cached_property
    def partial(self) -> Partial:
        """Which runs' large objects are elsewhere."""
        from kitaru.store.partial import Partial

        return Partial(self.blobs)

    def nonce(self) -> str:
        """Return a new nonce, for a name or for what is put aside."""
        return self._random_bytes(12).hex()

    # -- runs ----------------------------------------------------------------------------------------------------

    def run_ids(self) -> list[str]:
        """Return the ids of all runs but the pruned, sorted; what is no run's directory is left to `check`."""
        parts = {*self.blobs.children(layout.OPEN), *self.blobs.children(layout.RUNS)}  # a journal moves this way
        parts -= set(self.blobs.children(layout.PRUNED))
        return self._unescaped(parts)

    def pruned_ids(self) -> list[str]:
        """Return the ids of all runs that have a tombstone, sorted."""
        return self._unescaped(self.blobs.children(layout.PRUNED))

    def _unescaped(self, parts: Iterable[str]) -> list[str]:
        ids = []
        for part in parts:
            with contextlib.suppress(ValueError):
                ids.append(layout.unescape(part))
        return sorted(ids)

    def has_run(self, run: str) -> bool:
        """Tell whether anything is kept under this run id.

        `open/` is looked at first: a journal that is sealed meanwhile moves from there to the names.
        """
        return bool(self.blobs.children(layout.open_key(run)) or self.blobs.children(layout.run_key(run)))

    def records(self, run: str) -> list[Stored]:
        """Return a run's own records in chain order, each verified.

        Raises:
            UnknownRun: there are none.
            Damaged: what is stored is not what was written.
        """
        return self.run_content(run).records

    def run_content(self, run: str) -> runs.RunContent:
        """Return all that is recorded of a run, as `records` does, and where it lies."""
        content = runs.read_run(self.segments, run, self._cache)
        if not content.records:
            raise UnknownRun(run)
        for journal in content.journals:
            self._objects.keep(journal.key, journal.strand)
        return content

    def begin(self, run: str) -> RunWriter:
        """Open a new run for writing; one that was begun, but of which nothing was recorded, is still new.

        Raises:
            StoreError: there is a run of that id.
            RunHeld: another process is just making it.
        """
        lock = self._lock(run)
        try:
            content = self._content(run)
            if content.records or self.tombstone(run) is not None:
                raise StoreError(  # noqa: TRY301 - lets go of the lock, as every other failure here
                    f"there is a run {run} already", hint=f"kitaru log {run}"
                )
            told = recovery.seal_leftovers(self.blobs, run, content, self.nonce)
            return self._writer(run, lock, content, "; ".join(told))
        except BaseException:
            lock.release()
            raise

    def _content(self, run: str) -> runs.RunContent:
        try:
            return runs.read_run(self.segments, run, self._cache)
        except UnknownRun:
            return runs.RunContent()

    def reopen(self, run: str) -> RunWriter:
        """Open a run for writing again: what a dead process left open of it is sealed first.

        Raises:
            UnknownRun: nothing is recorded of it.
            PrunedRun: it was removed on purpose.
            RunHeld: another process, or thread, executes it.
            Damaged: what is stored is not what was written.
        """
        if not self.has_run(run):
            raise UnknownRun(run)
        lock = self._lock(run)
        try:
            self.check_unpruned(run)
            content = self.run_content(run)
            died = any(not stray.has_records for stray in content.strays)
            told = recovery.seal_leftovers(self.blobs, run, content, self.nonce)
            return self._writer(run, lock, content, "; ".join(told), died=died)
        except BaseException:
            lock.release()
            raise

    def _writer(self, run: str, lock: Lock, content: runs.RunContent, tail: str, *, died: bool = False) -> RunWriter:
        host = socket.gethostname()
        return RunWriter(self.blobs, run, lock, content, nonce=self.nonce, host=host, tail=tail, died=died)

    def _lock(self, run: str) -> Lock:
        lock = self.blobs.lock(layout.lock_name(run), wait_s=LOCK_WAIT_S)
        if lock is None:
            raise RunHeld(f"run {run} is being executed by {self.holder(run)}", hint="kitaru status")
        return lock

    def is_held(self, run: str) -> bool:
        """Tell whether a process or thread executes this run now."""
        return self.blobs.is_locked(layout.lock_name(run))

    def holder(self, run: str) -> str:
        """Return who executes a run, as far as its journal tells: `process 123 on host`, or `another process`."""
        for key in runs.open_keys(self.blobs, run):
            with contextlib.suppress(KeyError, Damaged):
                journal = envelope.parse_header(self.blobs.get(key), self.blobs.where(key))
                if _may_live(journal.host, journal.pid):
                    return f"process {journal.pid} on {journal.host}"
        return "another process"

    def settle_run(self, run: str) -> None:
        """Make durable what is recorded of a run, before another run branches from it or it is pushed."""
        for key in runs.open_keys(self.blobs, run):
            self.blobs.settle(key, content=True)
        self.blobs.settle(layout.run_key(run, 1))

    def tombstone(self, run: str) -> PrunedName | None:
        """Return who pruned a run and when, if anybody did."""
        return names.tombstone(self.blobs, run)

    def check_unpruned(self, run: str) -> None:
        """Raise PrunedRun if somebody pruned this run."""
        found = self.tombstone(run)
        if found is not None:
            raise PrunedRun(run, found.by, utc_text(found.at))

    def prune(self, run: str, *, at: int, by: str, may: Callable[[Sequence[Stored]], bool] | None) -> bool:
        """Put a tombstone on a run that nobody executes; its bytes stay until `gc` finds that nothing needs them.

        Args:
            may: asked with the run's records while its lock is held, for until then it may be carried on; None asks
                nothing, and does not even read the run.

        Returns:
            Whether there is a tombstone now.

        Raises:
            RunHeld: a process executes it.
        """
        lock = self._lock(run)
        try:
            if self.tombstone(run) is None:
                if may is not None and not may(self.records(run)):
                    return False
                names.put_tombstone(self.blobs, run, {"by": by, "at": at, "nonce": self.nonce()})
            return True
        finally:
            lock.release()

    # -- objects -------------------------------------------------------------------------------------------------

    def object(self, object_id: str, runs: Sequence[str] = ()) -> bytes:
        """Return an object's bytes, verified: from these runs, if they have it, or from wherever it is.

        Raises:
            UnknownObject: it is nowhere.
            Damaged: the one place where it is holds something else.
            RemoteError: it is on a remote, where a partial run left it, and cannot be had.
        """
        return self._objects.find(object_id, runs)

    def large_object(self, object_id: str, runs: Sequence[str] = ()) -> bytes | memoryview:
        """As `object`, for one that is likely large: it comes as it lies in its file, where that can be had."""
        return self._objects.view(object_id, runs)

    def object_here(self, object_id: str, runs: Sequence[str] = ()) -> bytes:
        """As `object`, but never brought from a remote; with `runs`, only what these have, or what has a file."""
        return self._objects.find(object_id, runs, here=True)

    def look_elsewhere(self, elsewhere: Elsewhere) -> None:
        """Have objects that are not here brought, from now on, as they are read: those of partial runs."""
        self._objects.elsewhere = elsewhere

    def find_objects(self, prefix: str) -> list[str]:
        """Return the ids of all objects that begin with `prefix`, sorted."""
        return self._objects.ids(prefix)

    def tell_digests(self, digest_of: Callable[[str], str]) -> None:
        """Have versions told apart by the digests of their values from now on; it returns "" for what is none."""
        self._digest_of = digest_of

    def put_objects(self, objects: Iterable[tuple[str, bytes]]) -> None:
        """Keep objects that belong to no run, such as an answer's value: durable when this returns."""
        for object_id, data in objects:
            loose.write(self.blobs, object_id, data, self.nonce)

    # -- names ---------------------------------------------------------------------------------------------------

    def flows(self) -> list[str]:
        """Return the names of all flows that have a version, sorted."""
        return names.flows(self.blobs)

    def versions(self, flow: str) -> list[VersionName]:
        """Return a flow's versions, oldest first."""
        return names.versions(self.blobs, flow)

    def version_number(self, flow: str, version: Mapping[str, Any]) -> int:
        """Return the number that a version has now, which a record names as `{"id", "n"}`.

        Where two stores gave the same number, one of them gave way since; the id stays. Where both recorded the same
        code, one id has no name any more, and the digest finds the other. What cannot be found so, or read, has the
        number that it had when it was recorded.
        """
        n, version_id = version.get("n"), str(version.get("id"))
        recorded = n if type(n) is int else 0
        for number in dict.fromkeys((self._numbers.get((flow, version_id), recorded), recorded)):
            with contextlib.suppress(KeyError, ValueError, StoreError):
                if number > 0 and self._is_version(names.version(self.blobs, flow, number), version_id):
                    return number
        with contextlib.suppress(KeyError, ValueError, StoreError):
            known = names.versions(self.blobs, flow)
            digest = "" if any(name.id == version_id for name in known) else self._digest(version_id)
            for name in known:
                if name.id == version_id or (digest and name.digest == digest):
                    self._numbers[flow, version_id] = name.n
                    return name.n
        return recorded

    def _is_version(self, name: VersionName, version_id: str) -> bool:
        return name.id == version_id or name.digest == (self._digests.get(version_id) or None)

    def _digest(self, version_id: str) -> str:
        """Return the digest of a version that has no name; empty where that cannot be told."""
        if version_id not in self._digests:
            self._digests[version_id] = self._digest_of(version_id)
        return self._digests[version_id]

    def add_version(self, flow: str, *, id: str, digest: str, at: int, by: str) -> VersionName:
        """Give a flow its next version; when another process is first with the same digest, that one is returned."""
        fields = {"id": id, "digest": digest, "at": at, "by": by, "nonce": self.nonce()}
        return names.add_version(self.blobs, flow, fields)

    def answer(self, run: str, wait_digest: str, *, settle: bool = False) -> AnswerName | None:
        """Return the answer to a wait, if there is one; with `settle`, durable: before it is acted on."""
        found = names.answer(self.blobs, run, wait_digest)
        if found is not None and settle:
            self.blobs.settle(layout.answer_key(run, wait_digest))
        return found

    def put_answer(
        self, run: str, wait_digest: str, *, value: str, by: str, at: int, note: str = "", source: str = "person"
    ) -> tuple[bool, AnswerName]:
        """Answer a wait whose value's objects are there: whether this answer won, and the one that stands."""
        fields = {"value": value, "by": by, "at": at, "note": note, "nonce": self.nonce(), "source": source}
        return names.put_answer(self.blobs, run, wait_digest, fields)

    def is_answered(self, run: str) -> bool:
        """Tell whether any wait of a run has an answer: one look at the disk, for who looks often."""
        return bool(self.blobs.children(layout.answer_key(run)))

    def cancellation(self, run: str, *, settle: bool = False) -> CancelName | None:
        """Return the request to cancel a run, if there is one; with `settle`, durable: before it is acted on."""
        found = names.cancellation(self.blobs, run)
        if found is not None and settle:
            self.blobs.settle(layout.cancel_key(run))
        return found

    def put_cancellation(self, run: str, *, by: str, at: int, reason: str) -> tuple[bool, CancelName]:
        """Ask for a run to be cancelled: whether this request won, and the one that stands."""
        fields = {"by": by, "at": at, "reason": reason, "nonce": self.nonce()}
        return names.put_cancellation(self.blobs, run, fields)

    def is_cancellation_there(self, run: str) -> bool:
        """Tell whether somebody asked for a run to be cancelled: one look at the disk, for who looks often."""
        return self.blobs.exists(layout.cancel_key(run))

    def start_key(self, flow: str, key: str) -> KeyName | None:
        """Return which run of a flow was started for a key, if one was."""
        return names.start_key(self.blobs, flow, key)

    def put_start_key(self, flow: str, key: str, run: str, *, by: str, at: int) -> tuple[bool, KeyName]:
        """Name the run that is to be started for a key: whether this name won, and the one that stands."""
        fields = {"run": run, "by": by, "at": at, "nonce": self.nonce()}
        return names.put_start_key(self.blobs, flow, key, fields)


def _may_live(host: str, pid: int) -> bool:
    """Tell whether a process may be alive: on another host, who knows."""
    if host != socket.gethostname():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
