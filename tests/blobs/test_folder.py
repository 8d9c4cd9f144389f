"""Blobs in a shared folder keep the contract."""

from __future__ import annotations

import pytest

from kitaru.blobs.folder import FolderBlobs
from tests.blobs.contract import RemoteContract


class TestFolder(RemoteContract):
    @pytest.fixture
    def blobs(self, tmp_path):
        return FolderBlobs(tmp_path / "share")

    @pytest.fixture
    def other(self, tmp_path):
        return FolderBlobs(tmp_path / "share")
