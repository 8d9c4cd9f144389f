"""Bytes to and from a bucket: in one request where they are few, in several at once where they are many.

Owns: the sizes of parts, how many are under way, and the proof that a body came whole. Memory is bounded by both.
"""

from __future__ import annotations

import io
from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from kitaru.blobs.bucket.refusals import CONDITION, GONE_UPLOAD, MISSING, RANGE, Truncated, check_answer, code_of
from kitaru.errors import Damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator
    from concurrent.futures import Future

    from kitaru.blobs.bucket.connection import Connection
    from kitaru.blobs.contract import Content, Piece

    Place = dict[str, str]

PART_BYTES = 18 << 20
"""What is not larger goes in one request. All parts of what is, but the last, are so large, as some servers demand;
10,000 of them are the most that S3 takes: 180 GB.
"""
RANGE_BYTES = 8 << 20
_STEP = 256 << 10
UNDER_WAY = 4


def held(data: Content) -> int:
    """Return how many bytes of a content are in memory while it begins to be written."""
    most = 2 * PART_BYTES
    return min(len(data), most) if isinstance(data, bytes | bytearray | memoryview) else most


def parts(data: Content) -> Iterator[Piece]:
    """Yield content in parts of one size, but for the last; nothing for no content."""
    if not isinstance(data, bytes | bytearray | memoryview):
        yield from _gathered(data)
        return
    whole = memoryview(data)
    for at in range(0, len(whole), PART_BYTES):
        yield whole[at : at + PART_BYTES]


