"""Names of ours that are made on a remote, and what becomes of those that another has taken.

Owns: that a name is claimed there or compared with the one that stands, that a log gets no gap, and the numbers of flow
versions. Who is second is noted and left to `push`; knows nothing of content, which is there by now.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from kitaru.errors import Damaged
from kitaru.store import layout, names
from kitaru.store.kinds import ANSWERS, FLOWS, RUNS, parse, read
from kitaru.store.sync import parting
from kitaru.store.sync.placing import must_get
from kitaru.store.sync.results import VersionMoved

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kitaru.store.kinds import Key
    from kitaru.store.sync.job import Job
    from kitaru.store.sync.sight import Sight


class Publishing:
    """Makes names there.

    Args:
        todo: what is brought together.
        theirs: the remote's names.

    Attributes:
        second: names that stand there where ours is another, by key.
        parting: runs that were continued on both sides, and from which segment on.
    """

    def __init__(self, todo: Job, theirs: Sight) -> None:
        self._repo, self._blobs, self._transfer = todo.repo, todo.repo.blobs, todo.transfer
        self._tracking, self._outcome, self._theirs = todo.tracking, todo.outcome, theirs
        self.second: dict[str, Key] = {}
        self.parting: dict[str, int] = {}
        self._guard = Lock()

    def compare(self, keys: Iterable[Key]) -> None:
        """Find out whether names that both have are the same; where one is not, ours is second."""
        unsure = [key for key in keys if key.key not in self._tracking.same]
        self._transfer.each(self._compare_one, unsure)

    def _compare_one(self, key: Key) -> None:
        try:
            theirs = self._transfer.get(key.key, names.MAX_NAME)
            read(key, theirs, self._transfer.remote.where(key.key))
        except (Damaged, KeyError) as error:
            self._outcome.refuse(key.key, error if isinstance(error, Damaged) else "is gone")
            return
        if theirs == must_get(self._blobs, key.key):
            self._tracking.match(key.key)
        else:
            self._is_second(key)

    def _is_second(self, key: Key) -> None:
        """Note that a name there stands where ours is another."""
        self.second[key.key] = key
        number: int | None = None
        if key.kind is RUNS:
            number = key.number
        elif key.kind is ANSWERS:
            number = parting.consumed_in(self._repo, key.owner, layout.unescape(key.key.rpartition("/")[2]))
        if number is not None:
            with self._guard:  # several threads compare the segments of one run
                self.parting[key.owner] = min(number, self.parting.get(key.owner, number))

    def publish(self, group: Iterable[Key]) -> None:
        """Make names of one kind there; of a log no entry behind one that is not ours there."""
        logs: dict[str, list[Key]] = {}
        for key in group:
            logs.setdefault(key.log if key.kind.is_log else key.key, []).append(key)
        self.compare(key for keys in logs.values() for key in keys if key.key in self._theirs.names)
        self._transfer.each(self._publish_log, logs.values())

    def _publish_log(self, entries: list[Key]) -> None:
        for key in sorted(entries, key=lambda entry: entry.number):
            stands = key.key in self._tracking.same if key.key in self._theirs.names else self.claim(key)
            if not stands:
                return

    def claim(self, key: Key) -> bool:
        """Make a name there, and return whether what is there now is the same."""
        data = must_get(self._blobs, key.key)
        if self._transfer.create(key.key, data, len(data)):
            self._tracking.match(key.key)
            if key.kind is not RUNS:
                self._outcome.count(key.kind.directory)
            return True
        self._compare_one(key)  # somebody came between; or it was us, whose first try was answered late
        return key.key in self._tracking.same

    # -- flow versions ---------------------------------------------------------------------------------------------

    def versions(self, group: Iterable[Key]) -> None:
        """Give flow versions of ours numbers there: their own, or where that is taken the next that is free."""
        theirs = self._theirs.logs(FLOWS.directory)
        ours: dict[str, list[Key]] = {}
        for key in group:
            ours.setdefault(key.log, []).append(key)
        self._transfer.each(lambda log: self._publish_versions(ours[log], theirs.get(log, [])), ours)

    def _publish_versions(self, ours: list[Key], theirs: list[Key]) -> None:
        digests = {digest for key in theirs if (digest := self._digest_there(key))}
        last = theirs[-1].number if theirs else 0
        for key in sorted(ours, key=lambda entry: entry.number):
            data = must_get(self._blobs, key.key)
            fields = read(key, data, self._blobs.where(key.key))
            while key.key not in self._tracking.same and fields["digest"] not in digests:
                last += 1
                digests.add(self._claim_version(key.owner, last, data, key))
            if key.key not in self._tracking.same:
                self.second[key.key] = key

    def _claim_version(self, flow: str, number: int, data: bytes, key: Key) -> str:
        """Give a version of ours a number there, unless it is taken; return the digest of the version that has it."""
        name = layout.flow_key(flow, number)
        won = self._transfer.create(name, data, len(data))
        standing = data if won else self._transfer.get(name, names.MAX_NAME)
        fields = read(parse(name), standing, self._transfer.remote.where(name))
        if standing == data and name == key.key:
            self._tracking.match(name)
        if won:
            self._outcome.count(FLOWS.directory)
            self._outcome.versions.append(VersionMoved(flow, number, fields["id"]))
        return str(fields["digest"])

    def _digest_there(self, key: Key) -> str:
        """Return the digest of a version that the remote has; empty where its name cannot be read."""
        if key.key in self._tracking.same:
            return names.version(self._blobs, key.owner, key.number).digest
        try:
            data = self._transfer.get(key.key, names.MAX_NAME)
            fields = read(key, data, self._transfer.remote.where(key.key))
        except (KeyError, Damaged) as error:
            self._outcome.refuse(key.key, error if isinstance(error, Damaged) else "is gone")
            return ""
        if self._blobs.exists(key.key):  # else nothing of ours is in its way, and it comes with a pull
            if must_get(self._blobs, key.key) == data:
                self._tracking.match(key.key)
            else:
                self.second[key.key] = key
        return str(fields["digest"])
