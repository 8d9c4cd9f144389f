"""The index of runs is always right, and only ever a help."""

from __future__ import annotations

import json
import pickle
import sqlite3

import pytest
import zstandard

from kitaru.blobs import LocalBlobs, MemoryBlobs
from kitaru.model.records import End
from kitaru.model.summary import RunSummary
from kitaru.store import Repository, rows
from kitaru.store.cache import BytesCache
from kitaru.store.catalog import RACY_NS, Catalog
from tests.store.samples import call, end, fill, nonces, start

INDEX, BLOCK = rows._INDEX, rows._key(0)


class Counting(Repository):
    """Knows how many runs were read."""

    read = 0

    def records(self, run):
        self.read += 1
        return super().records(run)


def settled(blobs):
    """Blobs of which all directories are old, but for one that is not."""
    real = blobs.stamps

    def stamps(prefix, names):
        found = real(prefix, names)
        return {name: stamp - (2 * RACY_NS if name != "young" else 0) for name, stamp in found.items()}

    blobs.stamps = stamps
    return blobs


@pytest.fixture
def root(tmp_path):
    repo = Repository.create(LocalBlobs(tmp_path), nonces())
    for run in ("one", "two", "young"):
        fill(repo, run)
    return tmp_path


def listed(root, **kwargs):
    repo = Counting.open(settled(LocalBlobs(root, **kwargs)))
    catalog = Catalog(repo)
    return {s.run: s for s in catalog.summaries()}, repo, catalog


def test_what_is_kept_is_not_read_again(root):
    first, repo, _ = listed(root)
    assert repo.read == 3
    second, repo, catalog = listed(root)
    assert repo.read == 0
    assert first == second
    assert set(second) == {"one", "two", "young"}
    assert second["one"].status == "completed"
    assert second["one"].calls == 3
    catalog.summaries()
    assert repo.read == 0


def test_the_latest_start_comes_first(tmp_path):
    repo = Repository.create(LocalBlobs(tmp_path))
    for run, at in (("b", 5), ("a", 5), ("c", 9), ("d", 1)):
        with repo.begin(run) as writer:
            writer.commit(start(at=at))
            writer.seal()
    assert [s.run for s in Catalog(repo).summaries()] == ["c", "a", "b", "d"]


def test_a_run_that_changed_is_read_again(root):
    listed(root)
    repo = Repository.open(LocalBlobs(root))
    with repo.begin("new") as writer:
        writer.commit(start())
        writer.seal()
    with repo.reopen("new") as writer:
        writer.commit(call(1))
        writer.seal()
    found, reader, _ = listed(root)
    assert reader.read == 1
    assert found["new"].calls == 1


def test_two_changes_in_one_tick_of_the_clock_are_seen(root):
    for run in ("failed", "waits"):
        with Repository.open(LocalBlobs(root)).begin(run) as writer:
            writer.commit(start())
            writer.commit(End(at=5, status="failed"))
            writer.seal()

    def frozen_catalog():
        blobs = LocalBlobs(root)
        blobs.stamps = lambda prefix, names: dict.fromkeys(names, 10**18)
        return Catalog(Repository.open(blobs))

    before = {s.run: s for s in frozen_catalog().summaries()}
    repo = Repository.open(LocalBlobs(root))
    with repo.reopen("failed") as writer:
        writer.commit(start())
        writer.seal()
    catalog = frozen_catalog()
    after = {s.run: s for s in catalog.summaries()}
    assert before["waits"] == after["waits"]
    assert "failed" in catalog.damaged  # a second start: it was read again


def test_open_runs_are_read_as_they_are(root):
    repo = Repository.open(LocalBlobs(root))
    with repo.begin("live") as writer:
        writer.commit(start())
        assert listed(root)[0]["live"].calls == 0
        writer.commit(call(1))
        assert listed(root)[0]["live"].calls == 1
        writer.commit(end())
        writer.seal()
    assert listed(root)[0]["live"].status == "completed"


def test_a_damaged_run_does_not_hide_the_others(root):
    (name, *_) = (root / "runs/two").iterdir()
    name.chmod(0o600)
    name.write_bytes(b"?")
    found, _, catalog = listed(root)
    assert set(found) == {"one", "young"}
    assert set(catalog.damaged) == {"two"}


def test_a_run_that_is_gone_is_not_shown(root):
    listed(root)
    (root / "runs/two/000001").unlink()
    (root / "runs/two").rmdir()
    assert set(listed(root)[0]) == {"one", "young"}
    assert listed(root)[1].read == 0


