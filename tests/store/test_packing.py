"""gc puts small segments into packs: nothing is lost on the way, whoever reads meanwhile, and wherever it is cut."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import threading

import pytest

from kitaru.blobs import LocalBlobs, MemoryBlobs
from kitaru.errors import Damaged
from kitaru.store import Repository, loose, packing
from kitaru.store.catalog import Catalog
from kitaru.store.check import LEFTOVER, check
from kitaru.store.gc import collect
from kitaru.store.repair import repair
from kitaru.store.usage import INDEXES, usage
from tests.store.faults import Died, FaultyFiles, PowerLoss
from tests.store.samples import call, end, fill, nonces, start, value

HOUR = 3_600_000_000
NAMES = map("n{}".format, itertools.count())


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """A few files are enough for a pack, and values have large objects."""
    monkeypatch.setattr(packing, "ENOUGH", 3)
    monkeypatch.setattr(loose, "LARGE", 50_000)


@pytest.fixture(params=["disk", "memory"])
def repo(request, tmp_path):
    blobs = LocalBlobs(tmp_path / "store", False) if request.param == "disk" else MemoryBlobs()
    return Repository.create(blobs, nonces())


def gc(repo, now=HOUR, grace=HOUR, **how):
    return collect(repo, now, grace=grace, nonce="n", **how)


def several(repo, names):
    return {object_id: data for name in names for object_id, data in fill(repo, name).items()}


def ids(repo, runs):
    return {run: [stored.id for stored in repo.records(run)] for run in runs}


def keys(repo, directory):
    return list(repo.blobs.keys(directory))


def fresh(repo):
    """Return the same store as another process finds it."""
    return Repository.open(repo.blobs, nonces(700))


def test_finished_runs_are_packed(repo):
    outputs = several(repo, "abcd")
    before = ids(repo, "abcd")
    assert gc(repo, dry_run=True).packed == 4
    assert len(keys(repo, "segments")) == 4
    done = gc(repo)
    assert (done.packed, done.packs, done.removed, done.noted) == (4, 1, [], [])
    assert keys(repo, "segments") == []
    (key,) = keys(repo, "packs")
    assert hashlib.sha256(repo.blobs.get(key)).hexdigest() == key.split("/")[1]
    for reader in (repo, fresh(repo)):
        assert ids(reader, "abcd") == before
        for object_id, data in outputs.items():
            assert reader.object(object_id) == reader.object(object_id, ["a"]) == data
        assert sorted(outputs) == [i for i in reader.find_objects("") if i in outputs]
    assert len(Catalog(fresh(repo)).summaries()) == 4
    report = check(fresh(repo))
    assert (report.findings, report.runs) == ([], 4)
    done = gc(fresh(repo))
    assert (done.packed, done.packs) == (0, 0)
    assert keys(repo, "packs") == [key]


def test_a_few_are_left_as_they_are(repo):
    several(repo, "ab")
    assert gc(repo).packs == 0
    assert len(keys(repo, "segments")) == 2


def test_a_large_segment_keeps_its_file(repo, monkeypatch):
    several(repo, "abc")
    monkeypatch.setattr(packing, "SMALL", 10)
    assert gc(repo).packs == 0


def test_a_packed_run_goes_on(repo):
    for run in "abc":
        fill(repo, run, seal=False)
        repo.reopen(run).seal()
    gc(repo)
    assert keys(repo, "segments") == []
    with fresh(repo).reopen("a") as writer:
        writer.commit(call(9))
        writer.commit(end())
        writer.seal()
    assert len(repo.records("a")) == 6
    assert len(keys(repo, "segments")) == 1
    assert check(repo).findings == []


def test_small_packs_become_larger_ones(repo, monkeypatch):
    """As many packs as n in binary has digits; none beyond the limit."""
    names = map("run{:03}".format, itertools.count())
    counts = []
    for _ in range(20):
        several(repo, itertools.islice(names, 3))
        gc(repo)
        counts.append(len(keys(repo, "packs")))
    assert max(counts) <= 5
    assert len({run for run in repo.run_ids() if repo.records(run)}) == 60
    assert keys(repo, "segments") == []
    monkeypatch.setattr(packing, "FULL", 4000)
    several(repo, itertools.islice(names, 20))
    assert gc(repo).packs > 1
    assert check(fresh(repo)).findings == []


def test_what_a_pruned_run_left_in_a_pack_goes_after_two_visits(repo):
    several(repo, "abc")
    gc(repo)
    (old,) = keys(repo, "packs")
    segment = next(iter(repo.segments.packs()[old]))
    (run,) = [run for run in "abc" if segment in {name.segment for name in _names(repo, run)}]
    assert repo.prune(run, at=1, by="ann", may=None)
    assert gc(repo, 2 * HOUR).noted
    assert keys(repo, "packs") == [old]
    assert gc(repo, 3 * HOUR - 1).removed == []
    done = gc(repo, 3 * HOUR)
    assert any(key.startswith("segments/") for key in done.removed)
    (new,) = keys(repo, "packs")
    assert new != old
    assert segment not in set(repo.segments.packs()[new])
    assert check(fresh(repo)).findings == []
    for other in set("abc") - {run}:
        assert fresh(repo).prune(other, at=1, by="ann", may=None)
    for now in (4, 5, 6):
        gc(repo, now * HOUR)
    assert keys(repo, "packs") == keys(repo, "runs") == keys(repo, "gc") == []


def _names(repo, run):
    from kitaru.store import names

    return names.segments(repo.blobs, run)


def test_a_segment_written_again_beside_its_pack(repo):
    """Whoever seals the same bytes again gets a file; the next visit sees that it is in the pack."""
    several(repo, "abc")
    files = {key: repo.blobs.get(key) for key in keys(repo, "segments")}
    gc(repo)
    for key, data in files.items():
        repo.blobs.create(key, data)
    assert {f.severity for f in check(fresh(repo)).findings} == {LEFTOVER}
    gc(repo)
    assert keys(repo, "segments") == []
    assert check(fresh(repo)).findings == []


def test_a_file_goes_only_when_the_pack_has_it_whole(repo):
    several(repo, "abc")
    gc(repo)
    (key,) = keys(repo, "packs")
    segment, offset, _ = repo.segments.packs()[key].in_order()[1]
    whole = bytes(repo.segments.find(segment).data)
    data = bytearray(repo.blobs.get(key))
    data[offset + 30] ^= 1
    repo.blobs.delete(key)
    repo.blobs.create(key, bytes(data))
    from kitaru.store import layout

    repo.blobs.create(layout.segment_key(segment), whole)
    gc(fresh(repo))
    assert keys(repo, "segments") == [layout.segment_key(segment)]


def test_who_looks_while_it_is_moved_finds_it(repo, monkeypatch):
    """Between a reader's look for the file and his look at packs, gc packs it; then it packs the packs."""
    outputs = several(repo, "abc")
    readers = [fresh(repo), fresh(repo)]
    readers[1].segments.packs()
    view, moved = type(repo.blobs).view, []

    def moving(blobs, key):
        if key.startswith(("segments/", "packs/")) and len(moved) < 2:
            moved.append(key)
            several(fresh(repo), [f"more{len(moved)}{n}" for n in range(4)])
            monkeypatch.setattr(type(repo.blobs), "view", view)
            gc(fresh(repo))
            monkeypatch.setattr(type(repo.blobs), "view", moving)
        return view(blobs, key)

    monkeypatch.setattr(type(repo.blobs), "view", moving)
    for reader in readers:
        for object_id, data in outputs.items():
            assert reader.object(object_id, ["a", "b", "c"]) == data
    assert len(moved) == 2


