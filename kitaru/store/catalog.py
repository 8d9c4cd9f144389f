"""The index of all runs, so that listing thousands of them reads few.

Owns: which summaries are kept, and when one is made anew. Everything in it is made from the runs; deleting the cache
loses nothing. Knows nothing of how a run is summarised, nor of how the rows are kept.

Nothing that counts in a summary can follow the end of a run that completed or was cancelled, so such a run is never
looked at again. Another sealed run changes only by a new name in its directory, and a directory's time tells that,
unless two changes fall into one tick of the clock. So, as git does for its index, an entry that was made within two
seconds of the youngest directory's time is looked at again: the number of names decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from kitaru.errors import Damaged, UnknownRun
from kitaru.model.history import Status
from kitaru.model.summary import RunSummary, summarize
from kitaru.store import layout
from kitaru.store.rows import FINAL, SETTLED, Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.store.repository import Repository

RACY_NS = 2_000_000_000
_FINAL = (Status.COMPLETED, Status.CANCELLED)


class Listing(Sequence[RunSummary]):
    """Summaries of runs, the latest start first; each is decoded when it is looked at.

    Args:
        order: of each run when it began, its escaped id, and its summary where that is at hand.
        summary: finds the summary of an escaped id.
    """

    def __init__(self, order: list[tuple[int, str, RunSummary | None]], summary: Callable[[str], RunSummary]) -> None:
        self._order, self._summary = order, summary

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> RunSummary: ...
    @overload
    def __getitem__(self, index: slice) -> list[RunSummary]: ...
    def __getitem__(self, index: int | slice) -> RunSummary | list[RunSummary]:
        """Return one summary, or a list of some."""
        if isinstance(index, slice):
            return [made or self._summary(part) for _, part, made in self._order[index]]
        _, part, made = self._order[index]
        return made or self._summary(part)

    def chosen(self, wanted: Callable[[str], bool]) -> list[RunSummary]:
        """Return the summaries of those runs alone whose escaped id is wanted."""
        return [made or self._summary(part) for _, part, made in self._order if wanted(part)]

    def ids(self) -> list[str]:
        """Return the ids of the runs alone, in order."""
        return [layout.unescape(part) for _, part, _ in self._order]


class Catalog:
    """Summaries of all runs of a store.

    Args:
        repo: the store, in whose scratch directory, if it has one, the index is kept between processes.

    Attributes:
        damaged: run id to error, of the runs that the last `summaries()` could not read.
    """

    def __init__(self, repo: Repository) -> None:
        self._repo, self._blobs = repo, repo.blobs
        self._kept: Rows | None = None
        self.damaged: dict[str, Damaged] = {}

    def summaries(self) -> Listing:
        """Return the summaries of all runs, the latest start first; what lies in `open/` is read as it is now."""
        self.damaged = {}
        pruned = set(self._blobs.children(layout.PRUNED))
        live = set(self._blobs.children(layout.OPEN)) - pruned
        parts = [part for part in self._blobs.children(layout.RUNS) if part not in live and part not in pruned]
        rows = self._rows()
        self._renew(parts, rows)
        rows.save()
        started = rows.started
        order: list[tuple[int, str, RunSummary | None]]
        order = [(-started[row], part, None) for part, row in rows.number.items()]
        made = [(part, summary) for part in live if (summary := self._summarize(part)) is not None]
        order += [(-summary.started, part, summary) for part, summary in made]
        order.sort(key=lambda item: item[:2])
        return Listing(order, self._summary)

    def unfinished(self) -> list[RunSummary]:
        """Return the summaries of the runs that may still go on: only those are decoded, whatever else there is."""
        listing, rows = self.summaries(), self._rows()
        return listing.chosen(lambda part: part not in rows.number or not rows.flags[rows.number[part]] & FINAL)

    def _rows(self) -> Rows:
        if self._kept is None:
            self._kept = Rows(self._blobs.scratch)
        return self._kept

    def _renew(self, parts: list[str], rows: Rows) -> None:
        """Bring the rows up to date with the sealed runs that there are."""
        for part in rows.number.keys() - set(parts):
            rows.drop(part)
        number, flags = rows.number, rows.flags
        stamps = self._blobs.stamps(layout.RUNS, [p for p in parts if p not in number or not flags[number[p]] & FINAL])
        youngest = max([*stamps.values(), max(rows.stamps, default=0)], default=0)
        for part, stamp in stamps.items():
            row = number.get(part)
            if row is None or rows.stamps[row] != stamp or not flags[row] & SETTLED:
                self._look(part, stamp, is_settled=stamp < youngest - RACY_NS)

    def _look(self, part: str, stamp: int, *, is_settled: bool) -> None:
        rows = self._rows()
        names, row = len(self._blobs.children(f"{layout.RUNS}/{part}")), rows.number.get(part)
        if row is not None and (rows.stamps[row], rows.names[row]) == (stamp, names):
            if is_settled:
                rows.settle(part)
            return
        summary = self._summarize(part)
        if summary is None:
            rows.drop(part)
        else:
            flags = SETTLED * is_settled | FINAL * (summary.status in _FINAL)
            rows.put(part, summary, stamp, names, flags)

    def _summarize(self, part: str) -> RunSummary | None:
        try:
            run = layout.unescape(part)
        except ValueError:
            return None
        try:
            return summarize(run, self._repo.records(run))
        except UnknownRun:
            return None
        except Damaged as error:
            self.damaged[run] = error
            return None

    def _summary(self, part: str) -> RunSummary:
        """Return what is kept of a run, or, where the cache was spoiled since, read it."""
        rows = self._rows()
        found = rows.summary(part)
        if found is not None and layout.run_part(found.run) == part:
            return found
        began = rows.started[rows.number[part]]
        rows.drop(part)  # to be made anew by the next listing
        rows.save()
        return self._summarize(part) or RunSummary(layout.unescape(part), "", 0, "damaged", began)
