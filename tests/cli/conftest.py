"""A project in a temporary directory, and the command line in this process, with pinned clock, ids and user."""

import hashlib
import itertools
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from kitaru.cli import main
from kitaru.runtime.events import Services

START_US = 1_767_225_600_000_000
STEP_US = 1_000


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def pinned_services():
    ticks, seeds = itertools.count(START_US, STEP_US), itertools.count()
    stream = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(2000))

    def random_bytes(n):
        at = next(seeds) * 16 % (len(stream) - n)
        return stream[at : at + n]

    return Services(lambda: next(ticks), random_bytes, user="ada", host="lab", pid=7)


@pytest.fixture
def pinned(monkeypatch):
    services = pinned_services()
    monkeypatch.setattr("kitaru.project.reading.real_services", lambda config: services)
    with monkeypatch.context() as zone:
        zone.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def directory(tmp_path, monkeypatch):
    for name in ("KITARU_DIR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("flows", None)


@pytest.fixture
def kitaru(directory, pinned, capsys):
    """Return a function that runs a command line in a directory that is no project yet."""

    def run(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


@pytest.fixture
def project(kitaru, directory):
    """Return the same function, in a project with the flows of flows.py."""
    shutil.copyfile(Path(__file__).with_name("flows.py"), directory / "flows.py")
    assert kitaru("init").code == 0
    return kitaru
