"""Runs that workers leave alone: each time one was taken up, its process died before anything more was recorded.

Owns: after how many times, and how that is told. It is decided by the run's records alone, so that all workers, on all
machines that have them, agree. Who takes runs up is `working`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import BadConfig
from kitaru.model.history import OVER, Status
from kitaru.project.flow_limits import ATTEMPTS, flow_limits

if TYPE_CHECKING:
    from kitaru.config import Config
    from kitaru.model.history import RunState
    from kitaru.model.summary import RunSummary

COUNTED = "KITARU_COUNTED"
"""The environment variable by which a worker tells the process that it starts of which run the execution is counted."""


class GivingUp:
    """When workers of a project give a run up.

    Args:
        config: its settings; limits that cannot be read there are as by default.
    """

    def __init__(self, config: Config) -> None:
        try:
            self._limits = flow_limits(config)
        except BadConfig:
            self._limits = {}

    def is_given_up(self, run: RunSummary) -> bool:
        """Tell whether workers leave a run alone that is not over."""
        return run.status not in OVER and self._is_reached(run.flow, run.barren)

    def told(self, state: RunState) -> str:
        """Return what there is to say of a run that workers leave alone; empty of others, and of one that executes."""
        at_rest = state.status not in OVER and state.status is not Status.RUNNING
        if not at_rest or not self._is_reached(state.start.flow, state.barren):
            return ""
        return f"{given_up_text(state.barren)}; kitaru resume {state.run}"

    def _is_reached(self, flow: str, barren: int) -> bool:
        limit = self._limits.get(flow)
        return barren >= (limit.attempts if limit is not None else ATTEMPTS)


def given_up_text(barren: int) -> str:
    """Return what there is to say of a run that was executed so many times in a row, and died each time."""
    times = f"{barren} times in a row" if barren > 1 else "once"
    return f"given up by workers: its process died {times} before anything more was recorded"
