"""Repair makes again what other bytes tell, keeps the rest aside, deletes nothing, and is done after one time."""

from __future__ import annotations

import itertools
import json
import random
import shutil

import pytest

from kitaru.blobs import LocalBlobs
from kitaru.errors import Damaged
from kitaru.model.records import Start
from kitaru.store import Repository, loose
from kitaru.store.check import check
from kitaru.store.gc import collect
from kitaru.store.layout import start_key
from kitaru.store.names import key_digest
from kitaru.store.repair import repair
from kitaru.store.routes import Destination, RouteEntry, add_entry, route_log
from kitaru.store.schedules import ScheduleEntry, schedule_log
from kitaru.store.schedules import put_entry as put_schedule_entry
from tests.store.faults import Died, FaultyFiles, PowerLoss
from tests.store.samples import call, end, fill, nonces, start, value, whole

LARGE, LARGE_OBJECTS = whole(bytes(range(256)) * 3000)
NAMES = map("n{}".format, itertools.count())


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Objects count as large sooner, so that values have some."""
    monkeypatch.setattr(loose, "LARGE", 50_000)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def repo(root):
    return Repository.create(LocalBlobs(root, False), nonces())


def mend(root, **how):
    return repair(again(root), nonce=lambda: next(NAMES), now=5, **how)


def again(root):
    return Repository.open(LocalBlobs(root, False), nonces(900))


def only(root, pattern):
    (path,) = [p for p in root.glob(pattern) if p.is_file()]
    return path


def flip(path, at, bits=1):
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[at] ^= bits
    path.write_bytes(content)


def everything(root):
    """All content, wherever it lies: nothing of it may be lost."""
    return {p.read_bytes() for p in root.rglob("*") if p.is_file() and "locks" not in p.parts}


def mended(root, clean=True, sealed=False):
    """Repair; nothing is lost, and a second time has nothing to do."""
    before = everything(root)
    planned = mend(root, dry_run=True)
    assert everything(root) == before
    done = mend(root)
    assert [d.did for d in done] == [p.did for p in planned]
    assert sealed or before <= everything(root)
    assert mend(root) == []
    assert check(again(root)).is_clean is clean
    return done


def test_a_whole_store_needs_nothing(repo, root):
    fill(repo, "one")
    fill(repo, "two", seal=False)
    assert mended(root) == []


def test_a_damaged_index_is_made_again(repo, root):
    fill(repo, "one")
    segment = only(root, "segments/*/*")
    whole = segment.read_bytes()
    for at in range(whole.index(b"KTINDEX1"), len(whole), 7):
        flip(segment, at)
        (done,) = mended(root)
        assert (done.where, done.did) == (str(segment), "its index was made again")
        assert segment.read_bytes() == whole
    assert len(repo.records("one")) == 5


def test_a_segment_damaged_in_the_middle(repo, root):
    """The run waits for a whole copy; what came before the damage is a run of its own, and can be carried on."""
    fill(repo, "one", calls=2, seal=False)
    with repo.reopen("one") as writer:
        record = writer.commit(call(3))
        writer.commit(end())
        middle = writer._journal.size - 40
        writer.seal()
    second = json.loads((root / "runs/one/000002").read_bytes())["segment"]
    segment = root / f"segments/{second[:2]}/{second[2:]}"
    whole = segment.read_bytes()
    flip(segment, middle)
    done = mended(root, clean=False)
    assert "4 records before the damage are kept as run" in done[0].did
    with pytest.raises(Damaged):
        again(root).records("one")
    (recovered,) = set(again(root).run_ids()) - {"one"}
    assert again(root).records(recovered)[-1].id == record.id
    with again(root).reopen(recovered) as writer:
        writer.commit(end(7))
        writer.seal()
    segment.write_bytes(whole)
    assert len(again(root).records("one")) == 5
    assert check(again(root)).is_clean


def test_a_segment_with_nothing_whole_is_put_aside(repo, root):
    fill(repo, "one")
    flip(only(root, "segments/*/*"), 3)
    (done,) = mended(root, clean=False)
    assert "a copy of it makes the run whole again" in done.did
    assert again(root).prune("one", at=1, by="ann", may=None)
    for now in (10, 20):
        collect(again(root), now, grace=5, nonce="n")
    assert check(again(root)).is_clean
    assert again(root).run_ids() == []


def test_a_torn_tail_is_cut_as_resuming_does(repo, root):
    fill(repo, "one", seal=False)
    path = only(root, "open/one/*")
    path.write_bytes(path.read_bytes().rstrip(b"\0") + b"\xabKE1 torn")
    (done,) = mended(root, sealed=True)
    assert "torn end was cut" in done.did
    assert only(root, "tmp/torn-*").read_bytes() == b"\xabKE1 torn"
    assert len(again(root).records("one")) == 4


def test_a_run_that_executes_is_left_alone(repo, root):
    with repo.begin("one") as writer:
        writer.commit(start())
        path = only(root, "open/one/*")
        with path.open("ab") as file:
            file.write(b"\xabKE1 torn")
        assert mend(root) == []
        writer.commit(end())
        writer.seal()


def test_a_damaged_journal_is_cut_before_the_damage(tmp_path):
    root = tmp_path / "store"
    repo = Repository.create(LocalBlobs(root), nonces())
    version, objects = value({"entry": "demo"})
    with repo.begin("one") as writer:
        writer.commit(start(version), objects)
        at = writer._journal.size
        for n in range(1, 5):
            writer.commit(call(n, value(n)[0]), value(n)[1])
    flip(only(root, "open/one/*"), at + 5)
    with pytest.raises(Damaged):
        repo.records("one")
    (done,) = mended(root)
    assert "1 records before the damage are kept, and calls behind it run again" in done.did
    with again(root).reopen("one") as writer:
        assert len(writer.records) == 1
        writer.commit(call(1))
        writer.commit(end())
        writer.seal()
    assert check(again(root)).is_clean


def test_a_damaged_object_is_put_aside_and_written_anew(repo, root):
    with repo.begin("one") as writer:
        writer.commit(start(value("v")[0]), value("v")[1])
        writer.commit(call(1, LARGE), LARGE_OBJECTS)
        writer.commit(end())
        writer.seal()
    flip(max(root.glob("objects/*/*"), key=lambda p: p.stat().st_size), 100)
    (done,) = mended(root, clean=False)
    assert "writes it anew" in done.did
    again(root).put_objects(LARGE_OBJECTS)
    assert check(again(root)).is_clean


def test_a_damaged_name_of_a_run_is_made_again(repo, root):
    fill(repo, "one")
    fill(repo, "two")
    name = root / "runs/two/000001"
    whole = name.read_bytes()
    for at in random.Random(1).sample(range(len(whole)), 12):
        flip(name, at, 1 << at % 8)
        with pytest.raises(Damaged):
            again(root).records("two")
        (done,) = mended(root)
        assert "made again from the segment" in done.did
        assert name.read_bytes() == whole


def test_a_name_nobody_can_tell_is_left(repo, root):
    fill(repo, "one")
    name = root / "runs/one/000001"
    name.chmod(0o600)
    name.write_bytes(b"")
    assert mended(root, clean=False) == []


def test_small_names(repo, root):
    fill(repo, "one")
    fill(repo, "gone")
    repo.prune("gone", at=1, by="ann", may=None)
    version, objects = value({"entry": "demo"})
    repo.put_objects(objects)
    repo.add_version("demo", id=version, digest="d", at=1, by="ann")
    repo.put_answer("one", "ab" * 32, value=version, by="ann", at=1)
    for path in ("pruned/gone", "flows/demo/000001", f"answers/one/{'ab' * 32}"):
        flip(root / path, 10)
    assert not check(again(root)).is_clean
    assert len(mended(root)) == 3
    fixed = again(root)
    assert fixed.run_ids() == ["one"]
    assert fixed.tombstone("gone").by == "kitaru fsck --repair"
    assert fixed.versions("demo") == []
    assert fixed.answer("one", "ab" * 32) is None


def test_requests_and_keys(repo, root):
    with repo.begin("keyed") as writer:
        writer.commit(Start(at=7, flow="demo", version={"n": 1, "id": "0" * 64}, inputs={}, key="order 17"))
    repo.put_start_key("demo", "order 17", "keyed", by="ann", at=1)
    repo.put_start_key("demo", "order 18", "never", by="ann", at=1)
    repo.put_cancellation("keyed", by="ann", at=1, reason="")
    for key in (start_key("demo", key_digest("order 17")), start_key("demo", key_digest("order 18")), "cancels/keyed"):
        flip(root / key, 10)
    assert len([f for f in check(again(root)).findings if f.severity == "damage"]) >= 3
    told = [done.did for done in mended(root, clean=False)]
    assert len(told) == 2, told
    fixed = again(root)
    assert fixed.start_key("demo", "order 17").run == "keyed"
    assert fixed.cancellation("keyed") is None
    with pytest.raises(Damaged):  # which run it was nobody can tell, and it must not start a second one
        fixed.start_key("demo", "order 18")


def test_directories_that_are_no_runs(repo, root):
    fill(repo, "one")
    for part in ("..%2f", "%zz", "UPPER"):
        repo.blobs.create(f"runs/{part}/000001", b"{}")
    assert len(mended(root)) == 3


@pytest.mark.parametrize("key", ["segments/ab/cd", "objects/zz/..x"])
def test_what_has_no_name_is_put_aside(repo, root, key):
    fill(repo, "one")
    repo.blobs.create(key, b"{}")
    (done,) = mended(root)
    assert "put aside" in done.did
    assert only(root, "lost/*").read_bytes() == b"{}"


def _damaged_everywhere(root, repo):
    """Make a store of which an index, a segment's middle, a name and an object are damaged."""
    for run in ("index", "middle", "name"):
        fill(repo, run)
    repo.put_objects(value("an object")[1])
    segments = {run: json.loads((root / f"runs/{run}/000001").read_bytes())["segment"] for run in ("index", "middle")}
    for run, segment in segments.items():
        path = root / f"segments/{segment[:2]}/{segment[2:]}"
        flip(path, -30 if run == "index" else path.read_bytes().rindex(b"\xabKE1") - 10)
    flip(root / "runs/name/000001", 20)
    flip(only(root, "objects/*/*"), 30)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("disk", [FaultyFiles, PowerLoss])