def test_deleting_the_cache_loses_nothing(root):
    import shutil

    before, _, _ = listed(root)
    shutil.rmtree(root / "cache")
    after, repo, _ = listed(root)
    assert before == after
    assert repo.read == 3


@pytest.mark.parametrize("content", [b"", b"not a database" * 100])
def test_a_damaged_cache_is_made_anew(root, content):
    before, _, _ = listed(root)
    (root / "cache/cache.db").write_bytes(content)
    for path in (root / "cache").glob("cache.db-*"):
        path.unlink()
    assert listed(root)[0] == before
    assert listed(root)[1].read == 0


def test_a_cache_with_nonsense_in_it_is_made_anew(root):
    before, _, _ = listed(root)
    for content in (b"nonsense", b"\x28\xb5\x2f\xfd", b""):
        for key in (INDEX, BLOCK):
            assert BytesCache(root / "cache").read([key])
            BytesCache(root / "cache").write({key: content})
            assert listed(root)[0] == before
            assert listed(root)[0] == before


def test_rows_that_belong_to_another_index_are_left_out(root):
    """Two processes wrote at once: the index is of one, the block of the other."""
    before, _, _ = listed(root)
    kept = BytesCache(root / "cache").read([BLOCK])
    rows = json.loads(zstandard.ZstdDecompressor().decompress(kept[BLOCK]))
    for other in ([*rows[1:], rows[0]], rows[:1], [], [7, None, {}], [{**row, "run": "other"} for row in rows]):
        packed = zstandard.ZstdCompressor().compress(json.dumps(other).encode())
        BytesCache(root / "cache").write({BLOCK: packed})
        assert listed(root)[0] == before
        assert listed(root)[0] == before
        assert listed(root)[1].read == 0


def test_a_row_that_is_spoiled_of_a_run_that_is_damaged(root):
    listed(root)
    BytesCache(root / "cache").write({BLOCK: b"nonsense"})
    name = root / "runs/two/000001"
    name.chmod(0o600)
    name.write_bytes(b"?")
    found, _, catalog = listed(root)
    assert (found["two"].status, found["two"].started) == ("damaged", 1)
    assert set(catalog.damaged) == {"two"}
    assert set(listed(root)[0]) == {"one", "young"}


def test_columns_that_lie_are_left_out(root):
    before, _, _ = listed(root)
    kept = BytesCache(root / "cache").read([INDEX])[INDEX]
    data = zstandard.ZstdDecompressor().decompress(kept)
    for other in (data[:-1], data[:4] + b"\xff" + data[5:], b"\xff\xff\xff\xff" + data[4:], bytes(8), data + b"x"):
        BytesCache(root / "cache").write({INDEX: zstandard.ZstdCompressor().compress(other)})
        assert listed(root)[0] == before


def many(root, count):
    repo = Repository.create(LocalBlobs(root, False), nonces())
    for n in range(count):
        with repo.begin(f"run{n:04}") as writer:
            writer.commit(start(at=n))
            writer.commit(end(n))
            writer.seal()
    return repo


def test_only_what_is_shown_is_decoded(tmp_path, monkeypatch):
    many(tmp_path, 700)
    listed(tmp_path)
    decoded, real = [], RunSummary.from_json.__func__
    monkeypatch.setattr(
        RunSummary, "from_json", classmethod(lambda cls, data: (decoded.append(data["run"]), real(cls, data))[1])
    )
    read, real_read = [], BytesCache.read
    monkeypatch.setattr(BytesCache, "read", lambda cache, keys: (read.extend(keys), real_read(cache, keys))[1])
    listing = Catalog(Repository.open(LocalBlobs(tmp_path))).summaries()
    assert (len(listing), decoded, len(read)) == (700, [], 1)
    assert listing.ids() == [f"run{n:04}" for n in reversed(range(700))]
    assert [s.run for s in listing[:20]] == decoded == listing.ids()[:20]
    assert len(read) == 2
    assert (listing[-1].run, listing[699].started) == ("run0000", 0)


