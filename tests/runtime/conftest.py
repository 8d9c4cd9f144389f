"""What tests of executing code share: a project in memory, and projects on disk that other processes execute."""

from __future__ import annotations

import pytest

from tests.runtime.bench import Bench, Scripts


@pytest.fixture
def bench(tmp_path):
    """Return a project in memory, whose flows are functions inside of tests."""
    return Bench(tmp_path)


@pytest.fixture
def scripts(tmp_path):
    """Return a project on disk, whose flows are files, each executed by a process of its own."""
    return Scripts(tmp_path)
