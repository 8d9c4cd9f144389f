"""What tests of the verbs share."""

from __future__ import annotations

import pytest

import kitaru
from kitaru import checkpoint, flow
from tests.runtime.bench import Bench


@pytest.fixture
def bench(tmp_path):
    """Return a project in memory, whose flows are functions inside of tests."""
    return Bench(tmp_path)


@pytest.fixture
def code():
    """Return a flow that asks, and then has one call to make."""

    @checkpoint
    def after(x):
        return x

    @flow
    def body(fail=False):
        if fail:
            raise ValueError("no")
        return after(kitaru.wait("approve"))

    return body


@pytest.fixture
def waiting(bench, code):
    """Return a run of it that has asked."""
    return bench.run(code).run
