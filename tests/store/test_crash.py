"""Death before and after every system call of a scenario: the store is valid, and no acknowledged commit is lost."""

from __future__ import annotations

import threading

import pytest

from kitaru.blobs import LocalBlobs
from kitaru.errors import StoreError, UnknownRun
from kitaru.store import Repository
from kitaru.store.check import check
from tests.store.faults import EACCES, EIO, ENOSPC, EROFS, Died, FaultyFiles, PowerLoss
from tests.store.samples import call, end, nonces, start, value, whole

VERSION, VERSION_OBJECTS = value({"entry": "demo"})
ONE, ONE_OBJECTS = value("what call 1 returned")
LARGE, LARGE_OBJECTS = whole(bytes(600_000))
STAGED, STAGED_OBJECTS = whole(bytes(700_000))


def scenario(root, files, durable=True):
    """Write a run, suspend it, take it up again, end it; return the ids of what was acknowledged."""
    acknowledged = []
    try:
        repo = Repository(LocalBlobs(root, durable, files, nonces(1000)), nonces(2000))
        writer = repo.begin("abc")
        try:
            acknowledged.append(writer.commit(start(VERSION), VERSION_OBJECTS).id)
            acknowledged.append(writer.commit(call(1, ONE), ONE_OBJECTS).id)
            writer.seal()
            writer = repo.reopen("abc")
            acknowledged.append(writer.commit(call(2, LARGE), [*LARGE_OBJECTS, *value(2)[1]]).id)
            for object_id, data in STAGED_OBJECTS:
                writer.stage(object_id, data)
            acknowledged.append(writer.commit(call(3, STAGED)).id)
            acknowledged.append(writer.commit(end()).id)
            writer.seal()
        finally:
            _let_go(writer)
    except Died:
        pass
    return acknowledged


def _let_go(writer):
    """What the kernel does when a process dies."""
    writer._run_lock.release()
    if writer._journal is not None:
        writer._journal.close()


def calls_of(tmp_path_factory):
    root = tmp_path_factory.mktemp("count")
    Repository.create(LocalBlobs(root))
    files = FaultyFiles()
    assert len(scenario(root, files)) == 5
    return len(files.calls)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_death_at_every_call(tmp_path_factory, after):
    total = calls_of(tmp_path_factory)
    assert total > 60
    for at in range(total):
        root = tmp_path_factory.mktemp("crash")
        Repository.create(LocalBlobs(root))
        files = FaultyFiles(die_at=at, after=after)
        acknowledged = scenario(root, files)
        assert files.dead
        survives(root, acknowledged, at)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_power_loss_at_every_call(tmp_path_factory, after):
    total = calls_of(tmp_path_factory)
    for at in range(total):
        root = tmp_path_factory.mktemp("power")
        Repository.create(LocalBlobs(root))
        files = PowerLoss(die_at=at, after=after)
        acknowledged = scenario(root, files)
        files.fail_power()
        survives(root, acknowledged, at)


def test_power_loss_takes_what_was_not_synced(tmp_path):
    """The model itself: without syncs, acknowledged commits are gone."""
    Repository.create(LocalBlobs(tmp_path))
    files = PowerLoss()
    assert len(scenario(tmp_path, files, durable=False)) == 5
    files.fail_power()
    assert Repository.open(LocalBlobs(tmp_path)).run_ids() == []


def survives(root, acknowledged, at):
    repo = Repository.open(LocalBlobs(root), nonces(5000))
    assert check(repo).is_clean, at
    try:
        writer = repo.reopen("abc")
    except UnknownRun:
        assert not acknowledged
        return
    found = [stored.id for stored in writer.records]
    assert found[: len(acknowledged)] == acknowledged, at
    for stored in writer.records:
        output = getattr(stored.record, "output", None)
        if output:
            repo.object(output, ["abc"])
    added = writer.commit(call(9, value(9)[0]), value(9)[1])
    writer.seal()
    again = Repository.open(LocalBlobs(root))
    assert [stored.id for stored in again.records("abc")] == [*found, added.id]
    assert not list(again.blobs.keys("open"))
    assert check(again).is_clean


@pytest.mark.parametrize("number", [ENOSPC, EIO, EROFS, EACCES])
@pytest.mark.parametrize("name", ["open", "pwrite", "fsync", "fdatasync", "link", "ftruncate"])
def test_a_refusal_breaks_the_writer_and_nothing_else(tmp_path, name, number):
    files = FaultyFiles()
    repo = Repository.create(LocalBlobs(tmp_path, files=files))
    writer = repo.begin("abc")
    first = writer.commit(start(VERSION), VERSION_OBJECTS).id
    files.fail = {name: number}
    with pytest.raises(StoreError) as caught:
        writer.commit(call(1, LARGE), LARGE_OBJECTS)
        writer.seal()
    assert isinstance(caught.value.__cause__, OSError)
    files.fail = {}
    before = len([c for c in files.calls if c == "pwrite"])
    with pytest.raises(StoreError):
        writer.commit(call(2))
    assert files.count("pwrite") == before
    writer.close()
    again = Repository.open(LocalBlobs(tmp_path))
    with again.reopen("abc") as second:
        assert second.records[0].id == first
        second.commit(end())
        second.seal()
    assert check(again).is_clean


