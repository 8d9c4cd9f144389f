"""What gc notes on a remote: how the last entry stands, whoever wrote it and whatever it says."""

from __future__ import annotations

import pytest

from kitaru.blobs.folder import FolderBlobs
from kitaru.store import layout, visits

FIELDS = {"state": "removing", "at": 1, "lease": 5, "by": "ann", "host": "pc", "noted": {"a": [1, 1]}, "nonce": "n1"}


@pytest.fixture
def remote(tmp_path):
    return FolderBlobs(tmp_path)


def changed(remote, n):
    return next(found.changed_us for found in remote.listing("gc") if found.key == layout.visit_key(n))


def test_nobody_waits_for_longer_than_is_believed(remote):
    visits.write(remote, 1, {**FIELDS, "lease": 10**18})
    assert visits.last(remote).until == changed(remote, 1) + visits.MAX_LEASE_US
    visits.write(remote, 2, {**FIELDS, "lease": -(10**18)})
    assert visits.last(remote).until == changed(remote, 2)


def test_who_meets_his_own_entry_has_won(remote):
    assert visits.write(remote, 1, FIELDS)
    assert visits.write(remote, 1, FIELDS)
    assert not visits.write(remote, 1, {**FIELDS, "nonce": "n2"})


def test_who_removes_things_removes_what_he_noted(remote):
    visits.write(remote, 1, FIELDS)
    assert visits.last(remote).may_remove({"a", "b"})
    assert not visits.last(remote).may_remove({"b"})
    visits.write(remote, 2, {**FIELDS, "state": "noted"})
    assert not visits.last(remote).may_remove({"a"})


def test_who_cannot_be_read_may_remove_anything_for_a_while(remote):
    remote.create(layout.visit_key(1), b"nonsense")
    found = visits.last(remote)
    assert found.may_remove({"whatever"})
    assert found.until == changed(remote, 1) + visits.LEASE_US


def test_an_entry_that_goes_as_it_is_read_was_not_the_last(remote, monkeypatch):
    visits.write(remote, 1, FIELDS)
    get = remote.get

    def late(key, **limits):
        if key == layout.visit_key(1):
            visits.write(remote, 2, {**FIELDS, "by": "bob"})
            remote.delete(key)
        return get(key, **limits)

    monkeypatch.setattr(remote, "get", late)
    assert (visits.last(remote).n, visits.last(remote).by) == (2, "bob")
