"""Blobs in a bucket keep the contract, on a real server."""

from __future__ import annotations

import pytest

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
