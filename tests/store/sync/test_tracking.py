"""What is kept of a remote: only what was written, and only of this very store."""

from __future__ import annotations

import pytest

from kitaru.store import layout
from kitaru.store.sync import Tracking

ONE, TWO = layout.run_key("one", 1), layout.flow_key("demo", 1)


@pytest.fixture
def kept(tmp_path):
    """A file in which something was kept."""
    path = tmp_path / "team"
    tracking = Tracking(path, "team", "there")
    tracking.looked({ONE: 5, TWO: 6}, 1)
    tracking.match(TWO)
    tracking.exclusive = True
    tracking.save()
    return path


def test_it_is_read_as_it_was_written(kept):
    found = Tracking(kept, "team", "there")
    assert (found.at, found.there, found.same, found.exclusive) == (1, {ONE, TWO}, {TWO}, True)
    assert found.anchor == (TWO, 6)


@pytest.mark.parametrize("change", [lambda data: data.replace(b"+runs", b"=runs"), lambda data: data[:-20]])
def test_what_is_not_as_it_was_written_is_not_believed(kept, change):
    kept.write_bytes(change(kept.read_bytes()))
    found = Tracking(kept, "team", "there")
    assert (found.at, found.there, found.same, found.exclusive) == (None, set(), set(), False)


def test_what_is_known_of_another_place_is_not_believed(kept):
    assert Tracking(kept, "team", "elsewhere").at is None


@pytest.mark.parametrize("now", [{ONE: 5, TWO: 7}, {ONE: 5}], ids=["made anew", "gone"])
def test_of_another_store_in_the_same_place_nothing_is_known(kept, now):
    found = Tracking(kept, "team", "there")
    found.looked({ONE: 5, TWO: 6}, 2)
    assert (found.same, found.exclusive) == ({TWO}, True)
    found.looked(now, 3)
    assert (found.same, found.exclusive, found.anchor) == (set(), False, None)
