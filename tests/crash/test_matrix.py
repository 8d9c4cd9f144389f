"""The crash matrix: death before and after every call that writes, in a story of run, answer, resume, replay and gc,
and in one of keys, requests to cancel, rejections and the result cache.

What was not synced is lost, kept or kept by half. Afterwards the store is valid, no acknowledged call is lost or
executed again, and the runs come to the results that they have undisturbed. The short form takes every 17th of all
cases; `-m long` takes all, and random stories with two crashes.
"""

from __future__ import annotations

import errno
import itertools
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kitaru.blobs.files import _REASONS
from kitaru.project import Project
from kitaru.store import loose, packing
from tests.crash.disk import FATES, Disk
from tests.crash.story import Teller, executed, open_project, survives

EVERY = 17
REFUSED = {
    errno.ENOSPC: ("open", "pwrite", "link", "mkdir", "fsync", "fdatasync"),
    errno.EIO: ("pwrite", "fsync", "fdatasync", "ftruncate"),
    errno.EACCES: ("open", "link", "mkdir", "unlink"),
    errno.EROFS: ("open", "pwrite", "link", "mkdir", "unlink", "rmdir", "ftruncate", "fchmod", "utime"),
}


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Objects count as large sooner, so that the story's values have some; and two files are enough for a pack."""
    monkeypatch.setattr(loose, "LARGE", 20_000)
    monkeypatch.setattr(packing, "ENOUGH", 2)


@pytest.fixture
def fresh(tmp_path):
    """Return a function that makes an empty project, on another path each time."""
    numbers = itertools.count()

    def make():
        number = next(numbers)
        Project.init(tmp_path / str(number))
        return tmp_path / str(number), tmp_path / f"attic-{number}"

    return make


def told(root, attic, steps=Teller.STEPS, seed="kitaru", **how):
    disk = Disk(attic, **how)
    teller = Teller(open_project(root, disk, seed), disk, steps).tell()
    return disk, teller


def trial(fresh, steps, at, after, fate):
    root, attic = fresh()
    disk, teller = told(root, attic, steps, fate=fate, die_at=at, after=after)
    assert disk.dead
    disk.fail_power()
    survives(root, teller)


STORIES = {"runs": (Teller.STEPS, 3 + 1 + 4 + 4 + 1), "names": (Teller.NAMES, 2 + 2 + 3 + 3)}
"""Name to steps, and how many calls and answers are acknowledged."""


def cases(fresh, story):
    """Return the story's steps with all cases: the call that it dies at, before or after, and what is lost."""
    steps, acknowledged = STORIES[story]
    root, attic = fresh()
    disk, teller = told(root, attic, steps)
    assert not teller.refused
    assert len(teller.acknowledged) == acknowledged
    return list(itertools.product([steps], range(len(disk.calls)), (False, True), FATES))


def test_the_story_undisturbed(fresh):
    root, attic = fresh()
    disk, teller = told(root, attic)
    assert {"open", "pwrite", "fsync", "fdatasync", "ftruncate", "link", "unlink", "mkdir", "rmdir"} <= set(disk.calls)
    assert executed == ["fetch 0", "fetch 1", "fetch 2", "write", "write", "fetch 99"]
    assert teller.project.repo.segments.packs()
    (left,) = teller.project.log()
    assert (left.flow, left.source) == ("story", teller.runs[0])
    survives(root, teller)


def test_requests_and_keys_undisturbed(fresh):
    root, attic = fresh()
    _, teller = told(root, attic, Teller.NAMES)
    first, again, other, cancelled, rejected = teller.runs
    assert first == again != other
    assert executed[:3] == ["look up 7", "fetch 57", "fetch 57"], "the second time, one came from the cache"
    assert teller.over == [cancelled, rejected]
    assert teller.project.repo.pruned_ids() == sorted([first, rejected])
    survives(root, teller)


@pytest.mark.parametrize("story", STORIES)
def test_some_of_all(fresh, story):
    for case in cases(fresh, story)[::EVERY]:
        trial(fresh, *case)


@pytest.mark.long
@pytest.mark.parametrize("story", STORIES)
def test_all(fresh, story):
    for case in cases(fresh, story):
        trial(fresh, *case)


def test_the_model_loses_what_is_not_synced(fresh, monkeypatch):
    """The matrix can fail: without the syncs of journals, acknowledged calls are gone."""
    from kitaru.blobs.growing import GrowingFile

    monkeypatch.setattr(GrowingFile, "sync", lambda file, upto: None)
    root, attic = fresh()
    disk, teller = told(root, attic, ("run",), fate="lost", die_at=85)
    assert disk.dead
    disk.fail_power()
    assert len(teller.acknowledged) >= 1, "it dies behind a call and before the end"
    with pytest.raises(Exception, match=r"no run matches|executed again"):
        survives(root, teller)


EVERY_STEP = sorted({*Teller.STEPS, *Teller.NAMES})


class Refusing(Disk):
    """A disk that from a call on refuses some calls, until the end."""

    def __init__(self, attic, at, number):
        super().__init__(attic)
        self._at, self._number = at, number

    def _real(self, name, args):
        if len(self.calls) > self._at and name in REFUSED[self._number]:
            raise OSError(self._number, "refused")
        return super()._real(name, args)


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("number", REFUSED)
def test_a_disk_that_refuses_from_any_call_on(fresh, number, story):
    """Who was writing is told why; nothing written earlier is hurt, and all goes on when the disk is well again."""
    numbers = random.Random(number)
    for at in sorted(numbers.sample(range(280), 8)):
        root, attic = fresh()
        disk = Refusing(attic, at, number)
        teller = Teller(open_project(root, disk), disk, STORIES[story][0]).tell()
        reasons = [error for error in teller.refused if _REASONS[number][0] in f"{error}"]
        assert reasons, (at, teller.refused)
        survives(root, teller)


@pytest.mark.long
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(*[st.lists(st.sampled_from(EVERY_STEP), max_size=6)] * 2), min_size=1, max_size=1),
    st.lists(st.tuples(st.integers(0, 200), st.booleans(), st.sampled_from(FATES)), min_size=2, max_size=2),
)
def test_random_stories_with_two_crashes(fresh, stories, crashes):
    root, attic = fresh()
    (parts,) = stories
    acknowledged, teller = [], None
    for nth, (steps, (at, after, fate)) in enumerate(zip(parts, crashes, strict=True)):
        disk, teller = told(root, attic / str(nth), ("run", *steps), f"{nth}", fate=fate, die_at=at, after=after)
        acknowledged += teller.acknowledged
        disk.fail_power()
    teller.acknowledged = acknowledged
    survives(root, teller)
