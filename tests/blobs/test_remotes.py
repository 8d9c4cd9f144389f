"""The URL and the options of a remote: which place they stand for, and what is refused without being repeated."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kitaru.blobs.anywhere import AnywhereBlobs
from kitaru.blobs.bucket import BucketBlobs
from kitaru.blobs.folder import FolderBlobs
from kitaru.blobs.remotes import open_remote
from kitaru.errors import BadConfig, MissingExtra


@pytest.mark.parametrize(
    ("url", "kind", "shown"),
    [
        ("s3://bucket", BucketBlobs, "s3://bucket"),
        ("s3://bucket/", BucketBlobs, "s3://bucket"),
        ("S3://my.bucket-1/a/b/", BucketBlobs, "s3://my.bucket-1/a/b"),
        ("memory://place/x/", AnywhereBlobs, "memory://place/x"),
    ],
)
def test_each_url_has_its_place(url, kind, shown):
    place = open_remote(url)
    assert type(place) is kind
    assert place.url == shown
    assert place.where("a/k") == f"{shown}/a/k"


def test_a_folder_is_named_in_three_ways(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for url in (f"{tmp_path}/share", "share", f"file://{tmp_path}/share"):
        place = open_remote(url)
        assert type(place) is FolderBlobs
        assert place.url == f"{tmp_path}/share"


SECRET = "the-secret"


@pytest.mark.parametrize(
    "url",
    [
        f"s3://AKIAKEY:{SECRET}@bucket/x",
        f"s3://AKIAKEY@bucket/{SECRET}",
        f"s3://bucket/x?X-Amz-Signature={SECRET}",
        f"sftp://user:{SECRET}@host/x",
        f"gs://bucket/x?token={SECRET}",
        f"s3://bucket/x#{SECRET}",
        f"simplecache::s3://{SECRET}@bucket/x",
    ],
)
def test_a_url_with_a_secret_in_it_is_refused_and_not_repeated(url):
    with pytest.raises(BadConfig) as caught:
        open_remote(url)
    assert SECRET not in f"{caught.value.message}{caught.value.hint}{caught.value.__cause__}"


@pytest.mark.parametrize(
    "url", ["", "s3://", "s3:///x", "s3://-/x", "s3://a/../b", "s3://bucket/a//b", "file://host/x"]
)
def test_what_is_no_url_is_refused(url):
    with pytest.raises(BadConfig) as caught:
        open_remote(url)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("s3://bucket", {"color": "red"}),
        ("s3://bucket", {"endpoint-url": "127.0.0.1:8333"}),
        ("s3://bucket", {"endpoint-url": "http://no host"}),
        ("s3://bucket", {"endpoint-url": "http://:80"}),
        ("s3://bucket", {"endpoint-url": "http://host:port"}),
        ("s3://bucket", {"endpoint-url": f"http://user:{SECRET}@host"}),
        ("share", {"profile": "team"}),
        ("memory://x", {"region": "eu-west-1"}),
    ],
)
def test_options_that_are_none_are_refused(url, options):
    with pytest.raises(BadConfig) as caught:
        open_remote(url, options)
    assert SECRET not in caught.value.message


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:8333", "https://s3.example.org", "http://[::1]:9000/s3"])
def test_an_endpoint_may_be_any_server(endpoint):
    assert open_remote("s3://bucket", {"endpoint-url": endpoint}).url == "s3://bucket"


def test_options_that_say_nothing_are_none(tmp_path):
    assert open_remote(str(tmp_path / "share"), {"profile": "", "region": ""}).children("runs") == []


def test_a_library_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("kitaru.blobs.remotes.find_spec", lambda name: None)
    with pytest.raises(MissingExtra) as caught:
        open_remote("s3://bucket")
    assert caught.value.hint == "pip install 'kitaru[s3]'"
    with pytest.raises(MissingExtra) as caught:
        open_remote("gs://bucket")
    assert caught.value.hint == "pip install 'kitaru[fsspec]'"


def test_who_opens_no_bucket_loads_no_library_for_one():
    code = (
        "import sys, kitaru.cli, kitaru.blobs.remotes as remotes; remotes.open_remote('.');"
        "print({'s3fs', 'fsspec', 'botocore', 'aiohttp'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
