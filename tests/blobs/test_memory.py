"""Blobs in memory keep the contract."""

from __future__ import annotations

import pytest

from kitaru.blobs import MemoryBlobs
from tests.blobs.contract import WorkspaceContract


class TestMemory(WorkspaceContract):
    @pytest.fixture
    def blobs(self):
        return MemoryBlobs()
