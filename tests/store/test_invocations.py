"""Queued invocations and schedules as names: the first wins, they read back, and nothing unwritten is believed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kitaru.blobs import LocalBlobs, MemoryBlobs
from kitaru.errors import Damaged
from kitaru.store import Repository, layout, names
from kitaru.store.check import check
from kitaru.store.invocations import QUEUE_SHAPE, Invocation, invocation_ids, put_invocation, read_invocation
from kitaru.store.reach import unreached
from kitaru.store.repair import repair
from kitaru.store.schedules import SCHEDULE_SHAPE, ScheduleEntry, last_entry, put_entry, schedule_log, schedule_names
from kitaru.store.usage import usage
from tests.store.samples import fill, start, value

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


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": "no id"},
        {"tags": [1]},
        {"priority": True},
        {"priority": 10**9},
        {"priority": -(10**9)},
        {"target": None},
        {"flow": ""},
        {"flow": "f" * 2000},
        {"at": -1},
        {"tick": 10**30},
        {"not_before": 2**64},
    ],
)
def test_what_is_no_invocation_is_damage(blobs, change):
    blobs.create("queue/abcdefghjk", names.pack({**QUEUED.fields(), **change}))
    with pytest.raises(Damaged):
        read_invocation(blobs, "abcdefghjk")


def test_what_no_run_can_be_called_is_not_queued(blobs):
    put_invocation(blobs, QUEUED)
    blobs.create("queue/%zz", b"")
    assert invocation_ids(blobs) == ["abcdefghjk"]


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


@pytest.mark.parametrize(
    "change", [{"state": "asleep"}, {"catch_up": "some"}, {"inputs": ""}, {"cron": 3}, {"at": 10**20}]
)
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


@pytest.fixture
def repo(tmp_path):
    return Repository.create(LocalBlobs(tmp_path))


def keep(repo):
    """Keep a value that nothing else names, and return its id."""
    object_id, objects = value({"question": "why?"})
    repo.put_objects(objects)
    return object_id


def again(repo):
    """Open it again, for what was read before is known."""
    return Repository.open(repo.blobs)


def findings(repo):
    return [f for f in check(repo).findings if f.severity == "damage"]


def test_inputs_of_what_is_queued_and_scheduled_are_needed(repo):
    put_invocation(repo.blobs, replace(QUEUED, inputs=keep(repo)))
    put_entry(repo.blobs, replace(ENTRY, inputs=keep(repo)))
    assert findings(repo) == []
    assert unreached(repo).objects == []
    assert {use.artifact for use in usage(repo)} == {"(queue)", "(schedules)"}
    repo.blobs.delete(layout.object_key(keep(repo)))
    assert {f.affects for f in findings(again(repo))} == {("queue/abcdefghjk", "schedules/daily")}


@pytest.mark.parametrize("key", ["queue/abcdefghjk", "schedules/daily/000001", "routes/agent/stable/000001"])
def test_damaged_names_are_told_and_put_aside(repo, key):
    repo.blobs.create(key, b'{"damaged": true}\n')
    (finding,) = findings(repo)
    assert finding.where == repo.blobs.where(key)
    (done,) = repair(repo, nonce=lambda: "aside", now=1)
    assert "put aside" in done.did
    assert findings(repo) == []


@pytest.mark.parametrize("key", ["queue/ABC", "schedules/daily/one", "schedules/000001", "routes/agent/000001"])
def test_names_that_nobody_makes_are_told(repo, key):
    repo.blobs.create(key, names.pack(QUEUED.fields()))
    assert len(findings(repo)) == 1


def test_an_invocation_goes_with_its_run(repo):
    fill(repo, QUEUED.id)
    put_invocation(repo.blobs, replace(QUEUED, inputs=keep(repo)))
    assert unreached(repo).names == []
    repo.prune(QUEUED.id, at=1, by="ann", may=None)
    found = unreached(repo)
    assert "queue/abcdefghjk" in found.names
    assert layout.object_key(keep(repo)) in found.objects


def test_one_that_was_begun_and_not_recorded_stays_queued_or_called_off(repo):
    put_invocation(repo.blobs, replace(QUEUED, inputs=keep(repo)))
    with repo.begin(QUEUED.id) as writer:
        writer.commit(start(), [])
    (journal,) = repo.blobs.keys(layout.open_key(QUEUED.id))
    (repo.blobs.directory / journal).write_bytes(repo.blobs.get(journal)[:120])  # killed in its first write
    repo = again(repo)
    repo.put_cancellation(QUEUED.id, by="ann", at=1, reason="")
    assert {key.split("/")[0] for key in unreached(repo).names} == {"open"}
