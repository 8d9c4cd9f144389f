"""Requests to a bucket: sessions, credentials, timeouts, and what is tried again.

Owns: one s3fs instance for each process (they are not to be used in a forked child), of which only the session and its
client are used: s3fs's own reads and writes go through caches, and its exclusive create is none for an empty body.
Threads call `run`; the requests are made on fsspec's own thread, many at once.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import s3fs  # type: ignore[import-untyped]  # it has no types
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # as above
from botocore.utils import parse_timestamp  # type: ignore[import-untyped]  # as above

from kitaru.blobs.bucket.refusals import FAILURES, check_answer, explain, tries
from kitaru.blobs.bucket.room import Room
from kitaru.blobs.bucket.window import body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from kitaru.blobs.contract import Piece

T = TypeVar("T")

AT_ONCE = 32
"""Connections at most."""
IN_MEMORY = 96 << 20
"""So many bytes of bodies that are large."""


class Limits(NamedTuple):
    """How long is waited, in seconds: nothing that a network or a server does makes anybody wait for ever.

    `connect` is for a connection; `answer` for the next bytes of an answer, once the request is sent; `request` for all
    of one request, a part of a large upload over a slow line among them; `pause` the first pause before a request is
    made again, each further one being three times as long.
    """

    connect: float = 5
    answer: float = 30
    request: float = 600
    pause: float = 0.1


LIMITS = Limits()


class Connection:
    """A client of one bucket, safe between threads and in forked children.

    Args:
        where: how the bucket is called in messages.
        options: `endpoint-url`, `profile`, `region`.
        limits: how long is waited for what.
        random_bytes: spreads the pauses, so that many clients do not come back at once.
    """

    def __init__(
        self,
        where: str,
        options: Mapping[str, str],
        limits: Limits = LIMITS,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.where = where
        self._options = options
        self._limits = limits
        self._random_bytes = random_bytes
        self._systems: dict[int, Any] = {}
        self._rooms: dict[int, Room] = {}

    @property
    def room(self) -> Room:
        """For what is sent and received; a forked child has its own, for nobody gives back there what others took."""
        pid = os.getpid()
        return self._rooms.get(pid) or self._rooms.setdefault(pid, Room(IN_MEMORY))

    def run(self, doing: str, work: Coroutine[Any, Any, T]) -> T:
        """Wait for what is done on the other thread, and raise its failures as errors for a user."""
        return self.result(doing, self.start(work))

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin something on the other thread."""
        return asyncio.run_coroutine_threadsafe(work, self._system().loop)

    def result(self, doing: str, future: Future[T]) -> T:
        """Wait for what was begun; `doing` is what it was to do, for a message."""
        try:
            return future.result()
        except FAILURES as error:
            raise explain(error, doing, self.where) from error
        finally:
            future.cancel()  # where the wait itself was ended, by Ctrl-C

    async def request(self, name: str, content: Piece | None = None, /, **arguments: object) -> dict[str, Any]:
        """Make a request, with some content in its body, whose answer is read whole; again where that helps."""

        async def once(client: Any) -> dict[str, Any]:  # noqa: ANN401 - aiobotocore makes its clients at run time
            sent = {} if content is None else {"Body": body(content)}
            answer: dict[str, Any] = await getattr(client, name)(**arguments, **sent)
            check_answer(name, answer)
            return answer

        return await self.attempt(once)

    async def attempt(self, once: Callable[[Any], Awaitable[T]]) -> T:
        """Do something with the client; again after what passes by itself, and after pauses that grow."""
        made = 0
        while True:
            made += 1
            try:
                client = await self._system().set_session()
                async with asyncio.timeout(self._limits.request):
                    return await once(client)
            except FAILURES as error:
                if made >= tries(error):
                    raise
            await asyncio.sleep(self._limits.pause * 3 ** (made - 1) * (0.5 + self._random_bytes(1)[0] / 256))

    def _system(self) -> Any:  # noqa: ANN401 - s3fs has no types
        pid = os.getpid()
        found = self._systems.get(pid)
        return found or self._systems.setdefault(pid, _make(self._options, self._limits))


def _make(options: Mapping[str, str], limits: Limits) -> Any:  # noqa: ANN401 - s3fs has no types
    endpoint = options.get("endpoint-url")
    client = {"region_name": options["region"]} if "region" in options else {}
    if endpoint and endpoint.startswith("http://"):
        client["verify"] = False  # type: ignore[assignment]  # nothing to verify; spares the loading of certificates
    session = AioSession(profile=options.get("profile"))
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
    return s3fs.S3FileSystem(
        session=session,
        endpoint_url=endpoint,
        client_kwargs=client,
        config_kwargs={
            "connect_timeout": limits.connect,
            "read_timeout": limits.answer,
            "max_pool_connections": AT_ONCE,
            "retries": {"total_max_attempts": 1},  # `attempt` sees more: bodies cut short, conflicts
            # Content is named by its SHA-256, and not every server knows the checksums that are newer than that.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        },
        skip_instance_cache=True,
        use_listings_cache=False,
    )


def _moment(text: Any) -> datetime:  # noqa: ANN401 - whatever a server wrote
    """Return a time as listings have it; botocore's own parser takes half of the time of a listing."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        found = parse_timestamp(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
