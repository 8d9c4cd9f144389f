"""Processes that run, replay, prune, gc and read one store at once, for a bounded number of rounds each.

Then fsck finds nothing, and every run that nobody pruned is whole, to its last value. `-m long` takes more rounds.
"""

from __future__ import annotations

import pytest

from kitaru.project import Project
from kitaru.store.check import LEFTOVER


def all_at_once(place, rounds):
    place.kitaru("run", "-q", "steps.py:twenty", "calls=3")
    done = place.effects.with_name("done")
    keepers = [
        place.start("tests.crash.upkeeping:gc_until", str(done)),
        place.start("tests.crash.upkeeping:read_until", str(done)),
    ]
    makers = [
        place.start("tests.crash.upkeeping:runs", rounds),
        place.start("tests.crash.upkeeping:runs", rounds),
        place.start("tests.crash.upkeeping:replays", rounds),
        place.start("tests.crash.upkeeping:prunes", rounds),
    ]
    for maker in makers:
        ended = maker.wait()
        assert (ended.code, ended.err) == (0, "")
    done.touch()
    for keeper in keepers:
        ended = keeper.wait()
        assert (ended.code, ended.err) == (0, "")
        assert int(ended.out) >= 1
    looked_at(place.project(), rounds)
    for now in range(2):
        Project.open(place.root).gc(grace_us=now)
    looked_at(place.project(), rounds)


def looked_at(project, rounds):
    report = project.check()
    assert [f for f in report.findings if f.severity != LEFTOVER] == []
    runs = project.log()
    assert len(runs) + len(project.repo.pruned_ids()) == 1 + 3 * rounds
    assert {run.status for run in runs} == {"completed"}
    assert not project.damaged
    for run in runs:
        state = project.state(run.run)
        for call in state.ordered_calls:
            assert project.value(call.record.output, run.run)["n"] == call.order
        assert len(project.value(state.end.output, run.run)) == 3


def test_all_at_once(place):
    all_at_once(place, 6)


@pytest.mark.long
def test_long_all_at_once(place):
    all_at_once(place, 150)
