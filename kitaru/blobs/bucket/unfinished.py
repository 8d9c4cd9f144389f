"""Uploads in parts that were begun and neither completed nor aborted: they take room, and no key shows them.

Owns: how they are found and given up. A server that does not tell of any has none. Knows nothing of who began them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from kitaru.blobs.bucket.refusals import GONE_UPLOAD, code_of, is_unknown_request
from kitaru.blobs.contract import Unfinished

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kitaru.blobs.bucket.connection import Connection

_NEXT = {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"}


def unfinished(connection: Connection, bucket: str, stem: str) -> Iterator[Unfinished]:
    """Yield the uploads to keys of a bucket that begin with `stem`, which is cut off."""
    for page in _pages(connection, bucket, stem):
        for found in page.get("Uploads", ()):
            if found["Key"].startswith(stem):
                begun_us = int(found["Initiated"].timestamp() * 1_000_000)
                whole = {"Bucket": bucket, "Key": found["Key"], "UploadId": found["UploadId"]}
                yield Unfinished(found["Key"][len(stem) :], begun_us, partial(_give_up, connection, whole))


def _pages(connection: Connection, bucket: str, stem: str) -> Iterator[dict[str, Any]]:
    markers: dict[str, str] = {}
    while True:
        page = connection.run("list", _page(connection, Bucket=bucket, Prefix=stem, **markers))
        yield page
        following = {name: page[told] for name, told in _NEXT.items() if page.get(told)}
        if not page.get("IsTruncated") or following in ({}, markers):
            return
        markers = following


async def _page(connection: Connection, **asked: str) -> dict[str, Any]:
    try:
        return await connection.request("list_multipart_uploads", **asked)
    except Exception as error:
        if is_unknown_request(error):
            return {}
        raise


def _give_up(connection: Connection, whole: dict[str, str]) -> bool:
    return connection.run("delete", _abort(connection, whole))


async def _abort(connection: Connection, whole: dict[str, str]) -> bool:
    try:
        await connection.request("abort_multipart_upload", **whole)
    except Exception as error:
        if code_of(error) in GONE_UPLOAD:
            return False
        raise
    return True
