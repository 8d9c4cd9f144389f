"""The store as the floors above see it."""

from __future__ import annotations

import os
import threading

import pytest

from kitaru.blobs import LocalBlobs, MemoryBlobs
from kitaru.errors import Damaged, RunHeld, StoreError, UnknownFormat, UnknownObject, UnknownRun
from kitaru.model.records import Call
from kitaru.store import Repository, writer
from tests.store.faults import FaultyFiles
from tests.store.samples import call, end, fill, nonces, obj, start, value


@pytest.fixture(params=["memory", "power-loss", "process-crash"])
def blobs(request, tmp_path):
    if request.param == "memory":
        return MemoryBlobs()
    return LocalBlobs(tmp_path / "store", durable=request.param == "power-loss")


@pytest.fixture
def repo(blobs):
    return Repository.create(blobs, nonces())


class TestFormat:
    def test_create_and_open(self, blobs):
        Repository.create(blobs)
        assert blobs.get("format") == b'{"hash":"sha256","version":1}\n'
        Repository.create(blobs)
        Repository.open(blobs)

    @pytest.mark.parametrize(
        "content", [b'{"hash":"sha256","version":2}\n', b"[]", b"", b"\xff", b'"1"', b"x" * 70_000]
    )
    def test_another_format_is_refused(self, blobs, content):
        blobs.create("format", content)
        with pytest.raises((UnknownFormat, Damaged)):
            Repository.open(blobs)
        with pytest.raises((UnknownFormat, Damaged)):
            Repository.create(blobs)

    @pytest.mark.parametrize(
        "content", [b"", b"junk", b"[]", b"{}", b'{"version":1}', b'{"version":null}', b"9" * 5000]
    )
    def test_what_no_version_says_is_damage(self, blobs, content):
        blobs.create("format", content)
        with pytest.raises(Damaged, match="says no format") as error:
            Repository.open(blobs)
        assert '{"hash":"sha256","version":1}' in error.value.hint

    def test_no_store(self, blobs):
        with pytest.raises(UnknownFormat, match="none"):
            Repository.open(blobs)


class TestRuns:
    def test_a_run_is_read_while_it_grows_and_when_it_is_sealed(self, repo):
        with repo.begin("abc") as run:
            committed = [run.commit(start()), run.commit(call(1))]
            assert repo.records("abc")[1].id == committed[1].id
            committed.append(run.commit(end()))
            run.seal()
        found = repo.records("abc")
        assert [s.id for s in found] == [s.id for s in committed]
        assert [s.parent for s in found] == [None, found[0].id, found[1].id]
        assert repo.run_ids() == ["abc"]
        assert list(repo.blobs.keys("open")) == []

    def test_a_run_goes_on_in_further_segments(self, repo):
        fill(repo, seal=False)
        with repo.reopen("abc") as run:
            assert len(run.records) == 4
            assert run.tail == ""
            run.commit(call(4))
            run.seal()
        with repo.reopen("abc") as run:
            run.commit(end())
        assert [s.record.kind for s in repo.records("abc")] == ["start"] + ["call"] * 4 + ["end"]
        assert repo.blobs.children("runs/abc") == ["000001", "000002"]
        assert len(list(repo.blobs.keys("open"))) == 1

    def test_what_is_known_is_not_written_again(self, repo):
        with repo.begin("abc") as run:
            run.commit(start(), [obj(b"one"), obj(b"one")])
            assert run.known == {obj(b"one")[0]}
            run.commit(call(1), [obj(b"one"), obj(b"two")])
        with repo.reopen("abc") as run:
            assert run.known == {obj(b"one")[0], obj(b"two")[0]}

    def test_unknown_runs(self, repo):
        for use in (repo.records, repo.reopen):
            with pytest.raises(UnknownRun):
                use("nope")
        assert not repo.has_run("nope")
        assert not repo.is_held("nope")
        repo.begin("empty").close()
        with pytest.raises(UnknownRun):
            repo.records("empty")

    def test_a_run_begins_once(self, repo):
        fill(repo)
        with pytest.raises(StoreError, match="already"):
            repo.begin("abc")
        repo.reopen("abc").close()

    def test_a_run_is_held_by_one(self, repo, monkeypatch):
        monkeypatch.setattr("kitaru.store.repository.LOCK_WAIT_S", 0.0)
        held = repo.begin("abc")
        held.commit(start())
        assert repo.is_held("abc")
        with pytest.raises(RunHeld, match=f"process {os.getpid()} on "):
            repo.reopen("abc")
        held.close()
        assert not repo.is_held("abc")
        held.close()
        with pytest.raises(StoreError, match="no longer open"):
            held.commit(end())

    def test_threads_commit_at_once(self, repo):
        with repo.begin("abc") as run:
            run.commit(start())
            threads = [
                threading.Thread(
                    target=lambda n=n: [run.commit(call(n * 100 + i), [obj(b"%d" % i)]) for i in range(20)]
                )
                for n in range(4)
            ]
            [t.start() for t in threads]
            [t.join() for t in threads]
            run.commit(end())
            run.seal()
        found = repo.records("abc")
        assert sorted(s.record.order for s in found if isinstance(s.record, Call)) == sorted(
            n * 100 + i for n in range(4) for i in range(20)
        )

    def test_a_large_journal_is_sealed_on_the_way(self, repo, monkeypatch):
        monkeypatch.setattr(writer, "MAX_JOURNAL", 2000)
        fill(repo, calls=60, seal=False)
        numbers = repo.blobs.children("runs/abc")
        assert len(numbers) > 2
        assert len(repo.records("abc")) == 61
        with repo.reopen("abc") as run:
            run.commit(end())
            run.seal()
        assert len(repo.records("abc")) == 62

    def test_a_missing_segment_is_damage(self, repo):
        fill(repo, seal=False)
        for _ in range(2):
            with repo.reopen("abc") as run:
                run.commit(call(7))
                run.seal()
        repo.blobs.delete("runs/abc/000002")
        with pytest.raises(Damaged, match="segment 2 of the run is missing"):
            repo.records("abc")

    def test_a_record_too_large(self, repo):
        with repo.begin("abc") as run:
            run.commit(start())
            huge = call(1)
            huge.metadata = "x" * (17 * 1024 * 1024)
            with pytest.raises(StoreError, match="at most"):
                run.commit(huge)

    def test_settle_run(self, repo):
        fill(repo, seal=False)
        repo.settle_run("abc")
        assert len(repo.records("abc")) == 4


