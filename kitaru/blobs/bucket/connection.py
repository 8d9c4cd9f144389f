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
from typing import TYPE_CHECKING, Any, TypeVar

import s3fs  # type: ignore[import-untyped]  # it has no types
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # as above
from botocore.utils import parse_timestamp  # type: ignore[import-untyped]  # as above

from kitaru.blobs.bucket.refusals import FAILURES, check_answer, explain, tries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

T = TypeVar("T")

CONNECT_S, READ_S = 5, 30
AT_ONCE = 32
"""Connections at most."""
PATIENCE_S = 0.1


class Connection:
    """A client of one bucket, safe between threads and in forked children.

    Args:
        where: how the bucket is called in messages.
        options: `endpoint-url`, `profile`, `region`.
        patience_s: how long the first pause is before a request is made again; each further one is three times as long.
        random_bytes: spreads those pauses, so that many clients do not come back at once.
    """

    def __init__(
        self,
        where: str,
        options: Mapping[str, str],
        patience_s: float = PATIENCE_S,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.where = where
        self._options = options
        self._patience_s = patience_s
        self._random_bytes = random_bytes
        self._systems: dict[int, Any] = {}

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

    async def request(self, name: str, **arguments: object) -> dict[str, Any]:
        """Make a request whose answer is read whole, again where that helps."""

        async def once(client: Any) -> dict[str, Any]:  # noqa: ANN401 - aiobotocore makes its clients at run time
            answer: dict[str, Any] = await getattr(client, name)(**arguments)
            check_answer(name, answer)
            return answer

        return await self.attempt(once)

    async def attempt(self, once: Callable[[Any], Awaitable[T]]) -> T:
        """Do something with the client; again after what passes by itself, and after pauses that grow."""
        made = 0
        while True:
            made += 1
            try:
                return await once(await self._system().set_session())
            except FAILURES as error:
                if made >= tries(error):
                    raise
            await asyncio.sleep(self._patience_s * 3 ** (made - 1) * (0.5 + self._random_bytes(1)[0] / 256))

    def _system(self) -> Any:  # noqa: ANN401 - s3fs has no types
        pid = os.getpid()
        found = self._systems.get(pid)
        return found or self._systems.setdefault(pid, _make(self._options))


def _make(options: Mapping[str, str]) -> Any:  # noqa: ANN401 - s3fs has no types
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
            "connect_timeout": CONNECT_S,
            "read_timeout": READ_S,
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