def test_readers_while_packs_come_and_go(tmp_path):
    repo = Repository.create(LocalBlobs(tmp_path / "store", False), nonces())
    outputs = several(repo, "abc")
    done, errors = threading.Event(), []

    def read():
        while not done.is_set():
            reader = fresh(repo)
            try:
                assert all(len(reader.records(run)) == 5 for run in "abc")
                assert all(reader.object(i, list("abc")) == data for i, data in outputs.items())
            except BaseException as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for n in range(15):
        several(repo, [f"run{n}x{m}" for m in range(3)])
        gc(repo)
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []


# -- damage ----------------------------------------------------------------------------------------------------------


def damaged(repo, change):
    """Pack four runs, and change the pack's bytes."""
    outputs = several(repo, "abcd")
    gc(repo)
    (key,) = keys(repo, "packs")
    data = bytearray(repo.blobs.get(key))
    change(data, repo.segments.packs()[key].in_order())
    repo.blobs.delete(key)
    repo.blobs.create(key, bytes(data))
    return key, outputs


def mend(repo, **how):
    return repair(fresh(repo), nonce=lambda: next(NAMES), now=5, **how)


def flipped(at):
    def change(data, places):
        data[at] ^= 16

    return change


@pytest.mark.parametrize("at", [2, -4, -30], ids=["magic", "end", "index"])
def test_a_pack_whose_index_is_damaged(repo, at):
    key, outputs = damaged(repo, flipped(at))
    report = check(fresh(repo))
    assert not report.is_clean
    assert all(repo.blobs.where(key) in f.where for f in report.findings if f.severity != LEFTOVER)
    with pytest.raises(Damaged, match=key.split("/")[1]):
        fresh(repo).records("a")
    with pytest.raises(Damaged):
        gc(fresh(repo))
    planned = mend(repo, dry_run=True)
    (done,) = mend(repo)
    assert [done] == planned
    assert "4 whole segments in it got files of their own" in done.did
    assert keys(repo, "packs") == []
    assert check(fresh(repo)).is_clean
    for object_id, data in outputs.items():
        assert fresh(repo).object(object_id) == data
    assert mend(repo) == []


