"""Blobs on a disk keep the contract, in both durabilities, and write in the right order."""

from __future__ import annotations

import errno
import os
import stat
import threading

import pytest

from kitaru.blobs import LocalBlobs
from kitaru.blobs.growing import FIRST_FILL
from kitaru.errors import Damaged, StoreError
from tests.blobs.contract import WorkspaceContract
from tests.store.faults import Died, FaultyFiles, PowerLoss


class TestPowerLoss(WorkspaceContract):
    @pytest.fixture
    def blobs(self, tmp_path):
        return LocalBlobs(tmp_path / "store")


class TestProcessCrash(WorkspaceContract):
    @pytest.fixture
    def blobs(self, tmp_path):
        return LocalBlobs(tmp_path / "store", durable=False)


def test_a_name_is_linked_only_when_its_bytes_are_synced(tmp_path):
    files = FaultyFiles()
    blobs = LocalBlobs(tmp_path, files=files)
    blobs.create("a/k", b"first")
    files.calls.clear()
    blobs.create("a/l", b"x")
    assert files.calls == ["open", "pwrite", "fchmod", "fsync", "link", "fsync", "unlink"]


def test_a_staged_name_is_durable_once_settled_and_its_new_directories_are(tmp_path):
    for settled in (False, True):
        root = tmp_path / str(settled)
        files = PowerLoss()
        blobs = LocalBlobs(root, files=files)
        blobs.create("format", b"x")
        blobs.stage("a/b/k", b"content")
        if settled:
            blobs.settle("a/b/k")
        files.fail_power()
        assert LocalBlobs(root).exists("a/b/k") == settled
    assert LocalBlobs(root).get("a/b/k") == b"content"


def test_a_directory_that_was_pruned_is_made_again_for_what_is_staged(tmp_path):
    files = PowerLoss()
    blobs = LocalBlobs(tmp_path / "store", files=files)
    blobs.create("a/b/k", b"x")
    other = LocalBlobs(tmp_path / "store")
    other.delete("a/b/k")
    other.prune("a/b")
    blobs.stage("a/b/l", b"content")
    blobs.settle("a/b/l")
    files.fail_power()
    assert other.get("a/b/l") == b"content"


class Sweeping(FaultyFiles):
    """Another process removes the directory of a new name, being empty, just before it is made: three times."""

    def __init__(self, directory):
        super().__init__()
        self.directory, self.times = directory, 3

    def _real(self, name, args):
        paths = [arg for arg in args if isinstance(arg, str)]
        is_name = name in ("open", "link") and paths[-1].startswith(f"{self.directory}/")
        if is_name and self.times:
            self.times -= 1
            os.rmdir(self.directory)  # noqa: PTH106 - as the code under test
        return super()._real(name, args)


@pytest.mark.parametrize("make", ["create", "stage", "appender"])
def test_a_directory_that_is_removed_again_and_again_is_made_again(tmp_path, make):
    files = Sweeping(f"{tmp_path}/a/b")
    blobs = LocalBlobs(tmp_path, files=files)
    made = getattr(blobs, make)(*(["a/b/k"] if make == "appender" else ["a/b/k", b"content"]))
    assert files.times == 0
    assert blobs.exists("a/b/k")
    if make == "appender":
        made.close()


@pytest.mark.parametrize("make", ["create", "appender"])
def test_a_name_in_a_directory_that_was_made_again_is_durable(tmp_path, make):
    class Both(Sweeping, PowerLoss):
        pass

    files = Both(f"{tmp_path}/store/a/b")
    blobs = LocalBlobs(tmp_path / "store", files=files)
    made = getattr(blobs, make)(*(["a/b/k"] if make == "appender" else ["a/b/k", b"content"]))
    if make == "appender":
        made.close()
    files.fail_power()
    assert LocalBlobs(tmp_path / "store").exists("a/b/k")


