"""What outlasts a power failure: all that was pulled, and here all that others were told of."""

from __future__ import annotations

import pytest

from kitaru.blobs import LocalBlobs
from kitaru.store import layout, loose
from kitaru.store.sync import PullChoice
from tests.store.faults import PowerLoss
from tests.store.samples import nonces
from tests.store.sync.machines import Machine

LARGE = bytes(range(256)) * 400


@pytest.fixture(autouse=True)
def large(monkeypatch):
    monkeypatch.setattr(loose, "LARGE", 50_000)


@pytest.fixture
def files():
    return PowerLoss()


@pytest.fixture
def eve(tmp_path, remote, files):
    """A machine whose power can fail."""
    return Machine(
        tmp_path / "eve", "eve", remote, LocalBlobs(tmp_path / "eve", True, files=files, random_bytes=nonces(7))
    )


@pytest.mark.parametrize("runs_only", [False, True])
def test_what_was_pulled(ana, eve, files, runs_only):
    ana.run("one", large=LARGE).run("two", asks=False).answer("one")
    ana.branch("three", "one").push()
    eve.pull(choose=PullChoice(runs_only=runs_only))
    files.fail_power()
    assert eve.runs() == ana.runs()
    assert eve.repo.is_answered("one")
    assert eve.repo.versions("demo") == ana.repo.versions("demo")
    assert eve.repo.partial.is_marked("one") is runs_only
    assert eve.damage() == []


def test_what_lay_there_from_a_pull_that_was_cut_short(ana, eve, files):
    ana.run("one", large=LARGE).push()
    for key in ana.blobs.keys(layout.OBJECTS):
        eve.blobs.stage(key, ana.blobs.get(key))
    eve.pull()
    files.fail_power()
    assert eve.runs() == ana.runs()
    assert eve.damage() == []


def test_a_mark_that_somebody_else_just_made(eve, files):
    marks = eve.repo.partial
    marks.mark("other", remote="team", url="there", at=1)
    data = eve.blobs.get(layout.partial_key("other"))
    eve.blobs.stage(layout.partial_key("one"), data)  # by a process that is not done yet
    marks.mark("one", remote="team", url="there", at=2)
    files.fail_power()
    assert marks.is_marked("one")


def test_what_is_pushed_is_durable_here_before_anybody_is_told(ana, remote, monkeypatch):
    """Another process may have made it and be not done yet."""
    told, create, settle = [], remote.create, LocalBlobs.settle
    ana.push()  # makes it a store
    ana.run("one").answer("one")
    monkeypatch.setattr(LocalBlobs, "settle", lambda blobs, key: (told.append(key), settle(blobs, key))[1])
    monkeypatch.setattr(remote, "create", lambda key, data: (told.append("sent"), create(key, data))[1])
    ana.push()
    settled = {key.rpartition("/")[0] for key in told[: told.index("sent")]}
    assert {layout.run_key("one"), layout.answer_key("one")} <= settled
