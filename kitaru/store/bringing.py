"""Bringing the large objects of partial runs from the remotes where they are, as they are read.

Owns: which remote is asked, and that a run's mark goes when nothing is missing any more. How a remote is opened is its
caller's; that an object is what it should be is verified as it comes, and until then nothing of it is visible.
"""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING

from kitaru.errors import Damaged, RemoteError, UnknownObject, UnknownRun
from kitaru.model.encoding import Malformed, references
from kitaru.store import lacking, layout, loose
from kitaru.store.verified import Verified

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kitaru.blobs.contract import RemoteBlobs
    from kitaru.store.partial import Mark
    from kitaru.store.repository import Repository


class Bringer:
    """Brings objects; an `Elsewhere`. Safe between threads, which wait for one another.

    Args:
        repo: the store that they come to.
        connect: returns the remote that a mark is about; raises RemoteError where there is none any more.
        told: told a line when the first object comes from a remote.
    """

    def __init__(self, repo: Repository, connect: Callable[[Mark], RemoteBlobs], told: Callable[[str], None]) -> None:
        self._repo, self._connect, self._told = repo, connect, told
        self._remotes: dict[str, RemoteBlobs] = {}
        self._lacking: dict[str, set[str]] = {}
        self._guard = RLock()

    def fetch(self, object_id: str, runs: Sequence[str]) -> bool:
        """Bring an object, verified and durable; False if no partial run can lead to it, or it is nowhere.

        Raises:
            RemoteError: a remote said no, or nothing; or it does not have what a run of it lacks.
            Damaged: what came is not that object.
        """
        with self._guard:
            if loose.exists(self._repo.blobs, object_id):  # by another thread
                return True
            concerned = self._concerned(runs)
            for run in concerned if runs else ():
                self._note(run)
            for mark in {mark.url: mark for mark in concerned.values()}.values():
                if self._bring(mark, object_id):
                    self._came(object_id)
                    return True
            self._check_lost(object_id, concerned)
            return False

    def _check_lost(self, object_id: str, concerned: Mapping[str, Mark]) -> None:
        for run, mark in concerned.items():
            if object_id in self._lacking.get(run, ()) and not self._is_here(object_id):
                raise RemoteError(
                    f"object {object_id[:12]} of run {run} is neither here nor on {mark.remote}, where it was left",
                    hint=f"kitaru fsck --remote {mark.remote}",
                )

    def ids(self, prefix: str) -> list[str]:
        """Return the ids of large objects on remotes of partial runs that begin with at least two digits."""
        found: set[str] = set()
        for mark in {mark.url: mark for mark in self._repo.partial.marks()}.values() if len(prefix) > 1 else ():
            for listed in self._open(mark).listing(f"{layout.OBJECTS}/{prefix[:2]}"):
                object_id = "".join(listed.key.split("/")[1:])
                if layout.is_object_id(object_id) and object_id.startswith(prefix):
                    found.add(object_id)
        return sorted(found)

    def complete(self, run: str) -> None:
        """Bring all that a partial run lacks, and forget its mark; harmless where it lacks nothing.

        Raises:
            UnknownRun: there is no such run.
            RemoteError, Damaged: as `fetch`.
        """
        had: set[str] = set()
        while ids := lacking.missing(self._repo, run) - had:
            for object_id in sorted(ids):
                if not self.fetch(object_id, [run]) and not self._is_here(object_id):
                    raise UnknownObject(object_id)
            had |= ids  # what lies in no run's own files is found again each time
        self._repo.partial.unmark(run)
        self._lacking.pop(run, None)

    def _concerned(self, runs: Iterable[str]) -> dict[str, Mark]:
        """Return the marks of these runs, or all where nobody knows whose object it is."""
        marks = {mark.run: mark for mark in self._repo.partial.marks()}
        return {run: marks[run] for run in runs if run in marks} or marks

    def _bring(self, mark: Mark, object_id: str) -> bool:
        key = layout.object_key(object_id)
        try:
            remote = self._open(mark)
            if not remote.exists(key):
                return False
            pieces = remote.chunks(key, limit=loose.MAX_FILE)
            self._repo.blobs.create(key, Verified(pieces, object_id, remote.where(key)))
        except KeyError:
            return False
        except RemoteError as error:
            text = f"an object of run {mark.run} is on {mark.remote}, and cannot be had: {error.message}"
            raise type(error)(text, hint=error.hint or f"kitaru pull {mark.remote}") from error
        return True

    def _open(self, mark: Mark) -> RemoteBlobs:
        if mark.url not in self._remotes:
            self._remotes[mark.url] = self._connect(mark)
            self._told(f"large objects come from {mark.remote}")
        return self._remotes[mark.url]

    # -- what is missing still ---------------------------------------------------------------------------------------

    def _note(self, run: str) -> None:
        """Find out, once, what a run lacks."""
        if run not in self._lacking:
            try:
                self._lacking[run] = lacking.missing(self._repo, run)
            except (Damaged, UnknownRun):  # told by whoever reads it
                return

    def _came(self, object_id: str) -> None:
        """Note that an object is here now, and what it names; a run that lacks nothing any more is whole."""
        concerned = [run for run, ids in self._lacking.items() if object_id in ids]
        if not concerned:
            return
        try:
            named = [ref for ref in references(loose.read(self._repo.blobs, object_id)) if not self._is_here(ref)]
        except Malformed:
            return
        for run in concerned:
            self._lacking[run].discard(object_id)
            self._lacking[run].update(named)
            if not self._lacking[run]:
                self._repo.partial.unmark(run)
                del self._lacking[run]

    def _is_here(self, object_id: str) -> bool:
        try:
            self._repo.object_here(object_id)
        except UnknownObject:
            return False
        return True