def test_an_interrupt_between_append_and_its_note_does_not_fork_the_chain(tmp_path, monkeypatch):
    repo = Repository.create(LocalBlobs(tmp_path))
    writer = repo.begin("abc")
    writer.commit(start(VERSION), VERSION_OBJECTS)
    real = writer._journal.append

    def interrupted(*args):
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(writer._journal, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        writer.commit(call(1))
    monkeypatch.undo()
    with pytest.raises(StoreError, match="cut short"):
        writer.commit(call(2))
    writer.close()
    assert len(Repository.open(LocalBlobs(tmp_path)).records("abc")) == 2


def test_torn_bytes_are_cut_kept_and_reported(tmp_path):
    repo = Repository.create(LocalBlobs(tmp_path))
    with repo.begin("abc") as writer:
        writer.commit(start(VERSION), VERSION_OBJECTS)
        size = writer._journal.size
    (path,) = (tmp_path / "open/abc").iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:size] + b"torn off here" + bytes(100))
    (finding,) = check(repo).findings
    assert (finding.severity, finding.offset, finding.affects) == ("torn tail", size, ("abc",))
    with repo.reopen("abc") as writer:
        assert len(writer.records) == 1
        assert "13 bytes" in writer.tail
        assert "torn-abc" in writer.tail
    (kept,) = (tmp_path / "tmp").iterdir()
    assert kept.read_bytes() == b"torn off here"
    assert repo.reopen("abc").tail == ""


def test_a_journal_that_does_not_continue_the_run_is_put_aside(tmp_path):
    repo = Repository.create(LocalBlobs(tmp_path), nonces())
    with repo.begin("abc") as writer:
        writer.commit(start(at=1))
    other = Repository.create(LocalBlobs(tmp_path / "other"), nonces(50))
    with other.begin("abc") as writer:
        writer.commit(start(at=2))
    (stray,) = (tmp_path / "other/open/abc").iterdir()
    with repo.reopen("abc") as writer:
        pass
    (tmp_path / "open/abc").mkdir(exist_ok=True)
    stray.rename(tmp_path / "open/abc" / stray.name)
    with repo.reopen("abc") as writer:
        assert "put aside" in writer.tail
        assert len(writer.records) == 1
    assert len(list((tmp_path / "lost").iterdir())) == 1


@pytest.mark.parametrize("name", ["open", "pwrite", "fsync", "link"])
def test_a_refusal_of_what_is_staged_breaks_the_writer(tmp_path, name):
    files = FaultyFiles()
    repo = Repository.create(LocalBlobs(tmp_path, files=files))
    writer = repo.begin("abc")
    writer.commit(start(VERSION), VERSION_OBJECTS)
    files.fail = {name: ENOSPC}
    with pytest.raises(StoreError, match="no space left"):
        writer.stage(*STAGED_OBJECTS[0])
    files.fail = {}
    with pytest.raises(StoreError, match="no space left"):
        writer.commit(call(1, STAGED))
    writer.close()
    assert check(repo).is_clean


def test_what_is_staged_is_known_only_once_it_is_settled(tmp_path):
    """Else another commit could name it, and be acknowledged, before it is durable."""
    files = HeldSync()
    repo = Repository.create(LocalBlobs(tmp_path, files=files))
    writer = repo.begin("abc")
    writer.commit(start(VERSION), VERSION_OBJECTS)
    writer.stage(*STAGED_OBJECTS[0])
    done = []
    files.hold.set()
    threads = [threading.Thread(target=lambda n=n: done.append(writer.commit(call(n, STAGED)))) for n in (1, 2)]
    threads[0].start()
    assert files.held.wait(60)
    threads[1].start()
    assert STAGED not in writer.known
    files.hold.clear()
    files.let_go.set()
    [thread.join() for thread in threads]
    assert len(done) == 2
    assert STAGED in writer.known
    writer.close()


class HeldSync(FaultyFiles):
    """The next sync, once `hold` is set, lasts until `let_go` is."""

    def __init__(self):
        super().__init__()
        self.hold, self.held, self.let_go = threading.Event(), threading.Event(), threading.Event()

    def _real(self, name, args):
        if name == "fsync" and self.hold.is_set():
            self.held.set()
            assert self.let_go.wait(60)
        return super()._real(name, args)
