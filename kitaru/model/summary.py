"""One line about a run: what listings show, and what the index of all runs keeps.

Owns: the summary and how it comes from a run's own records. What records mean is `model.folding`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from kitaru.model.folding import fold
from kitaru.model.records import Answer, Call, Stored, Wait
from kitaru.model.spending import Spent, model_calls, spent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One line of `kitaru log`, small enough to keep an index of all runs.

    Attributes:
        status: as recorded; see `live_status`.
        started, ended: microseconds since 1970 UTC; `ended` is 0 while the run is not over.
        calls: how many calls this run itself finished; those it shares with its source are not counted.
        waits: labels of the open questions.
        wakes: when the first open sleep is over, microseconds since 1970 UTC; 0 where nothing sleeps.
        due: when the first deadline of an open question is, in the same way.
        asked: how many questions the run asked itself, open or not.
        error: one line, where the run failed.
        model_calls, nano_usd, unpriced: what the run itself asked of models, as `spending.Spent` has it.
        barren: executions in a row, up to the last, that came to nothing, as of a run's state.
        given_up: workers leave it alone; told where the project's settings are known, as its live status is.
        version_id: id of the flow version, which stays when two stores that met gave it another number.
    """

    run: str
    flow: str
    version: int
    status: str
    started: int
    ended: int = 0
    source: str = ""
    tags: list[str] = field(default_factory=list)
    calls: int = 0
    waits: list[str] = field(default_factory=list)
    error: str = ""
    wakes: int = 0
    due: int = 0
    asked: int = 0

    model_calls: int = 0
    nano_usd: int = 0
    unpriced: int = 0
    version_id: str = ""
    barren: int = 0
    given_up: bool = False

    @property
    def spent(self) -> Spent:
        """What the run itself spent on models."""
        return Spent(self.model_calls, nano_usd=self.nano_usd, unpriced=self.unpriced)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RunSummary:
        """Rebuild from `to_json`; raises TypeError for anything else."""
        return cls(**data)


def summarize(run: str, records: Sequence[Stored]) -> RunSummary:
    """Return the summary of a run from its own records alone.

    Raises:
        Damaged: as `fold`.
    """
    state = fold(run, _own_only(records))
    end = state.end
    total = spent(c for s in records if isinstance(s.record, Call) and s.record.llm for c in model_calls(s.record))
    return RunSummary(
        run=run,
        flow=state.start.flow,
        version=int(state.version.get("n", 0)),
        version_id=str(state.version.get("id", "")),
        status=str(state.status),
        started=state.start.at,
        ended=end.at if end else 0,
        source=str((state.start.source or {}).get("run", "")),
        tags=state.start.tags,
        calls=sum(1 for c in state.calls.values() if c.record is not None),
        waits=[w.label for w in state.open_questions],
        error=str((end.error or {}).get("message", "")) if end else "",
        model_calls=total.calls,
        nano_usd=total.nano_usd,
        unpriced=total.unpriced,
        barren=state.barren,
        wakes=state.wakes,
        due=state.due,
        asked=sum(1 for w in state.waits.values() if not w.is_sleep),
    )


def _own_only(records: Iterable[Stored]) -> Iterable[Stored]:
    """Leave out answers to waits that a branch shares with its source: alone, its records do not hold them."""
    waits = set()
    for stored in records:
        if isinstance(stored.record, Wait):
            waits.add(stored.id)
        if isinstance(stored.record, Answer) and stored.record.wait not in waits:
            continue
        yield stored
