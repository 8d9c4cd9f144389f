"""Blobs over a base keep the contract, whether their content is in memory or below, and leave the base as it is."""

from __future__ import annotations

import pytest

from kitaru.blobs import MemoryBlobs
from kitaru.blobs.local import LocalBlobs
from kitaru.blobs.overlay import OverlayBlobs
from tests.blobs.contract import WorkspaceContract


class TestOverNothing(WorkspaceContract):
    @pytest.fixture
    def blobs(self):
        return OverlayBlobs(MemoryBlobs())


class TestOverADisk(WorkspaceContract):
    @pytest.fixture
    def blobs(self, tmp_path):
        return OverlayBlobs(LocalBlobs(tmp_path))


@pytest.fixture
def base(tmp_path):
    base = LocalBlobs(tmp_path)
    for key in ("a/1", "a/2", "b/c/3"):
        base.create(key, key.encode())
    return base


def content(blobs):
    return {key: blobs.get(key) for prefix in "abt" for key in blobs.keys(prefix)}


def test_the_base_shows_through_and_what_is_written_hides_it(base):
    blobs = OverlayBlobs(base)
    assert content(blobs) == content(base)
    assert not blobs.create("a/1", b"other")
    blobs.replace("a/1", b"mended", "t/kept")
    assert (blobs.get("a/1"), blobs.get("t/kept"), blobs.size("a/1")) == (b"mended", b"a/1", 6)
    blobs.move("a/2", "t/moved")
    assert blobs.children("a") == ["1"]
    assert blobs.adopt("b/c/3", "b/d")
    blobs.delete("b/c/3")
    assert blobs.children("b") == ["d"]
    with pytest.raises(KeyError):
        blobs.get("b/c/3")
    assert blobs.create("b/c/3", b"again")
    assert content(blobs) == {"a/1": b"mended", "b/d": b"b/c/3", "b/c/3": b"again", "t/kept": b"a/1", "t/moved": b"a/2"}
    assert content(base) == {"a/1": b"a/1", "a/2": b"a/2", "b/c/3": b"b/c/3"}


def test_stamps_over_a_base(base):
    blobs = OverlayBlobs(base)
    before, at = blobs.stamps("b"), blobs.stamp("a/1")
    assert blobs.freshen("a/1")
    assert blobs.stamp("a/1") != at == base.stamp("a/1")
    assert blobs.create("b/c/4", b"")
    assert blobs.stamps("b")["c"] != before["c"]


def test_who_holds_a_lock_below_holds_it_here(base):
    blobs = OverlayBlobs(base)
    held = base.lock("run")
    assert held is not None
    assert blobs.is_locked("run")
    assert blobs.lock("run") is None
    held.release()
    taken = blobs.lock("run")
    assert taken is not None
    assert not base.is_locked("run")
