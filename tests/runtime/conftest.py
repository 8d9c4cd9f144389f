"""What tests of executing code share: a project in memory, and projects on disk that other processes execute."""

from __future__ import annotations

import sys

import pytest

from kitaru.runtime.importing import session
from tests.runtime.bench import Bench, Scripts


@pytest.fixture
def bench(tmp_path):
    """Return a project in memory, whose flows are functions inside of tests."""
    return Bench(tmp_path)


@pytest.fixture
def scripts(tmp_path):
    """Return a project on disk, whose flows are files, each executed by a process of its own."""
    return Scripts(tmp_path)


@pytest.fixture
def clean_imports():
    """Leave no test's modules to the next; Kitaru's own are imported once."""
    modules, path, meta_path = dict(sys.modules), list(sys.path), list(sys.meta_path)
    yield
    session.__init__()
    for name in set(sys.modules) - set(modules):
        if name.partition(".")[0] != "kitaru":
            del sys.modules[name]
    sys.modules.update(modules)
    sys.path[:], sys.meta_path[:] = path, meta_path
