"""Blobs in a bucket keep the contract, on a real server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from kitaru.blobs.bucket import BucketBlobs
from tests.blobs.contract import RemoteContract


class TestBucket(RemoteContract):
    @pytest.fixture
    def place(self, s3_remote):
        return s3_remote()

    @pytest.fixture
    def blobs(self, place):
        return place.open()

    @pytest.fixture
    def other(self, place):
        return place.open()


@pytest.mark.parametrize(("prefix", "most"), [("", 1024), ("a/team", 1017)])
def test_how_long_a_key_may_be(prefix, most):
    assert BucketBlobs("bucket", prefix).max_key_bytes == most


def test_a_listing_of_several_pages_is_one(s3_remote):
    """A page has 1,000 keys at most; SeaweedFS sorts them as directories are walked, others by their bytes."""
    blobs = s3_remote().open()
    keys = sorted([*(f"runs/r{i:04d}/000001" for i in range(1100)), *(f"runs/r{i:04d}-x" for i in range(40))])
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda key: blobs.create(key, b"x"), keys))
    assert [listed.key for listed in blobs.listing("")] == keys
    assert blobs.children("runs") == sorted({key.split("/")[1] for key in keys})
    assert sorted(blobs.keys("runs")) == keys