def test_a_pack_with_a_damaged_segment(repo):
    """The others get files; what came before the damage is a run of its own; a copy makes the run whole."""
    whole = {}

    def change(data, places):
        for segment, offset, length in places:
            whole[segment] = bytes(data[offset : offset + length])
        segment, offset, _ = places[1]
        at = whole[segment].rindex(b"\xabKE1") + 40
        whole["hurt"] = whole[segment]
        data[offset + at] ^= 1

    key, _ = damaged(repo, change)
    report = check(fresh(repo))
    ((run,),) = {f.affects for f in report.findings if f.affects}
    assert key.split("/")[1] in next(f for f in report.findings if f.affects).where
    done = mend(repo)
    assert [d.did.split(",")[0] for d in done] == [
        "3 whole segments in it got files of their own",
        done[1].did,
    ]
    assert "records before the damage are kept as run" in done[1].did
    assert keys(repo, "packs") == []
    for other in set("abcd") - {run}:
        assert len(fresh(repo).records(other)) == 5
    (recovered,) = set(fresh(repo).run_ids()) - set("abcd")
    assert len(fresh(repo).records(recovered)) == 4
    from kitaru.store import layout

    repo.blobs.create(layout.segment_key(hashlib.sha256(whole["hurt"]).hexdigest()), whole["hurt"])
    assert len(fresh(repo).records(run)) == 5
    assert check(fresh(repo)).is_clean
    assert mend(repo) == []