def test_repair_cut_short_anywhere_is_done_by_the_next(tmp_path, after, disk):
    whole = tmp_path / "whole"
    _damaged_everywhere(whole, Repository.create(LocalBlobs(whole, False), nonces()))
    shutil.copytree(whole, tmp_path / "counted")
    files = FaultyFiles()
    counted = Repository.open(LocalBlobs(tmp_path / "counted", files=files), nonces(900))
    done = repair(counted, nonce=lambda: next(NAMES), now=5)
    assert len(done) == 5
    runs = counted.run_ids()
    assert len(runs) == 4
    for at in range(len(files.calls)):
        root = tmp_path / str(at)
        shutil.copytree(whole, root)
        files = disk(die_at=at, after=after)
        dying = Repository.open(LocalBlobs(root, files=files), nonces(900))
        with pytest.raises(Died):
            repair(dying, nonce=lambda: next(NAMES), now=5)
        if disk is PowerLoss:
            files.fail_power()
        before = everything(whole)
        mend(root)
        assert mend(root) == []
        assert before <= everything(root)
        assert again(root).run_ids() == runs
        assert [len(again(root).records(run)) for run in runs if run != "middle"] == [
            len(counted.records(run)) for run in runs if run != "middle"
        ]


def routed(repo, log=3):
    """Give a flow a version for each entry of a route's log; return the entries."""
    entries = []
    for n in range(1, log + 1):
        version, objects = value({"entry": "demo", "n": n})
        repo.put_objects(objects)
        repo.add_version("demo", id=version, digest=f"d{n}", at=n, by="ann")
        entries.append(RouteEntry("demo", "stable", n, (Destination(version, n, 100),), 0, n, "ann", "", f"n{n}"))
        assert add_entry(repo.blobs, entries[-1]) == (True, entries[-1])
    return entries


