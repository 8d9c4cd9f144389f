"""A run is found while its journal is being sealed: it moves from `open/` to the names between two looks."""

from __future__ import annotations

import pytest

from kitaru.blobs.memory import MemoryBlobs
from kitaru.store.repository import Repository
from tests.store.samples import fill, nonces


class Sealing:
    """Blobs on which, after the first look into a directory, another process seals what is open."""

    def __init__(self, blobs, seal):
        self._blobs, self._seal = blobs, [seal]

    def __getattr__(self, name):
        return getattr(self._blobs, name)

    def children(self, prefix):
        found = self._blobs.children(prefix)
        if self._seal:
            self._seal.pop()()
        return found


@pytest.fixture
def moving():
    blobs = MemoryBlobs()
    repo = Repository.create(blobs, nonces())
    fill(repo, "abc", seal=False)
    return Repository(Sealing(blobs, lambda: repo.reopen("abc").close()), nonces(900))


def test_a_run_is_there_while_it_is_sealed(moving):
    assert moving.has_run("abc")


def test_a_run_is_listed_while_it_is_sealed(moving):
    assert moving.run_ids() == ["abc"]


def test_the_seal_is_what_moves_it():
    blobs = MemoryBlobs()
    repo = Repository.create(blobs, nonces())
    fill(repo, "abc", seal=False)
    assert (blobs.children("open"), blobs.children("runs")) == (["abc"], [])
    repo.reopen("abc").close()
    assert (blobs.children("open"), blobs.children("runs")) == ([], ["abc"])
