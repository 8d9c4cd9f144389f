"""Projects with 0, 1 and 500 open questions, the same each time."""

import sys
import time
from pathlib import Path

import pytest

from kitaru.testing import START_US, FixedClock, memory_project

pytest.importorskip("textual")

ROOT = Path(__file__).parent / "flows"


@pytest.fixture(scope="session")
def flows():
    sys.path.insert(0, str(ROOT))
    try:
        import questions
    finally:
        sys.path.pop(0)
    yield questions
    sys.modules.pop("questions", None)


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    with monkeypatch.context() as zone:
        zone.setenv("TZ", "UTC")
        zone.delenv("NO_COLOR", raising=False)
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def clock():
    return FixedClock(START_US, step_us=0)


@pytest.fixture
def project(clock, flows):
    """An empty project in memory, whose clock stands still."""
    return memory_project(ROOT, clock=clock)


@pytest.fixture
def ask(project, clock, flows):
    """Return a function that starts a run, a minute after the last one, and returns its id."""

    def start(flow, **inputs):
        clock.advance(60)
        return project.run(getattr(flows, flow), inputs, foreground=True).exec_id

    return start


@pytest.fixture(scope="session")
def many(flows):
    """A project with 500 open questions; for reading only."""
    clock = FixedClock(START_US, step_us=0)
    project = memory_project(ROOT, clock=clock)
    for n in range(500):
        clock.advance(60)
        project.run(flows.publish, {"topic": f"topic {n}"}, foreground=True)
    return project
