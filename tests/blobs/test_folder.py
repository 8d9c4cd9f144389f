"""Blobs in a shared folder keep the contract, give others the rights of the folder, and tell what is wrong with it."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from kitaru.blobs.folder import FolderBlobs
from kitaru.errors import Damaged, NotExclusive, RemoteError, RemoteRefused, RemoteUnreachable
from tests.blobs.contract import RemoteContract
from tests.store.faults import FaultyFiles


class TestFolder(RemoteContract):
    @pytest.fixture
    def blobs(self, tmp_path):
        return FolderBlobs(tmp_path / "share")

    @pytest.fixture
    def other(self, tmp_path):
        return FolderBlobs(tmp_path / "share")


def rights(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("of_the_folder", "of_a_file"), [(0o700, 0o400), (0o770, 0o440), (0o2775, 0o444)])
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_who_may_use_the_folder_may_use_what_is_in_it(tmp_path, of_the_folder, of_a_file, umask):
    share = tmp_path / "share"
    share.mkdir()
    share.chmod(of_the_folder)
    before = os.umask(umask)
    try:
        FolderBlobs(share).create("runs/a/000001", b"x")
    finally:
        os.umask(before)
    assert rights(share) == of_the_folder
    assert rights(share / "runs") == rights(share / "runs/a") == rights(share / "tmp") == of_the_folder
    assert rights(share / "runs/a/000001") == of_a_file


def test_a_folder_that_is_made_is_private(tmp_path):
    FolderBlobs(tmp_path / "share").create("runs/a/000001", b"x")
    assert rights(tmp_path / "share") == rights(tmp_path / "share/runs") == 0o700


def test_there_is_no_such_place(tmp_path):
    with pytest.raises(RemoteUnreachable, match="there is no folder"):
        FolderBlobs(tmp_path / "not mounted" / "share")
    (tmp_path / "file").write_text("x")
    with pytest.raises(RemoteUnreachable, match="is not a folder"):
        FolderBlobs(tmp_path / "file")


def test_nothing_is_read_or_written_through_a_link(tmp_path):
    """Who may write to the folder could lay one to a place of this machine that he may not see."""
    (tmp_path / "private").mkdir()
    (tmp_path / "private/000001").write_bytes(b"secret")
    blobs = FolderBlobs(tmp_path / "share")
    blobs.create("runs/b/000001", b"x")
    (tmp_path / "share/runs/a").symlink_to(tmp_path / "private")
    for use in (
        lambda: blobs.get("runs/a/000001"),
        lambda: b"".join(blobs.chunks("runs/a/000001")),
        lambda: blobs.create("runs/a/000002", b"x"),
        lambda: blobs.create("runs/a/deeper/000002", b"x"),
        lambda: blobs.delete("runs/a/000001"),
        lambda: blobs.get("runs/a"),
    ):
        with pytest.raises(Damaged):
            use()
    assert [listed.key for listed in blobs.listing("runs")] == ["runs/a", "runs/b/000001"]
    assert sorted(path.name for path in (tmp_path / "private").iterdir()) == ["000001"]


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EACCES, RemoteRefused, "permission denied"),
        (errno.EROFS, RemoteRefused, "read-only"),
        (errno.ENOSPC, RemoteError, "no space left"),
        (errno.EIO, RemoteUnreachable, "input/output"),
        (errno.ESTALE, RemoteUnreachable, "Stale"),
        (errno.ETIMEDOUT, RemoteUnreachable, "timed out"),
    ],
)
@pytest.mark.parametrize("call", ["open", "pwrite", "fsync", "link"])
def test_a_refusal_is_told_in_plain_words(tmp_path, call, number, kind, words):
    blobs = FolderBlobs(tmp_path, files=FaultyFiles(fail={call: number}))
    with pytest.raises(kind, match=words) as caught:
        blobs.create("a/k", b"x")
    assert type(caught.value) is kind
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_a_file_system_without_links_is_not_exclusive(tmp_path):
    blobs = FolderBlobs(tmp_path, files=FaultyFiles(fail={"link": errno.EPERM}))
    with pytest.raises(NotExclusive) as caught:
        blobs.create("k", b"x")
    assert "hard links" in caught.value.hint
    assert not blobs.is_exclusive()
    assert blobs.children("tmp") == []
