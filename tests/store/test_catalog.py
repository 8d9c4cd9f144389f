"""The index of runs is always right, and only ever a help."""

from __future__ import annotations

import pickle
import sqlite3

import pytest

from kitaru.blobs import LocalBlobs, MemoryBlobs
from kitaru.store import Repository
from kitaru.store.cache import BytesCache
from kitaru.store.catalog import RACY_NS, Catalog
from tests.store.samples import call, end, fill, nonces, start


class Counting(Repository):
    """Knows how many runs were read."""

    read = 0

    def records(self, run):
        self.read += 1
        return super().records(run)


def settled(blobs):
    """Blobs of which all directories are old, but for one that is not."""
    real = blobs.stamps

    def stamps(prefix):
        names = real(prefix)
        return {name: stamp - (2 * RACY_NS if name != "young" else 0) for name, stamp in names.items()}

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
    frozen = dict.fromkeys(("one", "two", "young"), 10**18)

    def frozen_catalog():
        blobs = LocalBlobs(root)
        blobs.stamps = lambda prefix: frozen
        return Catalog(Repository.open(blobs))

    before = {s.run: s for s in frozen_catalog().summaries()}
    repo = Repository.open(LocalBlobs(root))
    with repo.reopen("one") as writer:
        writer.commit(start())
        writer.seal()
    catalog = frozen_catalog()
    after = {s.run: s for s in catalog.summaries()}
    assert before["two"] == after["two"]
    assert "one" in catalog.damaged  # a second start: it was read again


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
        BytesCache(root / "cache").write({f"catalog-1-{n}": content for n in range(16)})
        assert listed(root)[0] == before


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
    assert BytesCache(root / "cache").read([f"catalog-1-{n}" for n in range(16)]) == {}


def test_a_place_without_a_disk_has_no_cache():
    repo = Repository.create(MemoryBlobs(), nonces())
    fill(repo)
    (summary,) = Catalog(repo).summaries()
    assert summary.run == "abc"
