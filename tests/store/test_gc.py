"""What nothing reaches goes, in two visits; what anything reaches stays, whatever happens meanwhile."""

from __future__ import annotations

import pytest

from kitaru.blobs import LocalBlobs, MemoryBlobs
from kitaru.errors import Damaged, PrunedRun, StoreError, UnknownObject
from kitaru.model.records import Note, Start
from kitaru.store import Repository, layout, loose, names
from kitaru.store.check import check
from kitaru.store.gc import SCRATCH_AGE_US, collect
from kitaru.store.invocations import Invocation, put_invocation
from kitaru.store.schedules import ScheduleEntry, put_entry
from tests.store.faults import PowerLoss
from tests.store.samples import call, end, fill, nonces, obj, start, value, whole

HOUR = 3_600_000_000
LARGE, LARGE_OBJECTS = whole(bytes(range(256)) * 3000)


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Objects count as large sooner, so that values have some."""
    monkeypatch.setattr(loose, "LARGE", 50_000)


@pytest.fixture(params=["disk", "memory"])
def repo(request, tmp_path):
    blobs = LocalBlobs(tmp_path / "store", False) if request.param == "disk" else MemoryBlobs()
    return Repository.create(blobs, nonces())


def gc(repo, now, grace=HOUR, **how):
    return collect(repo, now, grace=grace, nonce="n", **how)


def run_with(repo, run, objects, output, source=None):
    version, more = value({"entry": "demo"})
    with repo.begin(run) as writer:
        writer.commit(Start(at=1, flow="demo", version={"n": 1, "id": version}, inputs={}, source=source), more)
        writer.commit(call(1, output), objects)
        head = writer.commit(end()).id
        writer.seal()
    return head


def prune(repo, run, may=lambda records: True):
    return repo.prune(run, at=1_000_000, by="ann", may=may)


def test_what_is_needed_stays(repo):
    run_with(repo, "one", LARGE_OBJECTS, LARGE)
    fill(repo, "two", seal=False)
    answer, objects = value("an answer")
    repo.put_objects(objects)
    repo.put_answer("one", "ab" * 32, value=answer, by="ann", at=1)
    version, objects = value({"files": {"a.py": b"x" * 1000}})
    repo.put_objects(objects)
    repo.add_version("demo", id=version, digest="d", at=1, by="ann")
    before = sorted(repo.blobs.keys("objects")), sorted(repo.blobs.keys("segments"))
    for now in (1, HOUR + 1, 9 * HOUR):
        done = gc(repo, now)
        assert (done.removed, done.noted, done.due) == ([], [], 0)
    assert (sorted(repo.blobs.keys("objects")), sorted(repo.blobs.keys("segments"))) == before
    assert check(repo).is_clean


def test_two_visits_and_the_time_between(repo):
    fill(repo, "one")
    repo.put_objects(LARGE_OBJECTS)
    done = gc(repo, HOUR)
    assert (len(done.noted), done.removed, done.due) == (len(LARGE_OBJECTS), [], 2 * HOUR)
    assert gc(repo, 2 * HOUR - 1).removed == []
    assert gc(repo, 2 * HOUR, dry_run=True).removed == done.noted
    assert repo.object(LARGE)
    done = gc(repo, 2 * HOUR)
    assert len(done.removed) == len(LARGE_OBJECTS)
    assert done.removed_bytes > 0
    assert repo.find_objects(LARGE) == []
    assert list(repo.blobs.keys("gc")) == []
    assert check(repo).is_clean


def test_one_visit_removes_nothing_even_without_grace(repo):
    repo.put_objects(LARGE_OBJECTS)
    assert gc(repo, HOUR, grace=0).removed == []
    assert len(gc(repo, HOUR, grace=0).removed) == len(LARGE_OBJECTS)


def test_a_candidate_that_is_written_again_meanwhile_stays(repo):
    repo.put_objects(LARGE_OBJECTS)
    gc(repo, HOUR)
    while repo.blobs.stamp(layout.object_key(LARGE)) == dict(noted(repo))[layout.object_key(LARGE)]:
        repo.put_objects(LARGE_OBJECTS)
    assert gc(repo, 3 * HOUR).removed == []
    assert repo.object(LARGE)


def noted(repo):
    import json

    (key,) = repo.blobs.keys("gc")
    return [(k, stamp) for k, (_, stamp) in json.loads(repo.blobs.get(key))["noted"].items()]


def test_a_writer_between_look_and_removal_wins(repo, monkeypatch):
    """He relies on the object after gc found it unreached, and before gc removes it."""
    repo.put_objects(LARGE_OBJECTS)
    gc(repo, HOUR)
    key = layout.object_key(LARGE)
    look = type(repo.blobs).size

    def rely_then_look(blobs, wanted):
        if wanted == key:
            before = blobs.stamp(key)
            while blobs.stamp(key) == before:
                repo.put_objects(LARGE_OBJECTS)
        return look(blobs, wanted)

    monkeypatch.setattr(type(repo.blobs), "size", rely_then_look)
    assert key not in gc(repo, 3 * HOUR).removed
    monkeypatch.undo()
    assert repo.object(LARGE)


def test_an_object_that_goes_while_it_is_found_is_written_anew(repo, monkeypatch):
    """Gc removes it after the writer has verified it, and before he relies on it."""
    repo.put_objects(LARGE_OBJECTS)
    freshen = type(repo.blobs).freshen
    gone = []

    def removed_first(blobs, key):
        if not gone:
            gone.append(key)
            blobs.delete(key)
        return freshen(blobs, key)

    monkeypatch.setattr(type(repo.blobs), "freshen", removed_first)
    repo.put_objects(LARGE_OBJECTS)
    assert gone
    assert repo.object(LARGE)


def test_a_pruned_run_goes_with_all_that_is_only_its(repo):
    run_with(repo, "one", LARGE_OBJECTS, LARGE)
    fill(repo, "two")
    answer, objects = value("an answer")
    repo.put_objects(objects)
    repo.put_answer("one", "ab" * 32, value=answer, by="ann", at=1)
    repo.put_cancellation("one", by="ann", at=1, reason="")
    repo.put_cancellation("two", by="ann", at=1, reason="")
    repo.put_start_key("demo", "order 17", "one", by="ann", at=1)
    assert prune(repo, "one")
    assert repo.run_ids() == ["two"]
    assert repo.pruned_ids() == ["one"]
    assert gc(repo, HOUR).removed == []
    assert repo.records("one")
    assert len(gc(repo, 2 * HOUR).removed) >= 4
    assert not repo.has_run("one")
    assert repo.blobs.children("runs") == ["two"]
    assert [k for d in ("objects", "answers", "gc") for k in repo.blobs.keys(d)] == []
    assert check(repo).is_clean
    assert repo.tombstone("one").by == "ann"
    assert repo.blobs.children("cancels") == ["two"]
    assert repo.start_key("demo", "order 17").run == "one"
    for again in (repo.begin,):
        with pytest.raises(StoreError):
            again("one")


def test_a_pruned_run_is_not_carried_on(repo):
    fill(repo, "one", seal=False)
    prune(repo, "one")
    with pytest.raises(PrunedRun, match=r"pruned by ann at 1970-01-01 00:00:01 UTC"):
        repo.reopen("one")
    gc(repo, HOUR)
    gc(repo, 2 * HOUR)
    assert list(repo.blobs.keys("open")) == []
    assert list(repo.blobs.keys("segments")) == []
    assert prune(repo, "one")


def test_prune_asks_while_it_holds_the_run(repo):
    fill(repo, "one")
    seen = []
    assert not prune(repo, "one", lambda records: seen.append((repo.is_held("one"), len(records))))
    assert seen == [(True, 5)]
    assert repo.tombstone("one") is None


def test_what_a_replay_shares_stays_with_its_source(repo):
    head = run_with(repo, "one", LARGE_OBJECTS, LARGE)
    run_with(repo, "two", [], LARGE, {"run": "one", "head": head, "cut": 2})
    prune(repo, "one")
    gc(repo, HOUR)
    assert gc(repo, 3 * HOUR).removed == []
    assert repo.object(LARGE)
    prune(repo, "two")
    gc(repo, 4 * HOUR)
    gc(repo, 5 * HOUR)
    assert list(repo.blobs.keys("segments")) == list(repo.blobs.keys("objects")) == list(repo.blobs.keys("runs")) == []


def test_a_segment_with_the_only_copy_of_what_another_run_names_stays(repo):
    output, objects = value({"only": "in the first run"})
    run_with(repo, "one", objects, output)
    run_with(repo, "two", [], output)
    prune(repo, "one")
    gc(repo, HOUR)
    gc(repo, 2 * HOUR)
    assert repo.blobs.children("runs") == ["two"]
    assert len(list(repo.blobs.keys("segments"))) == 2
    segment = next(repo.blobs.keys("segments"))
    assert segment
    prune(repo, "two")
    gc(repo, 3 * HOUR)
    gc(repo, 4 * HOUR)
    assert list(repo.blobs.keys("segments")) == []


@pytest.mark.parametrize("named_by", ["argument", "note", "part"])
def test_objects_that_are_named_in_passing_stay(repo, named_by):
    version, more = value({"entry": "demo"})
    list_id, a_list = obj(b"l\x01R" + bytes.fromhex(LARGE))
    with repo.begin("one") as writer:
        writer.commit(start(version), more)
        record = call(1)
        if named_by == "argument":
            record.args = {"a": LARGE}
            writer.commit(record, LARGE_OBJECTS)
        elif named_by == "note":
            writer.commit(Note(5, "metadata", {"value": LARGE}), LARGE_OBJECTS)
        else:
            record.output = list_id
            writer.commit(record, [*LARGE_OBJECTS, (list_id, a_list)])
        assert list(repo.blobs.keys("objects"))
        gc(repo, HOUR)
        assert gc(repo, 3 * HOUR).removed == []
        writer.commit(end())
        writer.seal()
    assert check(repo).is_clean


def test_a_damaged_store_is_left_as_it_is(repo):
    fill(repo, "one")
    repo.put_objects(LARGE_OBJECTS)
    gc(repo, HOUR)
    (segment,) = repo.blobs.keys("segments")
    content = repo.blobs.get(segment)
    repo.blobs.delete(segment)
    repo.blobs.create(segment, content[:200] + bytes([content[200] ^ 1]) + content[201:])
    with pytest.raises(Damaged):
        gc(repo, 3 * HOUR)
    assert repo.find_objects(LARGE) == [LARGE]


@pytest.mark.parametrize("part", ["Upper", "long" * 50 + "%"])
def test_a_run_that_no_id_stands_for_keeps_everything(repo, part):
    fill(repo, "one")
    (name,) = repo.blobs.keys("runs")
    repo.blobs.create(f"runs/{part}/000001", repo.blobs.get(name))
    with pytest.raises(Damaged, match="no run has such a name"):
        gc(repo, HOUR)


@pytest.mark.parametrize("source", [{}, {"run": ""}, {"run": "x" * 2000}, {"run": 7}])
def test_a_source_that_is_none_is_damage(repo, source):
    run_with(repo, "two", [], LARGE, {"head": "h", "cut": 2, **source})
    with pytest.raises(Damaged, match="no run"):
        gc(repo, HOUR)


@pytest.mark.parametrize("key", ["../outside", "/etc/passwd", "runs/one/000001", "config.toml"])
def test_a_list_of_candidates_that_lies_removes_nothing(repo, key):
    """What a visit noted is only compared with what nothing reaches now."""
    fill(repo, "one")
    stamp = repo.blobs.stamp("runs/one/000001")
    repo.blobs.create("gc/000001", names.pack({"at": 1, "noted": {key: [1, stamp]}, "nonce": "n"}))
    assert gc(repo, HOUR).removed == []
    assert repo.records("one")


def test_a_damaged_list_of_candidates_only_costs_time(repo):
    repo.put_objects(LARGE_OBJECTS)
    gc(repo, HOUR)
    (key,) = repo.blobs.keys("gc")
    repo.blobs.delete(key)
    repo.blobs.create(key, b'{"at": 1, "noted": 7}\n')
    assert gc(repo, 3 * HOUR).removed == []
    assert gc(repo, 5 * HOUR).removed != []


def test_a_clock_that_was_set_back_keeps_nothing_for_ever(repo):
    repo.put_objects(LARGE_OBJECTS)
    assert gc(repo, 10**6 * HOUR).noted
    assert gc(repo, HOUR).removed == []
    assert gc(repo, 2 * HOUR - 1).removed == []
    assert gc(repo, 2 * HOUR).removed == [layout.object_key(LARGE)]


def test_one_at_a_time(repo):
    held = repo.blobs.lock(layout.GC_LOCK)
    with pytest.raises(StoreError, match="another gc"):
        gc(repo, HOUR)
    held.release()
    gc(repo, HOUR)


def test_scratch_and_empty_directories(tmp_path):
    repo = Repository.create(LocalBlobs(tmp_path))
    fill(repo, "one")
    repo.blobs.create("tmp/torn-one", b"x")
    (tmp_path / "runs/ab").mkdir()
    (tmp_path / "objects/ab").mkdir(parents=True)
    now = repo.blobs.stamp("tmp/torn-one") // 1000
    assert gc(repo, now).scratch == 0
    assert gc(repo, now + SCRATCH_AGE_US + 1_000_000).scratch == 1
    assert (repo.blobs.children("runs"), repo.blobs.children("tmp")) == (["one"], [])
    assert repo.blobs.children("objects") == ["ab"]


def test_a_run_that_never_recorded_anything_goes(repo):
    repo.blobs.create("open/never/n", b"")
    gc(repo, HOUR)
    held = repo.blobs.lock("never")
    assert gc(repo, 3 * HOUR).removed == []
    held.release()
    assert gc(repo, 4 * HOUR).removed == ["open/never/n"]


def test_what_is_found_in_a_directory_of_objects_is_durable_once_relied_on(tmp_path):
    """One who has seen to a directory's own name once does not again: so gc leaves it, though nothing is in it."""
    files = PowerLoss()
    repos = [Repository.create(LocalBlobs(tmp_path, files=files, random_bytes=nonces(n)), nonces(n)) for n in (1, 2)]
    repos[0].put_objects(LARGE_OBJECTS)
    for now in (1, HOUR + 1):
        gc(repos[1], now)
    assert not list(repos[0].blobs.keys("objects"))
    loose.stage(repos[1].blobs, *LARGE_OBJECTS[0], repos[1].nonce)
    repos[0].put_objects(LARGE_OBJECTS)  # found there, whose directory another made
    files.fail_power()
    assert loose.read(LocalBlobs(tmp_path), LARGE) == LARGE_OBJECTS[0][1]


def put_queued(blobs, inputs):
    put_invocation(blobs, Invocation("abc", "demo", "demo", inputs))


def put_scheduled(blobs, inputs):
    put_entry(blobs, ScheduleEntry("nightly", 1, "active", "demo", inputs, "0 9 * * *", "UTC", "none", 1, "ann", ""))


@pytest.mark.parametrize("put", [put_queued, put_scheduled])
def test_what_is_queued_or_scheduled_keeps_its_inputs(repo, put):
    inputs, objects = value("for the queue" * 10)
    other, others = value("for nobody" * 10)
    repo.put_objects([*objects, *others])
    put(repo.blobs, inputs)
    for day in (1, 2):
        gc(repo, day * 24 * HOUR)
    assert repo.object(inputs) == dict(objects)[inputs]
    with pytest.raises(UnknownObject):
        repo.object(other)