def test_a_damaged_file_beside_a_whole_pack(repo):
    several(repo, "abc")
    files = {key: repo.blobs.get(key) for key in keys(repo, "segments")}
    gc(repo)
    key, data = next(iter(files.items()))
    at = data.index(b"\xabKE1") + 40
    repo.blobs.create(key, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert not check(fresh(repo)).is_clean
    (done,) = mend(repo)
    assert "a pack has a whole copy" in done.did
    assert check(fresh(repo)).is_clean
    assert fresh(repo).run_ids() == ["a", "b", "c"]


def test_what_is_no_pack(repo):
    fill(repo, "one")
    repo.blobs.create("packs/thing", b"x")
    repo.blobs.create("packs/" + "ab" * 32, b"x")
    assert len([f for f in check(fresh(repo)).findings if f.severity == "damage"]) == 2
    assert len(mend(repo)) == 2
    assert check(fresh(repo)).is_clean


def test_a_pack_made_by_somebody_who_lies(repo):
    """Its name and checksums are right; its index says that many segments are the same few bytes."""
    from tests.store.test_pack import lying

    several(repo, "abc")
    data = lying([(n, 8, 4) for n in range(200)])
    repo.blobs.create("packs/" + hashlib.sha256(data).hexdigest(), data)
    assert [f.severity for f in check(fresh(repo)).findings] == ["damage"]
    with pytest.raises(Damaged, match="overlap"):
        gc(fresh(repo))
    assert sum(use.size for use in usage(fresh(repo)) if use.artifact == INDEXES) == len(data)
    assert len(mend(repo, dry_run=True)) == len(mend(repo)) == 1
    assert check(fresh(repo)).is_clean
    assert gc(fresh(repo)).packed == 3


def test_room(repo):
    several(repo, "abcd")
    gc(repo)
    (key,) = keys(repo, "packs")
    uses = usage(fresh(repo))
    (beyond,) = [use.size for use in uses if use.artifact == INDEXES]
    assert 4 * 48 < beyond < 4 * 48 + 100
    names = sum(repo.blobs.size(k) for k in keys(repo, "runs"))
    assert sum(use.size for use in uses if use.run) + beyond == names + repo.blobs.size(key)


# -- crashes ---------------------------------------------------------------------------------------------------------


def _prepared(root):
    """A store with a pack, a dead segment in it, and enough files for another."""
    repo = Repository.create(LocalBlobs(root, False), nonces())
    several(repo, "abc")
    gc(repo)
    repo.prune("b", at=1, by="ann", may=None)
    gc(repo, 2 * HOUR)
    several(repo, "defg")
    return ids(repo, "acdefg")


def _survives(root, expected):
    repo = Repository.open(LocalBlobs(root, False), nonces(900))
    report = check(repo)
    assert report.is_clean, report.findings
    assert ids(repo, expected) == expected
    for now in (9, 11):
        gc(Repository.open(LocalBlobs(root, False)), now * HOUR)
    report = check(Repository.open(LocalBlobs(root, False)))
    assert [f for f in report.findings if "/tmp/" not in f.where] == []
    assert len(list((root / "packs").iterdir())) == 1
    assert not list((root / "segments").glob("*/*"))
    assert ids(repo, expected) == expected


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("disk", [FaultyFiles, PowerLoss])
def test_death_at_every_call_of_gc(tmp_path, after, disk):
    expected = _prepared(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "counted")
    files = FaultyFiles()
    done = gc(Repository.open(LocalBlobs(tmp_path / "counted", files=files), nonces(500)), 4 * HOUR)
    assert (done.packed, done.packs) == (4, 1)
    assert done.removed
    _survives(tmp_path / "counted", expected)
    for at in range(len(files.calls)):
        root = tmp_path / str(at)
        shutil.copytree(tmp_path / "whole", root)
        files = disk(die_at=at, after=after)
        with pytest.raises(Died):
            gc(Repository.open(LocalBlobs(root, files=files), nonces(500)), 4 * HOUR)
        if disk is PowerLoss:
            files.fail_power()
        _survives(root, expected)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("disk", [FaultyFiles, PowerLoss])
def test_death_at_every_call_of_mending_a_pack(tmp_path, after, disk):
    whole = tmp_path / "whole"
    repo = Repository.create(LocalBlobs(whole, False), nonces())

    def change(data, places):
        data[places[1][1] + 200] ^= 1

    damaged(repo, change)
    shutil.copytree(whole, tmp_path / "counted")
    files = FaultyFiles()
    counted = Repository.open(LocalBlobs(tmp_path / "counted", files=files), nonces(900))
    repair(counted, nonce=lambda: next(NAMES), now=5)
    runs = counted.run_ids()
    readable = {run for run in runs if _is_readable(counted, run)}
    for at in range(len(files.calls)):
        root = tmp_path / str(at)
        shutil.copytree(whole, root)
        files = disk(die_at=at, after=after)
        with pytest.raises(Died):
            repair(Repository.open(LocalBlobs(root, files=files), nonces(900)), nonce=lambda: next(NAMES), now=5)
        if disk is PowerLoss:
            files.fail_power()
        repair(Repository.open(LocalBlobs(root, False), nonces(950)), nonce=lambda: next(NAMES), now=5)
        mended = Repository.open(LocalBlobs(root, False))
        assert repair(mended, nonce=lambda: next(NAMES), now=5) == []
        assert mended.run_ids() == runs
        assert {run for run in runs if _is_readable(mended, run)} == readable
        assert len({path.read_bytes() for path in root.glob("lost/*")}) == 1  # under two names, if cut between


def _is_readable(repo, run):
    try:
        return bool(repo.records(run))
    except Damaged:
        return False


def test_a_writer_who_seals_what_was_just_packed(repo):
    """He relies on a file that goes: he finds it gone, and writes it anew or finds it in the pack."""
    from kitaru.store import recovery

    several(repo, "abc")
    files = {key: repo.blobs.get(key) for key in keys(repo, "segments")}
    freshen, gone = type(repo.blobs).freshen, []

    class Packing(type(repo.blobs)):
        pass

    def packed_first(blobs, key):
        if not gone:
            gone.append(key)
            gc(fresh(repo))
        return freshen(blobs, key)

    original = type(repo.blobs).freshen
    type(repo.blobs).freshen = packed_first
    try:
        key, data = next(iter(files.items()))
        recovery.put_segment(repo.blobs, hashlib.sha256(data).hexdigest(), data, lambda: next(NAMES))
    finally:
        type(repo.blobs).freshen = original
    assert gone
    assert repo.blobs.get(key) == data
    assert all(len(fresh(repo).records(run)) == 5 for run in "abc")


def test_versions_and_open_runs_stay(repo):
    several(repo, "abc")
    fill(repo, "open", seal=False)
    version, objects = value({"files": {"a.py": b"x" * 1000}})
    repo.put_objects(objects)
    repo.add_version("demo", id=version, digest="d", at=1, by="ann")
    with repo.begin("running") as writer:
        writer.commit(start(version))
        for now in (1, 3, 5):
            gc(fresh(repo), now * HOUR)
        writer.commit(end())
        writer.seal()
    assert check(fresh(repo)).findings == []
    assert len(fresh(repo).records("open")) == 4
