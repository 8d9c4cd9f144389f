"""A bucket as a place for write-once blobs.

Owns: which requests each of the promises of `RemoteBlobs` takes. `create` is a PUT with `If-None-Match: *`, which the
server refuses with 412 if the key is taken; a PUT that is repeated because its answer was lost is refused for its own
success, which is why names carry their writer's nonce, and other keys are those of their content.
"""

from __future__ import annotations

import os
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from kitaru.blobs import trying
from kitaru.blobs.bucket import transfers
from kitaru.blobs.bucket.connection import LIMITS, Connection, Limits
from kitaru.blobs.bucket.refusals import CONDITION, MISSING, code_of
from kitaru.blobs.bucket.unfinished import unfinished
from kitaru.blobs.contract import Listed, check_key
from kitaru.errors import RemoteUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kitaru.blobs.contract import Content, Piece, Unfinished


MAX_KEY_BYTES = 1024
"""Of S3, whose other servers keep to it. Source: Amazon S3 User Guide, "Naming Amazon S3 objects"."""


class BucketBlobs:
    """A `RemoteBlobs` in a bucket.

    Args:
        bucket: its name.
        prefix: the key parts before all keys; empty for none.
        options: `endpoint-url`, `profile`, `region`; credentials come from where every client of S3 looks for them.
        limits: how long is waited for what.
        random_bytes: names scratch keys, and spreads pauses.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        options: Mapping[str, str] | None = None,
        limits: Limits = LIMITS,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._stem = f"{prefix}/" if prefix else ""
        self.max_key_bytes: int | None = MAX_KEY_BYTES - len(self._stem.encode())
        endpoint = (options or {}).get("endpoint-url")
        where = f"{self.url} at {endpoint}" if endpoint else self.url
        self._connection = Connection(where, options or {}, limits, random_bytes)
        self._random_bytes = random_bytes
        self._exclusive = True
        self._is_there = False

    def create(self, key: str, data: Content) -> bool:
        """Put `data` at `key`, exclusively; False if there is already something, which may be this very content.

        What is larger than a part is uploaded in parts at once, and made visible by a last request with the same
        condition. A server may not know the condition there: what is so large must be at the key of its content.
        """
        place = self._place(key)
        with self._connection.room.taken(transfers.held(data)):
            parts = transfers.parts(data)
            first: Piece = next(parts, b"")
            second = next(parts, None)
            if (second is not None or not self._exclusive) and self.exists(key):
                return False
            if second is None:
                return self._connection.run("write", self._put(place, first))
            return transfers.upload(self._connection, place, chain([first, second], parts), self._condition())

    async def _put(self, place: dict[str, str], content: Piece) -> bool:
        try:
            await self._connection.request("put_object", content, **place, **self._condition())
        except Exception as error:
            if code_of(error) in CONDITION:
                return False
            raise
        return True

    def _condition(self) -> dict[str, str]:
        return {"IfNoneMatch": "*"} if self._exclusive else {}

    def get(self, key: str, *, limit: int | None = None, start: int = 0) -> bytes:
        """Return the bytes at `key` from `start` on; KeyError if there is nothing, Damaged if more than `limit`."""
        return transfers.read(self._connection, self._place(key), self.where(key), limit=limit, start=start)

    def view(self, key: str) -> bytes:
        """Return the bytes at `key`."""
        return self.get(key)

    def chunks(self, key: str, *, limit: int | None = None) -> Iterator[bytes]:
        """Yield the bytes at `key` piece by piece, some of them fetched ahead; raises as `get` does."""
        return transfers.stream(self._connection, self._place(key), self.where(key), limit=limit)

    def exists(self, key: str) -> bool:
        """Tell whether something is at `key`."""
        return self._head(key) is not None

    def size(self, key: str) -> int:
        """Return how many bytes are at `key`; KeyError when nothing is."""
        found = self._head(key)
        if found is None:
            raise KeyError(key)
        return int(found["ContentLength"])

    def _head(self, key: str) -> dict[str, Any] | None:
        return self._connection.run("read", self._ask(self._place(key)))

    async def _ask(self, place: dict[str, str]) -> dict[str, Any] | None:
        try:
            return await self._connection.request("head_object", **place)
        except Exception as error:
            if code_of(error) in MISSING:
                if not self._is_there:  # of a bucket that is not, a server says no more than of a key
                    await self._first_page()
                return None
            if code_of(error).isdigit():
                await self._first_page()  # nor why it refuses, which it does to another request
            raise

    async def _first_page(self) -> dict[str, Any]:
        asked = {"Bucket": self._bucket, "Prefix": self._stem, "MaxKeys": 1}
        page = await self._connection.request("list_objects_v2", **asked)
        self._is_there = True
        return page

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield all keys below `prefix`, sorted as directories are walked."""
        yield from sorted((listed.key for listed in self._listed(prefix)), key=lambda key: key.split("/"))

    def listing(self, prefix: str) -> Iterator[Listed]:
        """Yield all below `prefix`, sorted by key, as the bucket tells it: a key may be none that this store makes."""
        yield from sorted(self._listed(prefix))

    def _listed(self, prefix: str) -> Iterator[Listed]:
        for page in self._pages(self._below(prefix)):
            for found in page.get("Contents", ()):
                if found["Key"].endswith("/"):
                    continue  # what a browser of buckets makes of "new folder"
                changed_us = int(found["LastModified"].timestamp() * 1_000_000)
                yield Listed(self._own(found["Key"]), int(found["Size"]), changed_us)

    def children(self, prefix: str) -> list[str]:
        """Return the names one level below `prefix`, sorted."""
        below = self._below(prefix)
        names: set[str] = set()
        for page in self._pages(below, Delimiter="/"):
            found = [entry["Key"] for entry in page.get("Contents", ())]
            found += [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
            names.update(key[len(below) :].partition("/")[0] for key in found if key.startswith(below))
        return sorted(names - {""})

    def _pages(self, prefix: str, **more: str) -> Iterator[dict[str, Any]]:
        """Yield the pages of a listing; what is in a page is not sorted by every server as by the next."""
        token: dict[str, str] = {}
        while True:
            asked = self._connection.request("list_objects_v2", Bucket=self._bucket, Prefix=prefix, **more, **token)
            page = self._connection.run("list", asked)
            yield page
            following = page.get("NextContinuationToken")
            if not page.get("IsTruncated"):
                return
            if not following or following == token.get("ContinuationToken"):
                raise RemoteUnreachable(f"{self.url}: the server lists without end", hint="kitaru remote show")
            token = {"ContinuationToken": following}

    def unfinished(self) -> Iterator[Unfinished]:
        """Yield the uploads in parts that were neither completed nor aborted, as far as the server tells of them."""
        return unfinished(self._connection, self._bucket, self._stem)

    def delete(self, key: str) -> None:
        """Remove what is at `key`, if anything."""
        self._connection.run("delete", self._connection.request("delete_object", **self._place(key)))

    def settle(self, key: str, *, content: bool = False) -> None:
        """What a bucket has answered for is durable."""

    def now_us(self) -> int:
        """Return the time by the clock of the server, which tells whole seconds, as it does in listings."""
        page = self._connection.run("list", self._first_page())
        date = page["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        try:
            return int(parsedate_to_datetime(date).timestamp()) * 1_000_000
        except ValueError as error:
            raise RemoteUnreachable(
                f"{self.url}: the server does not tell the time", hint="kitaru remote show"
            ) from error

    def is_exclusive(self) -> bool:
        """Try out whether `create` lets exactly one of several writers win, with scratch keys below `tmp/`.

        Where it does not, `create` looks before it writes from then on: the best that can be done there.
        """
        self._exclusive = trying.is_exclusive(self, self._random_bytes)
        return self._exclusive

    def where(self, key: str) -> str:
        """Return the URL of `key`, for messages."""
        return f"{self.url}/{key}"

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._stem + check_key(key)}

    def _below(self, prefix: str) -> str:
        prefix = prefix.rstrip("/")
        return f"{self._stem}{prefix}/" if prefix else self._stem

    def _own(self, key: str) -> str:
        if not key.startswith(self._stem):
            raise RemoteUnreachable(f"{self.url}: the server lists what was not asked for", hint="kitaru remote show")
        return key[len(self._stem) :]
