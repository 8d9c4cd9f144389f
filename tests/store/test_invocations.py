"""Queued invocations and schedules as names: the first wins, they read back, and nothing unwritten is believed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kitaru.blobs import LocalBlobs, MemoryBlobs
from kitaru.errors import Damaged
from kitaru.store import names
from kitaru.store.invocations import QUEUE_SHAPE, Invocation, invocation_ids, put_invocation, read_invocation
from kitaru.store.schedules import SCHEDULE_SHAPE, ScheduleEntry, last_entry, put_entry, schedule_log, schedule_names

INPUTS = "ab" * 32
QUEUED = Invocation("abcdefghjk", "agent@stable", "agent", INPUTS, priority=2, tags=["nightly"], at=5, nonce="n1")
ENTRY = ScheduleEntry("daily", 1, "active", "agent", INPUTS, "0 9 * * *", "UTC", "last", 7, "ann", "", "n1")


@pytest.fixture(params=["memory", "local"])
def blobs(request, tmp_path):
    return MemoryBlobs() if request.param == "memory" else LocalBlobs(tmp_path)


def test_an_invocation_is_named_once_and_is_called_as_its_run(blobs):
    assert invocation_ids(blobs) == []
    assert put_invocation(blobs, QUEUED) == (True, QUEUED)
    assert put_invocation(blobs, QUEUED) == (True, QUEUED), "its own nonce"
    assert put_invocation(blobs, replace(QUEUED, priority=9, nonce="n2")) == (False, QUEUED)
    assert read_invocation(blobs, "abcdefghjk") == QUEUED
    assert QUEUED.run == "abcdefghjk"
    assert invocation_ids(blobs) == ["abcdefghjk"]
    with pytest.raises(KeyError):
        read_invocation(blobs, "abcdefghjm")


@pytest.mark.parametrize("change", [{"inputs": "no id"}, {"tags": [1]}, {"priority": True}, {"target": None}])
def test_what_is_no_invocation_is_damage(blobs, change):
    blobs.create("queue/abcdefghjk", names.pack({**QUEUED.fields(), **change}))
    with pytest.raises(Damaged):
        read_invocation(blobs, "abcdefghjk")


def test_a_schedule_is_a_log_of_which_the_last_entry_holds(blobs):
    assert schedule_names(blobs) == []
    assert last_entry(blobs, "daily") is None
    paused = replace(ENTRY, n=2, state="paused", nonce="n2")
    assert put_entry(blobs, ENTRY) == (True, ENTRY)
    assert put_entry(blobs, paused) == (True, paused)
    assert put_entry(blobs, replace(paused, by="bob", nonce="n3")) == (False, paused)
    assert schedule_log(blobs, "daily") == [ENTRY, paused]
    assert last_entry(blobs, "daily") == paused
    assert schedule_names(blobs) == ["daily"]


@pytest.mark.parametrize("change", [{"state": "asleep"}, {"catch_up": "some"}, {"inputs": ""}, {"cron": 3}])
def test_what_is_no_entry_is_damage(blobs, change):
    blobs.create("schedules/daily/000001", names.pack({**ENTRY.fields(), **change}))
    with pytest.raises(Damaged):
        schedule_log(blobs, "daily")


def test_a_number_that_is_none_is_damage(blobs):
    blobs.create("schedules/daily/one", names.pack(ENTRY.fields()))
    with pytest.raises(Damaged):
        last_entry(blobs, "daily")


def test_the_shapes_are_the_fields():
    assert QUEUED.fields().keys() == QUEUE_SHAPE.keys()
    assert ENTRY.fields().keys() == SCHEDULE_SHAPE.keys()