def test_one_commit_is_one_write_and_one_sync(tmp_path):
    files = FaultyFiles()
    repo = Repository.create(LocalBlobs(tmp_path, files=files))
    with repo.begin("abc") as run:
        run.commit(start())
        files.calls.clear()
        run.commit(call(1), [obj(b"one")])
        assert files.calls == ["pwrite", "fdatasync"]
        files.calls.clear()
        run.commit(call(2), sync=False)
        assert files.calls == ["pwrite"]
        run.sync()
        assert files.calls == ["pwrite", "fdatasync"]


def test_threads_of_a_run_share_syncs(tmp_path):
    """All but the first wait for a sync that is under way; one more serves them together."""
    files = FaultyFiles()
    repo = Repository.create(LocalBlobs(tmp_path, files=files))
    appended = threading.Semaphore(0)

    with repo.begin("abc") as run:
        run.commit(start())
        journal, real = run._journal, run._journal.append

        def counted(*args):
            result = real(*args)
            appended.release()
            return result

        journal.append = counted
        with journal._appender._sync_lock:  # a sync is under way
            threads = [threading.Thread(target=run.commit, args=(call(i),)) for i in range(6)]
            [t.start() for t in threads]
            for _ in threads:
                appended.acquire()
            files.calls.clear()
        [t.join() for t in threads]
        assert files.count("fdatasync") == 1


def test_a_forked_child_cannot_write_the_run(tmp_path):
    repo = Repository.create(LocalBlobs(tmp_path))
    run = repo.begin("abc")
    run.commit(start())
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            run.close()
            run.commit(call(1))
        except BaseException as error:
            os.write(tell, type(error).__name__.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(told, 100) == b"StoreError"
    os.close(told)
    os.close(tell)
    assert repo.is_held("abc")
    run.commit(end())
    run.seal()
    assert len(repo.records("abc")) == 2


class TestObjects:
    def test_from_everywhere(self, repo):
        sealed = fill(repo, "sealed")
        large = obj(os.urandom(600_000))
        shrinks = obj(b"shrinks " * 100_000)
        with repo.begin("live") as run:
            run.commit(start(), [obj(b"open"), large])
            again = Repository.open(repo.blobs)
            for reader in (repo, again):
                assert reader.object(obj(b"open")[0], ["live"]) == b"open"
                assert reader.object(obj(b"open")[0]) == b"open"
            run.commit(call(1), [obj(b"later"), shrinks])
            for reader in (repo, again):
                assert reader.object(obj(b"later")[0], ["live"]) == b"later"
                assert reader.object(large[0]) == large[1]
                assert reader.object(shrinks[0], ["live"]) == shrinks[1]
                for object_id, data in sealed.items():
                    assert reader.object(object_id, ["live", "sealed"]) == data
            run.seal()
        assert repo.object(obj(b"later")[0], ["live"]) == b"later"
        assert len(repo.blobs.children("objects")) == 2

    def test_unknown(self, repo):
        fill(repo)
        with pytest.raises(UnknownObject):
            repo.object("0" * 64, ["abc"])
        with pytest.raises(UnknownObject):
            repo.object("0" * 64, ["no such run"])

    def test_find(self, repo):
        sealed = fill(repo, "sealed")
        fill(repo, "open", calls=5, seal=False)
        repo.put_objects([obj(b"loose")])
        everything = repo.find_objects("")
        assert set(sealed) < set(everything)
        assert obj(b"loose")[0] in everything
        for object_id in everything:
            assert repo.find_objects(object_id[:12]) == [object_id]
            assert repo.find_objects(object_id) == [object_id]
        assert repo.find_objects("0" * 20) == []

    def test_putting_again_is_harmless(self, repo):
        repo.put_objects([obj(b"x"), obj(b"x")])
        repo.put_objects([obj(b"x")])
        assert repo.object(obj(b"x")[0]) == b"x"

    def test_an_object_named_by_a_record_is_there_after_a_crash(self, repo):
        output, objects = value(["x" * 1000, list(range(1000))])
        with repo.begin("abc") as run:
            run.commit(start())
            run.commit(call(1, output), objects)
        again = Repository.open(repo.blobs)
        for object_id, data in objects:
            assert again.object(object_id, ["abc"]) == data
