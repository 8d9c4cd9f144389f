"""The trial of a place whose writers look first and write then: two at once are found out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from kitaru.blobs import MemoryBlobs, trying
from kitaru.errors import StoreError


class LooksFirst(MemoryBlobs):
    """Two writers of one key that come at once both find nothing there, and the later one overwrites the other."""

    def __init__(self) -> None:
        super().__init__()
        self._gates = {}

    def create(self, key, data):
        if key.endswith(("later", "empty")):
            return super().create(key, data)
        gate = self._gates.setdefault(key, Barrier(2))
        found = self.exists(key)
        gate.wait()
        self.delete(key)
        super().create(key, data)
        return not found


def test_writers_at_once_are_told_apart():
    assert trying.is_exclusive(MemoryBlobs())
    assert not trying.is_exclusive(LooksFirst())


def test_nothing_of_the_trial_stays():
    place = LooksFirst()
    trying.is_exclusive(place)
    assert not list(place.keys(""))


def test_a_system_that_gives_no_more_threads_is_told_of(monkeypatch):
    class Poor(ThreadPoolExecutor):
        given = 0

        def submit(self, *args, **kwargs):
            self.given += 1
            if self.given > 3:
                raise RuntimeError("can't start new thread")
            return super().submit(*args, **kwargs)

    monkeypatch.setattr(trying, "ThreadPoolExecutor", Poor)
    with pytest.raises(StoreError, match="no thread can be started"):
        trying.is_exclusive(MemoryBlobs())
