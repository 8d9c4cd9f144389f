"""The same on a real server: a connection that is cut, refused or slow changes nothing of what two machines hold."""

from __future__ import annotations

import itertools

import pytest

from kitaru.errors import Damaged, RemoteError, UnknownFormat
from tests.store.sync.machines import Machine


@pytest.fixture
def team(tmp_path, s3_proxy, s3_remote):
    """Two machines that share a bucket, each with something that the other lacks, behind one proxy."""
    place = s3_remote(s3_proxy.endpoint)
    ana, bob = (Machine(tmp_path / who, who, place.open()) for who in ("ana", "bob"))
    ana.run("both").push()
    bob.pull()
    ana.answer("both")
    ana.push()
    bob.pull()
    ana.carry_on("both").run("hers").push()
    bob.carry_on("both").run("his")
    return ana, bob


def agree(ana, bob):
    for machine in bob, ana, bob:
        machine.push()
        machine.pull()
    assert ana.runs() == bob.runs()
    assert len(ana.runs()) == 4
    assert ana.damage() == bob.damage() == []


def cut(machine, proxy, behaviour, step):
    """Push and pull with each n-th request and the next three misbehaving, until none of them is reached any more."""
    for act in machine.push, machine.pull:
        for at in itertools.count(1, step):
            rule = proxy.fail(at, behaviour, times=4)
            try:
                act()
            except (RemoteError, UnknownFormat, Damaged) as error:  # whose garbled bytes no store has
                assert error.hint
            proxy.heal()
            assert machine.damage() == []
            if not rule.met.is_set():
                break


def test_a_run_whose_key_no_bucket_takes_keeps_no_other_from_going(tmp_path, s3_remote):
    ana = Machine(tmp_path / "ana", "ana", s3_remote().open())
    ana.run("fits").run("odd", flow="f" * 1000)
    pushed = ana.push()
    assert [moved.run for moved in pushed.runs] == ["fits"]
    assert "odd" in [left.what for left in pushed.skipped]
    assert ana.push().is_nothing


@pytest.mark.parametrize("behaviour", ["cut-answer", "status:503"])
def test_requests_fail(team, s3_proxy, behaviour):
    ana, bob = team
    cut(bob, s3_proxy, behaviour, 29)
    agree(ana, bob)


@pytest.mark.long
@pytest.mark.parametrize("behaviour", ["refuse", "cut-request", "cut-answer", "truncate", "garble", "status:500"])
def test_every_request_fails(team, s3_proxy, behaviour):
    ana, bob = team
    cut(bob, s3_proxy, behaviour, 1)
    agree(ana, bob)


def test_nothing_new_asks_for_listings_only(team, s3_proxy):
    ana, bob = team
    agree(ana, bob)
    before = len(s3_proxy.requests)
    assert ana.push().is_nothing
    asked = s3_proxy.requests[before:]
    assert {request.method for request in asked} == {"GET"}
    assert not [request.path for request in asked if "segments" in request.path or "objects" in request.path]
