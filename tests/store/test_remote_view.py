"""A remote read as a store: how what is large comes."""

from __future__ import annotations

import hashlib

import pytest

from kitaru.blobs.remotes import open_remote
from kitaru.errors import Damaged
from kitaru.model.encoding.wire import varint
from kitaru.store import layout, loose
from kitaru.store.remote_view import RemoteView


class Streaming:
    """A remote whose large objects are not to be fetched whole."""

    def __init__(self, place):
        self._place = place

    def __getattr__(self, name):
        return getattr(self._place, name)

    def view(self, key):
        raise AssertionError(f"{key} was fetched as a whole")

    get = view


NOISE = bytes(range(256)) * 8192
DATA = b"b" + varint(len(NOISE)) + NOISE
OBJECT = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def place(tmp_path):
    return open_remote(str(tmp_path / "remote"), {})


def test_a_large_object_passes_through_the_disk_and_leaves_nothing_there(place):
    loose.write(place, OBJECT, DATA, lambda: "nonce")
    with RemoteView(Streaming(place)) as view:
        view.look()
        assert bytes(loose.view(view, OBJECT)) == DATA
        assert bytes(loose.view(view, OBJECT)) == DATA, "and again"
        assert not list(view._segments.keys(layout.OBJECTS))


def test_one_that_is_not_what_its_key_says_is_refused(place):
    loose.write(place, OBJECT, DATA, lambda: "nonce")
    whole = place.get(layout.object_key(OBJECT))
    other = hashlib.sha256(b"another").hexdigest()
    place.create(layout.object_key(other), whole)
    with RemoteView(Streaming(place)) as view:
        view.look()
        with pytest.raises(Damaged, match="hash"):
            loose.view(view, other)
        assert not list(view._segments.keys(layout.OBJECTS))


def test_one_that_is_gone_is_missing(place):
    with RemoteView(Streaming(place)) as view:
        view.look()
        with pytest.raises(KeyError):
            loose.view(view, OBJECT)
