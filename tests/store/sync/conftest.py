"""Two or three machines and what they share."""

from __future__ import annotations

import pytest

from tests.store.sync.machines import Machine, share


@pytest.fixture
def remote(tmp_path):
    return share(tmp_path / "share")


@pytest.fixture
def ana(tmp_path, remote):
    return Machine(tmp_path / "ana", "ana", remote)


@pytest.fixture
def bob(tmp_path, remote):
    return Machine(tmp_path / "bob", "bob", remote)


@pytest.fixture
def eve(tmp_path, remote):
    return Machine(tmp_path / "eve", "eve", remote)
