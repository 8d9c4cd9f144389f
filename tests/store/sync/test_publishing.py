"""Names that are made on a remote: by several threads at once, and those that are second there."""

from __future__ import annotations

import sys

import pytest

from kitaru.store import layout
from kitaru.store.kinds import FLOWS, parse
from kitaru.store.sync import Pair
from kitaru.store.sync import sight as sights
from kitaru.store.sync.job import job
from kitaru.store.sync.publishing import Publishing


@pytest.fixture
def hasty():
    """Threads that take turns all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_versions_of_many_flows_get_numbers_at_once_where_there_are_many_others(ana, remote, hasty):
    flows = [f"flow{n}" for n in range(40)]
    for flow in flows:
        ana.version(flow, flow)
    others = [layout.flow_key("other", number) for number in range(1, 3000)]
    ours = [key for key in sights.here(ana.blobs).names.values() if key.kind is FLOWS]
    with job(Pair(ana.repo, remote, ana.tracking, 1)) as todo:
        Publishing(todo, sights.Sight({key: parse(key) for key in others})).versions(ours)
    assert todo.outcome.names == {"flows": 40}
    assert sorted(remote.keys("flows")) == sorted(layout.flow_key(flow, 1) for flow in flows)


@pytest.mark.parametrize("order", [1, -1])
def test_a_run_parts_at_the_first_segment_that_differs_whichever_is_compared_first(ana, bob, remote, order):
    for machine in ana, bob:
        machine.run("one").go_on("one").go_on("one")
    ana.push()
    with job(Pair(bob.repo, remote, bob.tracking, 1)) as todo:
        publishing = Publishing(todo, todo.look())
        for key in sights.here(bob.blobs).run("one")[::order]:
            publishing.compare([key])
    assert publishing.parting == {"one": 1}
    assert sorted(publishing.second) == [layout.run_key("one", number) for number in (1, 2, 3)]
