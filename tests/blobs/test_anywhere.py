"""Blobs at a URL of fsspec keep what of the contract can be kept without an exclusive create, and say what cannot."""

from __future__ import annotations

import os

import pytest

from kitaru.blobs.anywhere import AnywhereBlobs
from kitaru.errors import BadConfig
from tests.blobs.contract import RemoteContract


class TestMemory(RemoteContract):
    """fsspec's own file system in memory, which belongs to this process: each test has a place of its own."""

    @pytest.fixture
    def url(self):
        return f"memory://{os.urandom(6).hex()}/x"

    @pytest.fixture
    def blobs(self, url):
        return AnywhereBlobs(url)

    @pytest.fixture
    def other(self, url):
        return AnywhereBlobs(url)

    test_of_many_at_once_one_wins = None  # nothing but luck tells them apart
    test_a_forked_child_has_it_too = None  # whose memory is another

    def test_it_is_exclusive_and_keeps_nothing_of_the_trial(self, blobs):
        assert not blobs.is_exclusive()
        assert list(blobs.listing("")) == []


@pytest.mark.parametrize("url", ["nosuch://place", "gs://bucket/x"])
def test_what_no_library_is_there_for_is_refused(url):
    with pytest.raises(BadConfig, match="no remote can be opened") as caught:
        AnywhereBlobs(url)
    assert "library" in caught.value.hint