def test_many_staged_names_share_syncs(tmp_path):
    files = FaultyFiles()
    blobs = LocalBlobs(tmp_path, files=files)
    blobs.create("a/k", b"x")
    files.calls.clear()
    blobs.stage("a/l", b"x")
    assert files.calls == ["open", "pwrite", "fchmod", "fsync", "link", "unlink"]


def test_nothing_is_synced_where_only_processes_crash(tmp_path):
    files = FaultyFiles()
    blobs = LocalBlobs(tmp_path, durable=False, files=files)
    blobs.create("a/k", b"x")
    file = blobs.appender("a/l")
    file.append(b"x")
    file.sync(1)
    file.finish()
    blobs.settle("a/k", content=True)
    assert files.count("fsync") == files.count("fdatasync") == 0
    assert files.count("link") == 1


@pytest.mark.parametrize("at", range(12))
@pytest.mark.parametrize("after", [False, True])
def test_a_death_at_any_point_leaves_a_name_whole_or_absent(tmp_path, at, after):
    files = FaultyFiles(die_at=at, after=after)
    try:
        LocalBlobs(tmp_path, files=files).create("a/k", b"content")
        died = False
    except Died:
        died = True
    assert died == (at < len(files.calls))
    blobs = LocalBlobs(tmp_path)
    assert not blobs.exists("a/k") or blobs.get("a/k") == b"content"
    assert blobs.create("a/k", b"content") or blobs.get("a/k") == b"content"


def test_what_is_sealed_is_private_and_cannot_be_written(tmp_path):
    blobs = LocalBlobs(tmp_path / "s")
    blobs.create("a/k", b"x")
    assert stat.S_IMODE((tmp_path / "s/a/k").stat().st_mode) == 0o400
    assert stat.S_IMODE((tmp_path / "s/a").stat().st_mode) == 0o700


def test_a_link_out_of_the_store_is_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "s").mkdir()
    (tmp_path / "s/k").symlink_to(tmp_path / "secret")
    with pytest.raises(Damaged, match="not a file"):
        LocalBlobs(tmp_path / "s").get("k")


@pytest.mark.parametrize("read", ["get", "view", "size", "stamp"])
@pytest.mark.parametrize("make", ["mkfifo", "mkdir"])
def test_what_is_no_file_is_damage_and_nobody_waits_for_it(tmp_path, make, read):
    getattr(os, make)(tmp_path / "k")
    with pytest.raises(Damaged, match="not a file"):
        getattr(LocalBlobs(tmp_path), read)("k")


def test_a_lock_that_is_a_pipe_is_waited_for_by_nobody(tmp_path):
    (tmp_path / "locks").mkdir()
    os.mkfifo(tmp_path / "locks/abc")
    assert not LocalBlobs(tmp_path).is_locked("abc")


def test_what_the_disk_cannot_read_is_damage_of_that_file_alone(tmp_path, monkeypatch):
    blobs = LocalBlobs(tmp_path)
    blobs.create("k", b"x")

    def refused(*args):
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "pread", refused)
    with pytest.raises(Damaged, match="input/output error"):
        blobs.get("k")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space left"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "input/output error"),
    ],
)
@pytest.mark.parametrize("call", ["open", "pwrite", "fsync", "link"])
def test_a_refusal_is_told_in_plain_words(tmp_path, call, number, words):
    blobs = LocalBlobs(tmp_path, files=FaultyFiles(fail={call: number}))
    with pytest.raises(StoreError, match=words) as caught:
        blobs.create("k", b"x")
    assert isinstance(caught.value.__cause__, OSError)
    assert not LocalBlobs(tmp_path).children("tmp")


def test_a_refusal_to_settle_is_told_in_plain_words(tmp_path):
    LocalBlobs(tmp_path).create("k", b"x")
    with pytest.raises(StoreError, match="cannot sync"):
        LocalBlobs(tmp_path, files=FaultyFiles(fail={"fsync": errno.EIO})).settle("k")


