"""The result cache is believed only where the run bears it out, and is never in the way."""

from __future__ import annotations

import dataclasses
import os
import pickle
import sqlite3
import threading

import pytest

from kitaru.blobs import LocalBlobs, MemoryBlobs
from kitaru.errors import StoreError
from kitaru.model.records import Call
from kitaru.store import Repository
from kitaru.store.cache import open_cache
from kitaru.store.result_cache import CacheUse, ResultCache
from tests.store.samples import call, end, nonces, start, value

KEY, OTHER = "a" * 64, "b" * 64


def never(text):
    raise AssertionError(text)


def record(repo, run="abc", key=KEY, thing="a result", **fields):
    """Write a run of one call that may be taken under `key`; return its record's id and the record."""
    output, objects = value(thing)
    made = dataclasses.replace(call(1, output), cache=key, **fields)
    with repo.begin(run) as writer:
        writer.commit(start())
        stored = writer.commit(made, objects)
        writer.commit(end())
        writer.seal()
    return stored.id, made


def tombstone(repo, run):
    assert repo.prune(run, at=1, by="tester", may=None)


@pytest.fixture(params=["disk", "memory"])
def repo(request, tmp_path):
    blobs = LocalBlobs(tmp_path) if request.param == "disk" else MemoryBlobs()
    return Repository.create(blobs, nonces())


@pytest.fixture
def on_disk(tmp_path):
    return Repository.create(LocalBlobs(tmp_path), nonces())


def kept(repo, **fields):
    """A cache with one result in it, of run abc."""
    cache = ResultCache(repo)
    cache.keep(KEY, "abc", *record(repo, **fields), never)
    return cache


def test_a_result_is_found_with_its_run_and_its_objects(repo):
    cache = kept(repo)
    found = cache.find(KEY, never)
    assert (found.run, found.record.output) == ("abc", value("a result")[0])
    assert cache.objects(found, frozenset()) == value("a result")[1]
    assert cache.objects(found, {found.record.output}) == []
    assert cache.find(OTHER, never) is None


def test_all_objects_of_a_result_once_each(repo):
    text = "long enough to be an object of its own " * 100
    cache = kept(repo, thing=[text, {"again": text}], saved={"draft": value({"text": text})[0]})
    with pytest.raises(Exception, match="object"):
        cache.objects(cache.find(KEY, never), frozenset())  # the saved value is not there
    found = cache.find(KEY, never)
    whole = dataclasses.replace(found, record=dataclasses.replace(found.record, saved={}))
    assert sorted(cache.objects(whole, frozenset())) == sorted(value([text, {"again": text}])[1])


def test_another_process_finds_it(on_disk):
    kept(on_disk)
    reopened = Repository.open(LocalBlobs(on_disk.blobs.root))
    found = ResultCache(reopened).find(KEY, never)
    assert found.run == "abc"


def test_a_pruned_run_is_a_miss_at_once(repo):
    cache = kept(repo)
    assert cache.find(KEY, never) is not None
    tombstone(repo, "abc")
    assert cache.find(KEY, never) is None
    assert ResultCache(repo).find(KEY, never) is None


def test_a_run_that_is_gone_is_a_miss(on_disk):
    kept(on_disk)
    for path in sorted(on_disk.blobs.root.glob("runs/*/*")):
        path.unlink()
    assert ResultCache(on_disk).find(KEY, never) is None


@pytest.mark.parametrize(
    "fields",
    [{"key": OTHER}, {"key": ""}, {"mutated": ["items"]}, {"how": "reused"}, {"how": "pinned"}, {"output": None}],
    ids=str,
)
def test_a_record_that_does_not_offer_its_result_is_a_miss(on_disk, fields):
    kept(on_disk, **fields)
    assert ResultCache(on_disk).find(KEY, never) is None


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"record":"' + b"0" * 64 + b'","run":"abc"}',
        b'{"record":"../x","run":"abc"}',
        b'{"record":"' + b"0" * 64 + b'","run":"../../etc"}',
        b'{"record":"' + b"0" * 64 + b'","run":""}',
        b'{"record":"' + b"0" * 64 + b'","run":"nobody"}',
        b'{"record":3,"run":"abc"}',
        b" " * 5000,
    ],
    ids=repr,
)
def test_an_entry_that_lies_is_a_miss(on_disk, entry):
    kept(on_disk)
    with open_cache(on_disk.blobs.scratch / "results") as cache:
        cache.set(KEY, entry)
    assert ResultCache(on_disk).find(KEY, never) is None


def test_it_can_be_deleted_at_any_time(on_disk):
    cache = kept(on_disk)
    assert cache.use().entries == 1
    assert cache.clear().entries == 1
    assert not (on_disk.blobs.scratch / "results").exists()
    assert cache.use() == CacheUse(0, 0)
    assert cache.find(KEY, never) is None
    cache.keep(KEY, "other", *record(on_disk, run="other"), never)
    assert ResultCache(on_disk).find(KEY, never).run == "other"


