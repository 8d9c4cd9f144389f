"""The garbage collector while a run is read: it rests, and what was read is old when it goes on."""

from __future__ import annotations

import gc

import pytest

from kitaru.store.runs import collector_paused


@pytest.fixture(autouse=True)
def _collector():
    gc.collect()
    gc.enable()
    yield
    gc.unfreeze()
    gc.enable()


def is_old(made):
    return any(known is made for known in gc.get_objects(generation=2))


def test_it_rests_and_goes_on():
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_where_it_was_off_it_stays_off():
    gc.disable()
    with collector_paused():
        assert not gc.isenabled()
    assert not gc.isenabled()


def test_it_goes_on_after_an_error():
    with pytest.raises(ValueError, match="damaged"), collector_paused():
        raise ValueError("damaged")
    assert gc.isenabled()


def test_what_was_made_in_masses_is_old_then():
    with collector_paused():
        made = [[number] for number in range(20_000)]
    assert is_old(made)
    assert gc.get_freeze_count() == 0


def test_what_the_program_froze_stays_frozen():
    gc.freeze()
    with collector_paused():
        made = [[number] for number in range(20_000)]
    assert not is_old(made)
    assert gc.get_freeze_count() > 0


def test_garbage_that_was_made_meanwhile_is_collected_some_time():
    class Node:
        freed = 0

        def __init__(self):
            self.me = self

        def __del__(self):
            Node.freed += 1

    with collector_paused():
        for _ in range(20_000):
            Node()
    gc.collect()
    assert Node.freed == 20_000