@pytest.mark.parametrize("hurt", [1, 2])
def test_a_damaged_entry_of_a_log_that_others_follow_repeats_the_one_beside_it(repo, root, hurt):
    entries = routed(repo)
    flip(root / f"routes/demo/stable/{hurt:06}", 10)
    mended(root)
    log = route_log(repo.blobs, "demo", "stable")
    assert log[2] == entries[2]
    assert log[hurt - 1].to == entries[1 if hurt == 1 else 0].to
    assert log[hurt - 1].by == "kitaru fsck --repair"


def test_the_last_entry_of_a_log_is_put_aside_and_the_one_before_holds(repo, root):
    entries = routed(repo)
    flip(root / "routes/demo/stable/000003", 10)
    mended(root)
    assert route_log(repo.blobs, "demo", "stable") == entries[:2]


def test_an_entry_of_a_log_that_is_gone_is_damage_and_made_again(repo, root):
    routed(repo)
    (root / "routes/demo/stable/000002").unlink()
    (finding,) = [f for f in check(again(root)).findings if f.severity == "damage"]
    assert "entry 2 of the log is missing" in finding.what
    mended(root)


def test_what_says_what_it_cannot_is_put_aside_though_it_has_the_shape(repo, root):
    asleep = ScheduleEntry("daily", 1, "asleep", "demo", "ab" * 32, "0 9 * * *", "UTC", "last", 7, "ann", "", "n1")
    put_schedule_entry(repo.blobs, asleep)
    assert len(mended(root)) == 1
    assert schedule_log(repo.blobs, "daily") == []
