"""gc on a bucket gives up uploads that nobody will finish: of content, a grace old by the server's clock."""

from __future__ import annotations

import pytest

from kitaru.store import layout
from kitaru.store.remote_gc import Who, collect
from tests.servers.broken import broken_off
from tests.store.sync.machines import Machine

HOUR = 3_600_000_000
KEY = layout.object_key("ab" * 32)


@pytest.fixture
def place(s3_remote, s3_proxy):
    return s3_remote(s3_proxy.endpoint)


@pytest.fixture
def there(place, tmp_path):
    """A bucket with a run in it."""
    blobs = place.open()
    Machine(tmp_path / "ana", "ana", blobs).run("one").push()
    return blobs


def gc(there, grace=0, **how):
    return collect(there, Who("ann", "annpc", lambda: "nonce"), grace=grace, **how)


def begin(blobs, key):
    blobs._connection.run("write", blobs._connection.request("create_multipart_upload", **blobs._place(key)))


def under_way(blobs):
    return sorted(found.key for found in blobs.unfinished())


def test_what_a_killed_push_left_goes_on_the_first_visit(place, there, s3_proxy):
    broken_off(place.url, s3_proxy, KEY)
    assert gc(there, HOUR).uploads == 0
    assert gc(there, dry_run=True).uploads == 1
    assert under_way(there) == [KEY]
    done = gc(there)
    assert (done.uploads, done.removed, done.noted) == (1, [], [])
    assert under_way(there) == []
    assert gc(there).uploads == 0


def test_its_age_is_by_the_clock_of_the_server(there, monkeypatch):
    begin(there, KEY)
    (found,) = there.unfinished()
    monkeypatch.setattr(there, "now_us", lambda: found.begun_us + HOUR - 1)
    assert gc(there, HOUR).uploads == 0
    monkeypatch.setattr(there, "now_us", lambda: found.begun_us + HOUR)
    assert gc(there, HOUR).uploads == 1


def test_what_no_push_writes_is_left_alone(there):
    others = sorted(["objects/ab/cd", "segments/notes.txt", "video.mp4", "tmp/x", f"backup/{KEY}"])
    for key in others:
        begin(there, key)
    begin(there, layout.segment_key("cd" * 32))
    assert gc(there).uploads == 1
    assert under_way(there) == others
    for found in there.unfinished():
        found.give_up()


def test_a_server_that_lists_none_is_no_failure(there, s3_proxy):
    s3_proxy.fail(1, "status:501", path="uploads")
    assert gc(there).uploads == 0


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_whoever_may_not_list_or_abort_has_all_else_done(there, s3_proxy, method):
    begin(there, KEY)
    there.create("tmp/left", b"x")
    there.create(layout.segment_key("cd" * 32), b"x")
    rule = s3_proxy.fail(1, "error:AccessDenied", method=method, path="upload")
    done = gc(there)
    assert rule.met.is_set()
    assert (done.uploads, done.noted) == (None, [layout.segment_key("cd" * 32)])
    assert gc(there).uploads == 1
