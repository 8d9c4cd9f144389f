"""Fixtures for tests that speak to a bucket; `tests/conftest.py` gives them to every test.

`s3_server` is one SeaweedFS for the whole session, started when a test first asks for it. `s3_remote()` is a place of
its own in its bucket; `s3_proxy` stands between, and misbehaves as it is told (see `tests/servers/proxy.py`):

    place = s3_remote()                     # place.url, place.options: for open_remote, or `kitaru remote add`
    place = s3_remote(s3_proxy.endpoint)    # the same through the proxy

Both set the credentials that may write in the environment, where processes that a test starts find them too.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from kitaru.blobs import RemoteBlobs


class Place(NamedTuple):
    """A place in a bucket that nobody else uses."""

    url: str
    options: dict[str, str]

    def open(self) -> RemoteBlobs:
        from kitaru.blobs.remotes import open_remote

        return open_remote(self.url, self.options)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    from tests.servers.seaweed import Seaweed

    with Seaweed(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture
def s3_remote(s3_server, monkeypatch):
    """Return a function that makes a place: `s3_remote(endpoint="")`, with the server's own endpoint by default."""
    for name, value in s3_server.writer.env.items():
        monkeypatch.setenv(name, value)

    def make(endpoint: str = "") -> Place:
        return Place(f"s3://{s3_server.bucket}/{os.urandom(6).hex()}", {"endpoint-url": endpoint or s3_server.endpoint})

    return make


@pytest.fixture
def s3_proxy(s3_server):
    from tests.servers.proxy import Proxy

    with Proxy(s3_server.port) as proxy:
        yield proxy
