"""The one who writes a run: he holds its lock, appends its records, and seals its journal.

Owns: the write order (large objects, then the envelope with small objects and the record, then names), parents, and
that nothing is written after a failure. Safe to use from several threads. Knows nothing of what records mean.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from kitaru.errors import StoreError
from kitaru.model import canonical
from kitaru.model.records import Stored
from kitaru.store import envelope, layout, loose, recovery
from kitaru.store.journal import JournalWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from kitaru.blobs.contract import Lock, Workspace
    from kitaru.model.encoding import Part
    from kitaru.model.records import Record
    from kitaru.store.runs import RunContent

MAX_JOURNAL = 64 * 1024 * 1024
"""A journal beyond this is sealed and another begun, so that reading one takes bounded memory."""


class RunWriter:
    """A run open for writing.

    Attributes:
        run: its id.
        records: all its records, those committed here included.
        known: ids of the objects that need not be given again.
        tail: what was cut off the end of a journal that a crash had left, and where it is kept; "" if nothing.
        died: who held the run before died before he recorded anything: a journal without a record was left of him.
    """

    def __init__(
        self,
        blobs: Workspace,
        run: str,
        lock: Lock,
        content: RunContent,
        *,
        nonce: Callable[[], str],
        host: str,
        tail: str = "",
        died: bool = False,
    ) -> None:
        self.run, self.tail, self.died = run, tail, died
        self.records: list[Stored] = content.records
        self.known: set[str] = content.known
        self._blobs, self._run_lock, self._nonce, self._host = blobs, lock, nonce, host
        self._segments = len(content.segments)
        self._head = content.head
        self._guard = threading.RLock()
        self._staged: dict[str, None] = {}
        self._settling = threading.Lock()
        self._journal: JournalWriter | None = None
        self._journal_nonce = ""
        self._broken: StoreError | None = None
        self._closed = False
        self._pid = os.getpid()

    def commit(self, record: Record, objects: Sequence[tuple[str, bytes]] = (), *, sync: bool = True) -> Stored:
        """Record something, and the new objects it names.

        Args:
            record: follows the last one committed.
            objects: id and bytes; those that are known already are left out.
            sync: return only when all is durable. Threads that commit at once share one sync.

        Raises:
            StoreError: the disk refused. This writer never writes again; the run can be resumed by another.
        """
        self._check()
        small = self._put_large(objects) if objects else []
        if self._staged:
            with self._breaking(StoreError):
                self._settle()
        with self._guard:
            self._check()
            try:  # no `_breaking` here and below: two of these cost a microsecond of each call
                stored, journal, end = self._append(record, small)
            except BaseException as error:  # a Ctrl-C between append and `_head` would fork the chain
                self._break(error)
                raise
        if sync:
            try:
                journal.sync(end)
            except StoreError as error:
                self._break(error)
                raise
        return stored

    def put_large(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """Stage the large ones of some objects, as `stage` does."""
        self._put_large(objects)

    @property
    def directory(self) -> Path | None:
        """Where the store lies, for other processes to read and write large objects; None if only this one has it."""
        return self._blobs.directory

    @property
    def durable(self) -> bool:
        """Whether what was written survives power loss."""
        return self._blobs.durable

    def stage(self, object_id: str, data: bytes | Part) -> None:
        """Write a large object ahead of the record that will name it: the commit of that makes it durable.

        Any thread may do so, such as those of `Encoder.encode`, whose sink this is. Whoever commits later than gc's
        grace period from now must give the object to `commit` again.

        Raises:
            StoreError: the disk refused. This writer never writes again.
        """
        self._check()
        if object_id in self.known or (object_id in self._staged and loose.exists(self._blobs, object_id)):
            return
        with self._breaking(StoreError):
            loose.stage(self._blobs, object_id, data, self._nonce)
        self._staged[object_id] = None

    def staged_elsewhere(self, object_ids: Iterable[str]) -> None:
        """Take over large objects that another process has staged in this store: the next commit makes them durable."""
        self._staged.update((object_id, None) for object_id in object_ids if object_id not in self.known)

    def _settle(self) -> None:
        """Make all that is staged durable, and known; who comes while another is about it waits for him."""
        with self._settling:
            for object_id in list(self._staged):
                if not loose.rely(self._blobs, object_id):
                    raise StoreError(
                        f"object {object_id[:16]}, written ahead of its record, was removed by `kitaru gc` meanwhile",
                        hint=f"kitaru resume {self.run}",
                    )
                self.known.add(object_id)
                del self._staged[object_id]

    def _append(self, record: Record, objects: list[tuple[str, bytes]]) -> tuple[Stored, JournalWriter, int]:
        known = self.known
        small = [item for item in objects if item[0] not in known]  # another thread may have been faster
        journal = self._open_journal()
        data = canonical.encode(record, self._head)
        stored = Stored(record, canonical.record_id(data), self._head)
        end = journal.append(small, data)
        self._head = stored.id
        self.records.append(stored)
        known.update([object_id for object_id, _ in small])
        return stored, journal, end

    def _put_large(self, objects: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """Put the large objects where they belong, and return the others, each once."""
        small: dict[str, bytes] = {}
        for object_id, data in objects:
            if object_id in self.known:
                continue
            if len(data) > loose.LARGE:
                self.stage(object_id, data)
            else:
                small[object_id] = data
        return list(small.items())

    def _open_journal(self) -> JournalWriter:
        if self._journal is not None and self._journal.size > MAX_JOURNAL:
            self._seal_journal(self._journal)
        if self._journal is None:
            nonce = self._journal_nonce = self._nonce()
            appender = self._blobs.appender(layout.open_key(self.run, nonce))
            self._journal = JournalWriter(appender, envelope.journal_header(self._host, os.getpid(), nonce))
        return self._journal

    def announce(self) -> None:
        """Begin the journal before there is anything to record: its header tells others who holds the run.

        Raises:
            StoreError: the disk refused.
        """
        with self._guard:
            self._check()
            with self._breaking(BaseException):
                self._open_journal()

    def sync(self) -> None:
        """Make all that was committed durable."""
        with self._guard:
            self._check()
            journal = self._journal
        if journal is not None:
            with self._breaking(StoreError):
                journal.sync(journal.size)

    def seal(self) -> None:
        """End the journal: it becomes the run's next segment. Lets the run go.

        Raises:
            StoreError: the disk refused; the journal stays in `open/`, and the next to take up the run seals it.
        """
        with self._guard:
            self._check()
            try:
                if self._journal is not None and not self._journal.is_empty:
                    with self._breaking(BaseException):
                        self._seal_journal(self._journal)
            finally:
                self.close()

    def _seal_journal(self, journal: JournalWriter) -> None:
        blobs, key = self._blobs, layout.open_key(self.run, self._journal_nonce)
        segment = journal.finish()
        target = layout.segment_key(segment)
        if not blobs.adopt(key, target):
            recovery.put_segment(blobs, segment, blobs.get(key), self._nonce)
        recovery.name_segment(blobs, self.run, self._segments + 1, segment, self._journal_nonce)
        self._segments += 1
        self._journal = None
        blobs.delete(key)

    def close(self) -> None:
        """Let the run go as it is: with a journal in `open/`, it counts as interrupted. Again is harmless."""
        if os.getpid() != self._pid:
            return
        with self._guard:
            if self._closed:
                return
            self._closed = True
            if self._journal is not None:
                self._journal.close()
            try:
                if self._journal is None or self._journal.is_empty:
                    self._forget_journal()
            finally:
                self._run_lock.release()

    def _forget_journal(self) -> None:
        """Take away a journal in which nothing was recorded, and the directory if it was the only one."""
        if self._journal is not None and self._broken is None:
            self._blobs.delete(layout.open_key(self.run, self._journal_nonce))
        self._blobs.prune(layout.open_key(self.run))

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self) -> None:
        if os.getpid() != self._pid:  # before any lock, for a thread that does not exist here may hold it
            raise StoreError(f"run {self.run} is written by the process that forked this one, and only by that")
        if self._broken is not None:
            raise StoreError(self._broken.message, hint=self._broken.hint) from self._broken
        if self._closed:
            raise StoreError(f"run {self.run} is no longer open for writing here", hint=f"kitaru resume {self.run}")

    def _breaking(self, kind: type[BaseException]) -> _Breaking:
        return _Breaking(self._break, kind)

    def _break(self, error: BaseException) -> None:
        if self._broken is not None:
            return
        if isinstance(error, StoreError):
            self._broken = error
        else:
            why = f"a write of run {self.run} was cut short: {error or type(error).__name__}"
            self._broken = StoreError(why, hint=f"kitaru resume {self.run}")
            self._broken.__cause__ = error


class _Breaking:
    """A block whose failure by one kind of error breaks the writer. A class, for a generator costs four times that."""

    __slots__ = ("_break", "_kind")

    def __init__(self, broken: Callable[[BaseException], None], kind: type[BaseException]) -> None:
        self._break, self._kind = broken, kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, self._kind):
            self._break(error)
