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
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Protocol, overload

from kitaru.errors import Damaged, UnknownRun
from kitaru.model.history import Status
from kitaru.model.summary import RunSummary, summarize
from kitaru.store import layout
from kitaru.store.rows import FINAL, SETTLED, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kitaru.store.repository import Repository

RACY_NS = 2_000_000_000
_FINAL = (Status.COMPLETED, Status.CANCELLED)


class Kept(Protocol):
    """Where a listing finds what is kept of its runs, by their escaped ids."""

    def summary(self, part: str) -> RunSummary:
        """Return a run's summary."""

    def fields(self, part: str) -> Mapping[str, Any] | None:
        """Return a run's summary as `RunSummary.to_json` has it; None where that has to be made anew."""

    def load(self, parts: Iterable[str]) -> None:
        """Have what is kept of some runs at hand."""

    def is_final(self, part: str) -> bool:
        """Tell whether nothing can change a run any more."""


class Listing(Sequence[RunSummary]):
    """Summaries of runs, the latest start first; each is decoded when it is looked at.

    Args:
        order: of each run minus the time when it began, its escaped id, and its summary where that is at hand.
        kept: finds the others.
    """

    def __init__(self, order: list[tuple[int, str, RunSummary | None]], kept: Kept) -> None:
        self._order, self._kept = order, kept

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> RunSummary: ...
    @overload
    def __getitem__(self, index: slice) -> list[RunSummary]: ...
    def __getitem__(self, index: int | slice) -> RunSummary | list[RunSummary]:
        """Return one summary, or a list of some."""
        if isinstance(index, slice):
            chosen = self._order[index]
            self._kept.load(part for _, part, made in chosen if made is None)
            return [made or self._kept.summary(part) for _, part, made in chosen]
        _, part, made = self._order[index]
        return made or self._kept.summary(part)

    def since(self, started_us: int) -> Listing:
        """Return the runs started at that time or after it, microseconds since 1970 UTC."""
        return Listing(list(takewhile(lambda item: -item[0] >= started_us, self._order)), self._kept)

    def unfinished(self) -> Listing:
        """Return the runs that may still go on."""
        kept = self._kept
        return Listing([item for item in self._order if item[2] is not None or not kept.is_final(item[1])], kept)

    def narrowed(self, wanted: Callable[[Mapping[str, Any]], bool]) -> Listing:
        """Return the runs whose summaries, as `RunSummary.to_json` has them, are wanted."""
        kept, fitting = self._kept, []
        kept.load(part for _, part, made in self._order if made is None)
        for began, part, made in self._order:
            fields = kept.fields(part) if made is None else None
            if fields is None:
                made = made or kept.summary(part)  # noqa: PLW2901 - the same one, found by now
                fields = made.to_json()
            if wanted(fields):
                fitting.append((began, part, made))
        return Listing(fitting, kept)

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
        return Listing(order, self)

    def unfinished(self) -> list[RunSummary]:
        """Return the summaries of the runs that may still go on: only those are decoded, whatever else there is."""
        return self.summaries().unfinished()[:]

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
            return self._numbered(summarize(run, self._repo.records(run)))
        except UnknownRun:
            return None
        except Damaged as error:
            self.damaged[run] = error
            return None

    def _numbered(self, summary: RunSummary) -> RunSummary:
        """Return a summary with the number that the run's flow version has now."""
        recorded = {"id": summary.version_id, "n": summary.version}
        number = self._repo.version_number(summary.flow, recorded)
        return summary if number == summary.version else replace(summary, version=number)

    def forget(self, run: str) -> None:
        """Have a run looked at anew that was continued on two sides: what is kept of it may be of the other one."""
        rows = self._rows()
        rows.drop(layout.run_part(run))
        rows.save()

    # -- what a listing asks -------------------------------------------------------------------------------------

    def is_final(self, part: str) -> bool:
        """Tell whether nothing can change a run any more, by its escaped id."""
        rows = self._rows()
        return bool(rows.flags[rows.number[part]] & FINAL)

    def load(self, parts: Iterable[str]) -> None:
        """Have what is kept of some runs at hand."""
        self._rows().load(parts)

    def fields(self, part: str) -> Mapping[str, Any] | None:
        """Return what is kept of a run as `RunSummary.to_json` has it; None where that has to be made anew."""
        found = self._rows().fields(part)
        types = [type(found.get(name)) for name in ("flow", "status", "tags")]
        return found if types == [str, str, list] else None

    def summary(self, part: str) -> RunSummary:
        """Return what is kept of a run, or, where the cache was spoiled since, read it."""
        rows = self._rows()
        found = rows.summary(part)
        if found is not None and layout.run_part(found.run) == part:
            return self._numbered(found)
        began = rows.started[rows.number[part]]
        rows.drop(part)  # to be made anew by the next listing
        rows.save()
        return self._summarize(part) or RunSummary(layout.unescape(part), "", 0, "damaged", began)
