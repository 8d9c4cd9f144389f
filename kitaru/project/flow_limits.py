"""How many runs of a flow workers may start: `[flows.NAME]` with `concurrency`, `per-minute` and `attempts`.

Owns: reading these settings, and counting what counts: the runs of the flow that execute here, and those that began in
the last minute, however they were started. It is what this store knows: a store on another machine counts for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.errors import BadConfig, RunHeld
from kitaru.model.history import Status
from kitaru.store import layout
from kitaru.store.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.blobs.contract import Lock
    from kitaru.config import Config
    from kitaru.store.repository import Repository

MINUTE_US = 60_000_000
GATE_WAIT_S = 10.0
"""How long a start waits for that of another run of the flow: each takes milliseconds."""
ATTEMPTS = 5
"""So many executions in a row that come to nothing, and workers give a run up, if its flow's table says nothing."""
_KEYS = ("concurrency", "per-minute", "attempts")


@dataclass(frozen=True, slots=True)
class FlowLimit:
    """What a flow's table says; 0 is without limit. Of `attempts`, see `project.giving_up`."""

    concurrency: int = 0
    per_minute: int = 0
    attempts: int = ATTEMPTS


def flow_limits(config: Config) -> dict[str, FlowLimit]:
    """Return the limits by flow.

    Raises:
        BadConfig: a table holds something else.
    """
    return {flow: _limit(flow, table) for flow, table in config.tables.get("flows", {}).items()}


def _limit(flow: str, table: Mapping[str, Any]) -> FlowLimit:
    for key, value in table.items():
        if key not in _KEYS:
            raise BadConfig(f"flow {flow} has {key!r}", hint=f"it may have {', '.join(_KEYS)}")
        if type(value) is not int or value < 1:
            raise BadConfig(f"{key} of flow {flow} is {value!r}", hint="write a whole number, at least 1")
    return FlowLimit(table.get("concurrency", 0), table.get("per-minute", 0), table.get("attempts", ATTEMPTS))


class Limits:
    """The limits of a project's flows, against what its store knows.

    Args:
        repo: the store.
        limits: by flow.
    """

    def __init__(self, repo: Repository, limits: Mapping[str, FlowLimit]) -> None:
        self._repo, self._limits = repo, limits
        self._catalog = Catalog(repo)

    def change(self, limits: Mapping[str, FlowLimit]) -> None:
        """Have other limits from now on."""
        self._limits = limits

    def room(self, flow: str, now_us: int) -> bool:
        """Tell whether another run of a flow may be started now."""
        return self.why_not(flow, now_us) == ""

    def has_limit(self, flow: str) -> bool:
        """Tell whether anything limits a flow."""
        limit = self._limits.get(flow)
        return limit is not None and bool(limit.concurrency or limit.per_minute)

    def why_not(self, flow: str, now_us: int) -> str:
        """Return why no other run of a flow may be started now; empty where one may."""
        limit = self._limits.get(flow)
        if limit is None:
            return ""
        found = self._catalog.summaries()
        if limit.concurrency:
            running = found.unfinished().narrowed(lambda s: s["flow"] == flow and s["status"] == Status.RUNNING)
            count = sum(self._repo.is_held(run) for run in running.ids())
            if count >= limit.concurrency:
                return f"{count} of them execute, and concurrency is {limit.concurrency}"
        if limit.per_minute:
            recent = found.since(now_us - MINUTE_US + 1).narrowed(lambda s: s["flow"] == flow)
            if len(recent) >= limit.per_minute:
                return f"{len(recent)} of them began in the last minute, and per-minute is {limit.per_minute}"
        return ""

    def enter(self, flow: str, now_us: int) -> Lock | None:
        """Take the right to start a run of a flow: to be released once that has begun, so that the next one counts it.

        Returns:
            The lock, or None where nothing limits the flow.

        Raises:
            RunHeld: there is no room now.
        """
        if not self.has_limit(flow):
            return None
        lock = self._repo.blobs.lock(layout.start_lock(flow), wait_s=GATE_WAIT_S)
        why = "another one is just being started" if lock is None else self.why_not(flow, now_us)
        if not why:
            return lock
        if lock is not None:
            lock.release()
        raise RunHeld(f"no run of {flow} may be started now: {why}", hint=f"[flows.{flow}] in .kitaru/config.toml")
