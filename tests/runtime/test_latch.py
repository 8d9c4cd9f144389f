"""A stop that stays."""

from __future__ import annotations

import threading

import pytest

from kitaru.errors import Drift, RunInterrupted
from kitaru.runtime.latch import Latch
from kitaru.runtime.stopping import RunStopped


def test_nothing_is_latched_at_first():
    latch = Latch()
    latch.check_latch()
    assert (latch.has_stopped, latch.reason) == (False, None)


def test_the_first_reason_wins_and_is_met_again_and_again():
    latch = Latch()
    first = Drift("it drifted")
    told = [latch.stop(first), latch.stop(RunInterrupted("too late")), latch.stopped()]
    assert [str(stop) for stop in told] == ["it drifted"] * 3
    assert latch.reason is first
    for _ in range(2):
        with pytest.raises(RunStopped, match="it drifted"):
            latch.check_latch()


def test_who_is_told_of_a_stop_may_no_longer_want_to_be():
    latch, told = Latch(), []

    def once() -> None:
        told.append(latch.has_stopped)
        latch.on_stop.remove(once)

    latch.on_stop += [once, lambda: told.append("next")]
    latch.stop(Drift("it drifted"))
    latch.stop(Drift("again"))
    assert told == [True, "next", "next"]


def test_who_rests_is_woken_by_a_stop():
    latch, met = Latch(), []

    def rest() -> None:
        try:
            latch.rest(60)
        except RunStopped as stop:
            met.append(str(stop))

    resting = threading.Thread(target=rest)
    resting.start()
    latch.stop(Drift("it drifted"))
    resting.join(10)
    assert met == ["it drifted"]