def _gathered(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield pieces joined to parts; one that is a part as it comes, and that nobody changes, is not copied."""
    waiting = bytearray()
    for piece in pieces:
        view = memoryview(piece)
        if not waiting and view.readonly and len(view) == PART_BYTES:
            yield view
            continue
        while view:
            room = PART_BYTES - len(waiting)
            waiting += view[:room]
            view = view[room:]
            if len(waiting) == PART_BYTES:
                yield waiting
                waiting = bytearray()
    if waiting:
        yield waiting


def ahead(connection: Connection, doing: str, jobs: Iterator[Coroutine[Any, Any, Any]], size: int) -> Iterator[Any]:
    """Yield the results of jobs in their order, with a few of them under way at any time, as far as there is room.

    Args:
        connection: to the bucket.
        doing: what is done, for a message.
        jobs: requests.
        size: how many bytes each has in memory. The caller has taken room for one.
    """
    waiting: deque[Future[Any]] = deque()
    most = 1
    try:
        for job in jobs:
            waiting.append(connection.start(job))
            if len(waiting) == most and most < UNDER_WAY and connection.room.tried(size):
                most += 1
            if len(waiting) == most:
                yield connection.result(doing, waiting.popleft())
        while waiting:
            yield connection.result(doing, waiting.popleft())
    finally:
        for future in waiting:
            future.cancel()
        connection.room.give_back((most - 1) * size)


def upload(connection: Connection, place: Place, content: Iterable[Piece], condition: dict[str, str]) -> bool:
    """Write a large blob in parts; False if its key is taken, by then at the latest. Nothing is visible before the end.

    Args:
        connection: to the bucket.
        place: bucket and key.
        content: parts, all of one size but the last.
        condition: what must hold when the blob becomes visible.
    """
    begun = connection.run("write", connection.request("create_multipart_upload", **place))
    whole = {**place, "UploadId": begun["UploadId"]}
    try:
        sent = [
            {"PartNumber": number, "ETag": answer["ETag"]}
            for number, answer in enumerate(
                ahead(connection, "write", _part_requests(connection, whole, content), PART_BYTES), 1
            )
        ]
        won = connection.run("write", _complete(connection, whole, sent, condition))
    except BaseException:
        _abort(connection, whole)
        raise
    if not won:
        _abort(connection, whole)
    return won


def _part_requests(
    connection: Connection, whole: Place, content: Iterable[Piece]
) -> Iterator[Coroutine[Any, Any, dict[str, Any]]]:
    for number, part in enumerate(content, 1):
        yield connection.request("upload_part", part, PartNumber=number, **whole)


async def _complete(connection: Connection, whole: Place, sent: list[Any], condition: dict[str, str]) -> bool:
    try:
        await connection.request("complete_multipart_upload", MultipartUpload={"Parts": sent}, **whole, **condition)
    except Exception as error:
        if code_of(error) in CONDITION:
            return False
        if code_of(error) not in GONE_UPLOAD:
            raise
        # Completed by this very request, whose answer was lost before it was made again; or aborted by a cleaner.
        await connection.request("head_object", Bucket=whole["Bucket"], Key=whole["Key"])
        return False
    return True


def _abort(connection: Connection, whole: Place) -> None:
    """Free the parts that are on the server, as far as it can be reached: nobody else finds them."""
    connection.start(connection.request("abort_multipart_upload", **whole)).exception()


def read(connection: Connection, place: Place, where: str, *, limit: int | None, start: int) -> bytes:
    """Return a blob from `start` on; KeyError if there is none, Damaged if it has more than `limit` bytes in all."""
    asked = f"bytes={start}-" if start else ""
    return connection.run("read", _read(connection, place, asked, _checker(where, limit)))[0]


def stream(connection: Connection, place: Place, where: str, *, limit: int | None) -> Iterator[bytes]:
    """Yield a blob in ranges, some of them fetched ahead; raises as `read`."""
    with connection.room.taken(RANGE_BYTES):
        check = _checker(where, limit)
        first, total = connection.run("read", _read(connection, place, f"bytes=0-{RANGE_BYTES - 1}", check))
        if first:
            yield first
        del first

        def same(size: int) -> None:
            if size != total:
                raise Damaged(where, f"{size} bytes, which were {total} a moment ago")

        ranges = (
            _read(connection, place, f"bytes={at}-{min(at + RANGE_BYTES, total) - 1}", same)
            for at in range(RANGE_BYTES, total, RANGE_BYTES)
        )
        yield from map(itemgetter(0), ahead(connection, "read", ranges, RANGE_BYTES))  # a loop would hold the last one


def _checker(where: str, limit: int | None) -> Callable[[int], None]:
    def check(total: int) -> None:
        if limit is not None and total > limit:
            raise Damaged(where, f"{total} bytes, where at most {limit} belong")

    return check


async def _whole(body: Any, size: int) -> bytes:  # noqa: ANN401 - aiobotocore has no types
    """Read a body of so many bytes to where it stays: the pieces that it comes in, joined, would be in memory twice."""
    data = io.BytesIO(bytes(min(size, RANGE_BYTES)))  # more only if it comes: the size is what the server says
    while piece := await body.read(_STEP):
        data.write(piece)
    if data.tell() != size:
        raise Truncated
    return data.getvalue()


async def _read(
    connection: Connection, place: Place, asked: str, check_size: Callable[[int], None]
) -> tuple[bytes, int]:
    """Return a blob, or a range of it, and how many bytes the whole has, which is checked before the body is read."""
    ranged = {"Range": asked} if asked else {}

    async def once(client: Any) -> tuple[bytes, int]:  # noqa: ANN401 - aiobotocore makes its clients at run time
        answer = await client.get_object(**place, **ranged)
        async with answer["Body"] as body:
            check_answer("get_object", answer, ranged=bool(asked))
            expected = int(answer["ContentLength"])
            total = int(answer["ContentRange"].rpartition("/")[2]) if "ContentRange" in answer else expected
            check_size(total)
            return await _whole(body, expected), total

    try:
        return await connection.attempt(once)
    except Exception as error:
        if code_of(error) in MISSING:
            raise KeyError(place["Key"]) from None
        if code_of(error) in RANGE:
            found = await connection.request("head_object", **place)
            check_size(int(found["ContentLength"]))
            return b"", int(found["ContentLength"])
        raise