class TestGrowingFile:
    def test_zeros_are_written_ahead(self, tmp_path):
        blobs = LocalBlobs(tmp_path)
        file = blobs.appender("k")
        file.append(b"head")
        assert blobs.size("k") == 4 + FIRST_FILL
        for i in range(3000):
            file.append(b"%07d." % i)
        file.sync(file.size)
        content = blobs.get("k")
        assert content[: file.size] == b"head" + b"".join(b"%07d." % i for i in range(3000))
        assert set(content[file.size :]) == {0}
        file.finish()
        assert blobs.size("k") == 4 + 3000 * 8

    @pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
    def test_after_a_failure_the_file_is_not_touched(self, tmp_path, call):
        files = FaultyFiles()
        file = LocalBlobs(tmp_path, files=files).appender("k")
        file.append(b"good")
        file.sync(4)
        files.fail = {call: errno.EIO}
        with pytest.raises(StoreError, match="input/output"):
            file.sync(file.append(b"bad"))
        files.fail = {}
        before = len(files.calls)
        for use in (lambda: file.append(b"more"), lambda: file.sync(99), file.finish):
            with pytest.raises(StoreError, match="input/output"):
                use()
        assert len(files.calls) == before
        file.sync(4)

    def test_threads_share_a_sync(self, tmp_path):
        """While one thread syncs, seven append; one more sync does for all of them."""
        appended, started = threading.Semaphore(0), threading.Event()

        class Slow(FaultyFiles):
            def fdatasync(self, fd):
                self.calls.append("fdatasync")
                if not started.is_set():
                    started.set()
                    for _ in range(7):
                        appended.acquire()
                os.fdatasync(fd)

        files = Slow()
        file = LocalBlobs(tmp_path, files=files).appender("k")
        first = threading.Thread(target=file.sync, args=(file.append(b"x"),))
        first.start()
        started.wait()
        ends = [file.append(b"x") for _ in range(7)]

        def follow(end):
            appended.release()
            file.sync(end)
            assert file.synced >= end

        threads = [threading.Thread(target=follow, args=(end,)) for end in ends]
        [t.start() for t in threads]
        [t.join() for t in [first, *threads]]
        assert files.count("fdatasync") == 2
        file.close()


class TestForks:
    def test_a_child_does_not_keep_the_lock(self, tmp_path):
        blobs = LocalBlobs(tmp_path)
        held = blobs.lock("r")
        pid, pipe = _fork(lambda: b"")
        held.release()
        assert not blobs.is_locked("r")  # although the child lives still
        _end(pid, pipe)

    def test_a_child_lets_go_of_nothing_by_ending(self, tmp_path):
        blobs = LocalBlobs(tmp_path)
        held = blobs.lock("r")
        pid, pipe = _fork(held.release)
        _end(pid, pipe)
        assert blobs.is_locked("r")
        held.release()

    def test_a_child_does_not_write_what_its_parent_writes(self, tmp_path):
        blobs = LocalBlobs(tmp_path)
        file = blobs.appender("k")
        file.append(b"parent")
        pid, pipe = _fork(lambda: file.append(b"child"))
        assert _end(pid, pipe) == b"StoreError"
        file.append(b" again")
        file.finish()
        assert blobs.get("k") == b"parent again"


def _fork(do):
    """Fork a child that does something, tells how it went, and lives on until it is told to end."""
    told, tell = os.pipe()
    end, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            do()
            os.write(tell, b"done")
        except BaseException as error:
            os.write(tell, type(error).__name__.encode())
        os.read(end, 1)
        os._exit(0)
    os.close(tell)
    os.close(end)
    outcome = os.read(told, 100)
    os.close(told)
    return pid, (go, outcome)


def _end(pid, pipe):
    go, outcome = pipe
    os.write(go, b"x")
    os.close(go)
    os.waitpid(pid, 0)
    return outcome
