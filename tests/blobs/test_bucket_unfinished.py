"""Uploads that a killed process left are found and given up, and nobody else's; on a real server."""

from __future__ import annotations

import pytest

from kitaru.blobs.bucket.unfinished import unfinished
from kitaru.errors import RemoteError, RemoteRefused, RemoteUnreachable
from tests.servers.broken import broken_off

KEY = "objects/ab/cd"


def begin(blobs, key):
    """Begin an upload as a push does, and leave it."""
    connection, place = blobs._connection, blobs._place(key)
    return connection.run("write", connection.request("create_multipart_upload", **place))["UploadId"]


def test_what_a_killed_process_left_is_found_and_given_up(s3_remote, s3_proxy):
    place = s3_remote(s3_proxy.endpoint)
    blobs = place.open()
    before = blobs.now_us()
    broken_off(place.url, s3_proxy, KEY)
    assert list(blobs.listing("")) == []
    (found,) = blobs.unfinished()
    assert found.key == KEY
    assert before <= found.begun_us <= blobs.now_us()
    assert found.give_up()
    assert list(blobs.unfinished()) == []
    assert blobs.create(KEY, b"x"), "the key was never taken"


def test_only_what_is_below_the_prefix_is_this_places(s3_remote):
    blobs, other = s3_remote().open(), s3_remote().open()
    begin(other, KEY)
    beside = type(blobs)(
        blobs._bucket, f"{blobs._stem[:-1]}-more", {"endpoint-url": s3_remote().options["endpoint-url"]}
    )
    begin(beside, KEY)
    assert list(blobs.unfinished()) == []
    for mine in other, beside:
        assert [found.give_up() for found in mine.unfinished()] == [True]


def test_what_is_finished_is_none(s3_remote):
    blobs = s3_remote().open()
    content = bytes(40_000_000)
    assert blobs.create(KEY, memoryview(content))
    assert list(blobs.unfinished()) == []


def test_whoever_is_at_it_fails_and_does_it_again(s3_remote, s3_proxy):
    """Given up between two parts: the key stays free, and the error is one for a user."""
    blobs = s3_remote(s3_proxy.endpoint).open()

    def parts():
        yield bytes(19 << 20)
        yield bytes(19 << 20)
        assert [found.give_up() for found in blobs.unfinished()] == [True]
        yield bytes(40 << 20)

    with pytest.raises(RemoteError):
        blobs.create(KEY, parts())
    assert not blobs.exists(KEY)
    assert list(blobs.unfinished()) == []
    assert blobs.create(KEY, bytes(40 << 20))


def test_many_come_page_by_page(s3_remote):
    """As few in a page as a server may put there: the pages are one listing."""
    blobs = s3_remote().open()
    begun = sorted((key, begin(blobs, key)) for key in (KEY, KEY, "objects/ab/ef", "segments/ab/cd", "segments/ab/cd"))
    connection = blobs._connection
    asked = []

    class Narrow:
        """The connection, with one upload in a page."""

        def __getattr__(self, name):
            return getattr(connection, name)

        def request(self, name, **arguments):
            asked.append(arguments)
            return connection.request(name, MaxUploads=1, **arguments)

    found = list(unfinished(Narrow(), blobs._bucket, blobs._stem))
    assert sorted(each.key for each in found) == [key for key, _ in begun]
    assert len(asked) >= len(begun)
    assert all(each.give_up() for each in blobs.unfinished())


@pytest.mark.parametrize("behaviour", ["status:501", "error:NotImplemented", "status:405"])
def test_a_server_that_does_not_list_them_has_none(s3_remote, s3_proxy, behaviour):
    blobs = s3_remote(s3_proxy.endpoint).open()
    begin(blobs, KEY)
    s3_proxy.fail(1, behaviour, path="uploads")
    assert list(blobs.unfinished()) == []
    assert [found.give_up() for found in blobs.unfinished()] == [True]


def test_what_is_gone_meanwhile_is_not_given_up(s3_remote, s3_proxy):
    blobs = s3_remote(s3_proxy.endpoint).open()
    begin(blobs, KEY)
    (found,) = blobs.unfinished()
    assert found.give_up()
    s3_proxy.fail(1, "error:NoSuchUpload", method="DELETE")
    assert not found.give_up()


def test_who_may_not_is_told(s3_remote, s3_server, monkeypatch):
    place = s3_remote()
    begin(place.open(), KEY)
    for name, given in s3_server.reader.env.items():
        monkeypatch.setenv(name, given)
    (found,) = place.open().unfinished()
    with pytest.raises(RemoteRefused):
        found.give_up()


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_does_not_answer_as_a_bucket_is_not_believed(s3_remote, s3_proxy, method):
    blobs = s3_remote(s3_proxy.endpoint).open()
    begin(blobs, KEY)
    s3_proxy.fail(1, "page", method=method, path="upload")
    with pytest.raises(RemoteUnreachable):
        [found.give_up() for found in blobs.unfinished()]
    assert [found.give_up() for found in blobs.unfinished()] == [True]
