"""What tests of the verbs share."""

from __future__ import annotations

import pytest

from tests.runtime.bench import Bench


@pytest.fixture
def bench(tmp_path):
    """Return a project in memory, whose flows are functions inside of tests."""
    return Bench(tmp_path)
