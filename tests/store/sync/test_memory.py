"""What is pulled and pushed is in memory once, and no more of it than the bucket has room for."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from kitaru.blobs.bucket import transfers
from kitaru.blobs.bucket.room import Room
from kitaru.store.sync import content
from tests.store.sync.machines import Machine

MB = 1 << 20
SIZE = 40 * MB
ROOM = 8 * MB


@pytest.fixture
def bucket(s3_remote, monkeypatch):
    """A bucket with little room, and a connection that is open."""
    monkeypatch.setattr(transfers, "RANGE_BYTES", 2 * MB)
    blobs = s3_remote().open()
    monkeypatch.setattr(type(blobs._connection), "room", Room(ROOM))
    assert blobs.create("tmp/x", b"x")
    assert blobs.get("tmp/x") == b"x"
    blobs.delete("tmp/x")
    return blobs


@pytest.fixture
def most():
    """Return a function that does something and returns how many bytes of Python's were in memory at once."""

    def measured(act):
        tracemalloc.start(1)
        try:
            act()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return measured


def test_a_large_value_comes_and_goes_through_little_memory(bucket, most, tmp_path):
    noise = random.Random(1).randbytes(SIZE)
    ana, bob = (Machine(tmp_path / who, who, bucket) for who in ("ana", "bob"))
    ana.run("small").push()
    bob.pull()
    ana.run("large", calls=1, large=noise)
    assert most(ana.push) < 4 * MB, "it goes from where it lies"
    assert most(bob.pull) < ROOM + 4 * MB
    assert bob.damage() == []
    assert bob.runs() == ana.runs()


def test_of_large_segments_one_at_a_time_is_decompressed(most, ana, bob, monkeypatch):
    """Each has 8 MB of values below those that have files of their own."""
    monkeypatch.setattr(content, "SPOOL", MB)
    for n in range(8):
        ana.run(f"run{n}", calls=1, large=random.Random(n).randbytes(8 * MB))
    ana.push()
    assert most(bob.pull) < 40 * MB
    assert bob.damage() == []
    assert bob.runs() == ana.runs()
