"""Sleeping: a wait that asks nobody, and is over when its time has come.

Owns: when a sleep is over (fixed when it begins, and recorded), whether the process stays for it or lets the run go,
and what a run says that sleeps. How a wait finds its record is `runtime.plan`; async code only waits differently.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING

from kitaru.errors import RunSleeping
from kitaru.model.ids import display_call
from kitaru.model.moments import to_datetime, utc_text
from kitaru.model.records import SLEEP, Answer, Wait
from kitaru.runtime.blocking import block
from kitaru.runtime.scopes import scope_here

if TYPE_CHECKING:
    from kitaru.model.history import WaitView
    from kitaru.runtime.engine import Engine

STAY_US = 5_000_000
"""For a sleep as short as this the process stays: to let go and be started anew takes longer than a second."""


class Sleeps:
    """The sleeps of one execution of a run.

    Args:
        stay_us: how long a sleep may last for which the process stays.
    """

    def __init__(self, engine: Engine, stay_us: int) -> None:
        self._engine, self._stay_us = engine, stay_us
        self._equal: Counter[str] = Counter()

    def sleep(self, for_us: int | None, until_us: int | None) -> None:
        """Return when the time has come, now or in a later execution.

        Args:
            for_us: microseconds from the first execution on that came here; or None, with `until_us`.
            until_us: a time, in microseconds since 1970 UTC; or None, with `for_us`.

        Raises:
            RunStopped: the run lets go of the process until then.
        """
        engine = self._engine
        view = self._begin(for_us, until_us)
        until = view.record.deadline or 0
        stays = until if self._is_short(view) else 0
        block(engine, lambda: self._left(view) <= 0 or None, stays, lambda: sleeping(engine.run, until))
        self._wake(view)

    async def sleep_async(self, for_us: int | None, until_us: int | None) -> None:
        """As `sleep`, for one branch of an event loop: the run lets go once all of them are blocked."""
        from kitaru.runtime.parking import park

        engine = self._engine
        view = self._begin(for_us, until_us)
        until = view.record.deadline or 0
        if self._left(view) > 0:
            stays = until if self._is_short(view) else 0
            await park(engine, lambda: self._left(view) <= 0 or None, stays, lambda: sleeping(engine.run, until))
        self._wake(view)

    def _begin(self, for_us: int | None, until_us: int | None) -> WaitView:
        """Return the sleep's record, made now where there is none."""
        engine = self._engine
        engine.check_latch()
        asked = self._describe(for_us, until_us)
        view = engine.plan.wait(asked.digest) or engine.plan.kept_wait(SLEEP)
        if view is None or view.closed:
            view = self._record(asked, for_us, until_us)
        engine.plan.claimed(view, view.record.order)
        engine.check_latch()
        return view

    def _is_short(self, view: WaitView) -> bool:
        """Tell whether the process stays for what is left of a sleep."""
        return self._left(view) <= self._stay_us

    def _left(self, view: WaitView) -> int:
        return 0 if view.answer is not None else (view.record.deadline or 0) - self._engine.now()

    def _describe(self, for_us: int | None, until_us: int | None) -> Wait:
        scope = scope_here(self._engine.scope).path
        text = json.dumps([SLEEP, scope, for_us, until_us], separators=(",", ":"))
        self._equal[text] += 1
        digest = hashlib.sha256(f"{text}\n{self._equal[text]}".encode()).hexdigest()
        return Wait(0, SLEEP, 0, digest, scope=scope)

    def _record(self, asked: Wait, for_us: int | None, until_us: int | None) -> WaitView:
        engine = self._engine
        if engine.plan.dynamic:
            engine.calls.branch()
        asked.order, asked.occurrence, asked.after = engine.plan.place(SLEEP)
        asked.at = engine.now()
        asked.deadline = until_us if until_us is not None else asked.at + (for_us or 0)
        engine.plan.asks(asked.order)
        engine.commit(asked)
        label = display_call(SLEEP, asked.occurrence)
        engine.emit("sleep", wait=label, until=to_datetime(asked.deadline).isoformat())
        return engine.state.waits[asked.order]

    def _wake(self, view: WaitView) -> None:
        if view.answer is not None:
            return
        engine, now = self._engine, self._engine.now()
        nothing = engine.values.encode(None, engine.writer.known, SLEEP)
        engine.commit(Answer(now, view.id, nothing.id, answered=now, source="time"), nothing.objects)
        engine.emit("answer", wait=view.label, by="", source="time")


def sleeping(run: str, until_us: int) -> RunSleeping:
    """Return the reason of a run that let go until a time."""
    return RunSleeping(f"run {run} sleeps until {utc_text(until_us)}", hint=f"then: kitaru resume {run}")
