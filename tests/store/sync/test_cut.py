"""Whatever a push or pull is cut short at, both stores are valid, and doing it again finishes it."""

from __future__ import annotations

import itertools
import shutil
from functools import partial

import pytest

from kitaru.blobs import LocalBlobs
from kitaru.errors import RemoteUnreachable
from kitaru.store import layout, loose
from tests.store.faults import Died, FaultyFiles, PowerLoss
from tests.store.samples import nonces
from tests.store.sync.cutting import Cut
from tests.store.sync.machines import Machine, remote_damage, share

LARGE = bytes(range(256)) * 400


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Objects count as large sooner, so that values have some."""
    monkeypatch.setattr(loose, "LARGE", 50_000)


def disputed(place):
    """Make two machines of which the second has something to push and to pull of every kind, and lost some races."""
    remote = share(place / "share")
    ana, bob = (Machine(place / who, who, remote) for who in ("ana", "bob"))
    ana.run("both").run("answered").run("short")
    ana.push()
    bob.pull()
    ana.answer("both", "yes")
    ana.push()
    bob.pull()
    ana.carry_on("both").answer("answered", "yes")
    ana.version(code="x = 2")
    ana.run("hers", large=LARGE).push()
    bob.carry_on("both", ends=False).branch("branched", "both", asks=False).answer("answered", "no")
    bob.carry_on("answered").version(code="x = 3")
    bob.run("his", large=LARGE[::-1]).answer("short")


class Place:
    """A directory with both machines and what they share, and as many copies of it as are asked for."""

    def __init__(self, path):
        self.path = path
        (path / "first").mkdir()
        disputed(path / "first")
        self._numbers = itertools.count()

    def copy(self):
        """Return the path of a copy of the place, made anew."""
        place = self.path / f"copy{next(self._numbers)}"
        shutil.copytree(self.path / "first", place, symlinks=True)
        return place

    def done(self, path):
        shutil.rmtree(path)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def bob_of(path, files=None):
    blobs = LocalBlobs(path / "bob", files is not None, files=files, random_bytes=nonces(77)) if files else None
    bob = Machine(path / "bob", "bob", share(path / "share"), blobs)
    bob.now = 5000
    return bob


def acknowledged(machine):
    return {record for ids in machine.runs().values() for record in ids}


def is_whole(path, had):
    """Nothing is damaged anywhere, and all that bob had is in some run of his."""
    bob = bob_of(path)
    assert bob.damage() == []
    if (path / "share" / layout.FORMAT_KEY).exists():
        assert remote_damage(bob.remote) == []
    assert had <= acknowledged(bob)


def finishes(path, act, expected):
    """Doing it again leaves what it would have left at once; what gave way here already comes with the next pull."""
    bob = bob_of(path)
    getattr(bob, act)()
    bob.pull()
    assert bob.runs() == expected
    assert getattr(bob, act)().is_nothing
    is_whole(path, set())


def expected(place, act):
    path = place.copy()
    bob = bob_of(path)
    had = acknowledged(bob)
    getattr(bob, act)()
    bob.pull()
    runs = bob.runs()
    is_whole(path, had)
    place.done(path)
    return had, runs


def trials(place, act, step, once):
    """Cut it short everywhere, a step apart; return how far there was anything to cut.

    Args:
        once: does it, cut short at a number, before or after; returns whether it ended there, and whether it got there.
    """
    had, runs = expected(place, act)
    for at in itertools.count(0, step):
        for after in False, True:
            path = place.copy()
            ended, got_there = once(path, act, at, after)
            if ended:
                is_whole(path, had)
                finishes(path, act, runs)
            place.done(path)
        if not got_there:
            return at
    raise AssertionError("never reached")


def cut_off(path, act, at, after):
    bob = bob_of(path)
    remote = Cut(bob.remote, at, after=after)
    try:
        getattr(bob, act)(remote=remote)
    except RemoteUnreachable:
        return True, True
    return False, remote.is_cut


@pytest.mark.parametrize("act", ["push", "pull"])
def test_the_connection_is_cut(place, act):
    assert trials(place, act, 17, cut_off) > 10


@pytest.mark.long
@pytest.mark.parametrize("act", ["push", "pull"])
def test_the_connection_is_cut_everywhere(place, act):
    assert trials(place, act, 1, cut_off) > 10


def killed(path, act, at, after, *, model):
    files = model(die_at=at, after=after)
    try:
        getattr(bob_of(path, files), act)()
    except Died:
        if model is PowerLoss:
            files.fail_power()
        return True, True
    return False, files.dead


@pytest.mark.parametrize("act", ["push", "pull"])
def test_the_process_dies(place, act):
    assert trials(place, act, 47, partial(killed, model=PowerLoss)) > 20


@pytest.mark.long
@pytest.mark.parametrize("model", [FaultyFiles, PowerLoss])
@pytest.mark.parametrize("act", ["push", "pull"])
def test_the_process_dies_everywhere(place, act, model):
    assert trials(place, act, 1, partial(killed, model=model)) > 20