def test_what_a_condition_asks_is_read_at_once_and_not_decoded(tmp_path, monkeypatch):
    repo = many(tmp_path, 600)
    fill(repo, "open", seal=False)
    listed(tmp_path)
    readings, real_read = [], BytesCache.read
    monkeypatch.setattr(BytesCache, "read", lambda cache, keys: (readings.append(keys), real_read(cache, keys))[1])
    listing = Catalog(Repository.open(LocalBlobs(tmp_path))).summaries()
    monkeypatch.setattr(RunSummary, "from_json", None)
    assert [len(keys) for keys in readings] == [1]
    assert listing.narrowed(lambda s: s["run"] in ("run0003", "open")).ids() == ["run0003", "open"]
    assert [len(keys) for keys in readings] == [1, 3]
    assert len(listing.narrowed(lambda s: s["status"] == "completed").since(100)) == 500
    assert listing.unfinished().ids() == ["open"]
    assert [len(keys) for keys in readings] == [1, 3]


@pytest.mark.parametrize("spoiled", [b"nonsense", b"[{}]", b'[{"started":1,"tags":5}]', b"[5]"])
def test_a_condition_is_asked_of_a_run_whose_row_is_spoiled(root, spoiled):
    before, _, _ = listed(root)
    BytesCache(root / "cache").write({BLOCK: zstandard.ZstdCompressor().compress(spoiled)})
    _, _, catalog = listed(root)
    found = catalog.summaries().narrowed(lambda s: s["run"] != "two" and s["flow"] == before["one"].flow)
    assert {s.run: s for s in found} == {run: before[run] for run in ("one", "young")}


def test_an_end_that_is_final_is_not_looked_at_again(tmp_path):
    repo = many(tmp_path, 5)
    for run, status in (("failed", "failed"), ("cancelled", "cancelled")):
        with repo.begin(run) as writer:
            writer.commit(start(at=100))
            writer.commit(End(at=101, status=status))
            writer.seal()
    listed(tmp_path)
    blobs = LocalBlobs(tmp_path)
    asked, real = [], blobs.stamps
    blobs.stamps = lambda prefix, names: (asked.extend(names), real(prefix, names))[1]
    assert len(Catalog(Repository.open(blobs)).summaries()) == 7
    assert asked == ["failed"]


def test_the_table_is_made_anew_when_most_of_it_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "BLOCK", 4)
    repo = many(tmp_path, 30)
    assert len(listed(tmp_path)[0]) == 30
    for n in range(26):
        repo.prune(f"run{n:04}", at=1, by="ann", may=None)
    assert set(listed(tmp_path)[0]) == {f"run{n:04}" for n in range(26, 30)}
    found, reader, _ = listed(tmp_path)
    assert set(found) == {f"run{n:04}" for n in range(26, 30)}
    assert reader.read == 0
    many_more = Repository.open(LocalBlobs(tmp_path, False))
    for n in range(9):
        with many_more.begin(f"more{n}") as writer:
            writer.commit(start(at=50 + n))
            writer.commit(end(60))
            writer.seal()
        listed(tmp_path)
    assert [s.started for s in Catalog(many_more).summaries()] == [*range(58, 49, -1), 29, 28, 27, 26]


class Planted:
    """Runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("where", ["value", "key", "file"])
def test_a_planted_pickle_is_not_run(root, tmp_path, where):
    before, _, _ = listed(root)
    proof = tmp_path / "proof"
    payload = pickle.dumps(Planted(proof))
    with sqlite3.connect(root / "cache/cache.db") as db:
        if where == "value":
            db.execute("UPDATE Cache SET value = ?, mode = 4, filename = NULL", (payload,))
        elif where == "key":
            db.execute("UPDATE Cache SET key = ?, raw = 0 WHERE rowid = (SELECT min(rowid) FROM Cache)", (payload,))
        else:
            (root / "cache/planted.val").write_bytes(payload)
            db.execute("UPDATE Cache SET value = NULL, mode = 4, filename = 'planted.val'")
    db.close()
    assert listed(root)[0] == before
    assert not proof.exists()


def test_a_row_cannot_name_a_file_outside(root, tmp_path):
    secret = tmp_path.parent / "secret"
    secret.write_bytes(b"secret")
    listed(root)
    with sqlite3.connect(root / "cache/cache.db") as db:
        db.execute("UPDATE Cache SET value = NULL, mode = 2, filename = ?", (f"../../{secret.name}",))
    db.close()
    assert BytesCache(root / "cache").read([INDEX, BLOCK]) == {}


def test_a_place_without_a_disk_has_no_cache():
    repo = Repository.create(MemoryBlobs(), nonces())
    fill(repo)
    (summary,) = Catalog(repo).summaries()
    assert summary.run == "abc"