class Planted:
    """Runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


PLANTS = {
    "value": "UPDATE Cache SET value = :pickle, mode = 4, filename = NULL",
    "key": "UPDATE Cache SET key = :pickle, raw = 0",
    "both": "UPDATE Cache SET key = :pickle, raw = 0, value = :pickle, mode = 4",
    "file": "UPDATE Cache SET value = NULL, mode = 4, filename = 'aa/bb/cc.val'",
    "setting": "INSERT INTO Settings VALUES ('_directory', :pickle)",
    "disk": "INSERT INTO Settings VALUES ('disk_no_such', 5)",
}


@pytest.mark.parametrize("where", PLANTS)
def test_a_planted_pickle_is_not_run(on_disk, tmp_path, where):
    kept(on_disk)
    directory, proof = on_disk.blobs.scratch / "results", tmp_path / "proof"
    payload = pickle.dumps(Planted(proof))
    (directory / "aa/bb").mkdir(parents=True)
    (directory / "aa/bb/cc.val").write_bytes(payload)
    with sqlite3.connect(directory / "cache.db") as db:
        db.execute(PLANTS[where], {"pickle": payload})
    db.close()
    told = []
    cache = ResultCache(on_disk)
    cache.find(KEY, told.append)
    cache.keep(OTHER, "new", *record(on_disk, run="new", key=OTHER), told.append)
    cache.use()
    cache.clear()
    assert not proof.exists()
    assert len(told) <= 1


def test_the_planted_pickle_would_have_run(tmp_path):
    pickle.loads(pickle.dumps(Planted(tmp_path / "proof"))).close()
    assert (tmp_path / "proof").exists()


def test_a_row_cannot_remove_a_file_outside(on_disk, tmp_path):
    kept(on_disk)
    precious = tmp_path / "precious.val"
    precious.write_bytes(b"precious")
    with sqlite3.connect(on_disk.blobs.scratch / "results/cache.db") as db:
        db.execute("UPDATE Cache SET mode = 2, filename = ?", (f"../../{precious.name}",))
    db.close()
    ResultCache(on_disk).keep(KEY, "new", *record(on_disk, run="new"), never)
    assert precious.exists()


def spoil(directory):
    (directory / "cache.db").write_bytes(b"this is no database" * 1000)


def replace_by_a_file(directory):
    for path in sorted(directory.rglob("*"), reverse=True):
        path.unlink()
    directory.rmdir()
    directory.write_bytes(b"")


@pytest.mark.parametrize("damage", [spoil, replace_by_a_file])
def test_a_damaged_cache_is_told_of_once_and_never_raises(on_disk, damage):
    kept(on_disk)
    damage(on_disk.blobs.scratch / "results")
    told = []
    cache = ResultCache(on_disk)
    assert cache.find(KEY, told.append) is None
    cache.keep(KEY, "new", *record(on_disk, run="new"), told.append)
    cache.find(KEY, told.append)
    assert len(told) == 1


def test_after_damage_it_begins_anew(on_disk):
    kept(on_disk)
    spoil(on_disk.blobs.scratch / "results")
    cache = ResultCache(on_disk)
    assert cache.find(KEY, lambda _: None) is None
    cache.keep(KEY, "new", *record(on_disk, run="new"), never)
    assert cache.find(KEY, never).run == "new"
    assert ResultCache(on_disk).find(KEY, never).run == "new"


def test_what_is_damaged_again_and_again_is_left_alone(on_disk):
    told = []
    cache = kept(on_disk)
    for _ in range(3):
        cache = cache if told else ResultCache(on_disk)
        directory = on_disk.blobs.scratch / "results"
        with open_cache(directory) as rows:
            rows.set(KEY, b"x")
        with sqlite3.connect(directory / "cache.db") as db:
            db.execute("UPDATE Cache SET mode = 4")
        db.close()
        assert cache.find(KEY, told.append) is None
    assert len(told) == 1


def test_a_directory_that_cannot_be_made(on_disk):
    on_disk.blobs.scratch.mkdir(exist_ok=True)
    (on_disk.blobs.scratch / "results").write_bytes(b"")
    told = []
    cache = ResultCache(on_disk)
    made = record(on_disk)
    cache.keep(KEY, "abc", *made, told.append)
    cache.keep(KEY, "abc", *made, told.append)
    assert len(told) == 1
    assert "is not used" in told[0]


def test_many_threads_and_two_caches_at_once(on_disk):
    made = record(on_disk)
    caches, failures = [ResultCache(on_disk), ResultCache(on_disk)], []

    def work(n):
        try:
            for _ in range(20):
                caches[n % 2].keep(KEY, "abc", *made, never)
                assert caches[(n + 1) % 2].find(KEY, never).run == "abc"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_the_oldest_entries_go_where_there_are_too_many(on_disk):
    with open_cache(on_disk.blobs.scratch / "small", size_limit=1 << 16, eviction="least-recently-stored") as cache:
        for n in range(3000):
            cache.set(f"{n:064}", b"x" * 100)
        assert cache.volume() < 1 << 17
        assert cache.get(f"{2999:064}") is not None
        assert cache.get(f"{0:064}") is None


def test_only_calls_are_results(on_disk):
    cache = ResultCache(on_disk)
    made = record(on_disk)
    head = on_disk.records("abc")[-1].id
    cache.keep(KEY, "abc", head, made[1], never)
    assert not isinstance(on_disk.records("abc")[-1].record, Call)
    assert ResultCache(on_disk).find(KEY, never) is None


def test_how_much_a_cache_holds_that_cannot_be_read_is_not_known(on_disk, tmp_path):
    (tmp_path / "cache" / "results" / "cache.db").mkdir(parents=True)
    assert ResultCache(on_disk).use() == CacheUse(None, 0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_removed_is_not_said_to_be_cleared(on_disk, tmp_path):
    cache = kept(on_disk)
    directory = tmp_path / "cache" / "results"
    directory.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="cannot remove"):
            cache.clear()
    finally:
        directory.chmod(0o700)
