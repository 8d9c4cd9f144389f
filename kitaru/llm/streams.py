"""`stream=True`: a reply as an iterator of pieces of text.

Owns: the two iterators. In a flow's body somebody else carries the call, and it is recorded whole even where the
iterator is left early; a call that has its record gives its text in one piece.
"""

from __future__ import annotations

import queue
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from kitaru.llm.asked import Asked, ask, ask_async, in_body, submit
from kitaru.llm.carrying import carry, carry_async

if TYPE_CHECKING:
    from kitaru.llm.questions import Question


class Text(Iterator[str]):
    """A reply as it comes.

    Attributes:
        result: once it is over, what the call returns without `stream=True`: the text, or with tools a `Reply`.
    """

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces = pieces
        self.result: Any = None

    def __next__(self) -> str:
        return next(self._pieces)


class AsyncText(AsyncIterator[str]):
    """A reply as it comes, for `async for`; attributes as of `Text`."""

    def __init__(self, pieces: AsyncIterator[str]) -> None:
        self._pieces = pieces
        self.result: Any = None

    async def __anext__(self) -> str:
        return await anext(self._pieces)


def stream_text(asked: Question) -> Text:
    """Ask, and return the reply as an iterator."""
    found = Text(iter(()))
    found._pieces = _submitted(asked, found) if in_body() else _direct(asked, found)
    return found


def stream_text_async(asked: Question) -> AsyncText:
    """Ask from async code, and return the reply as an async iterator."""
    found = AsyncText(_nothing())
    found._pieces = _submitted_async(asked, found) if in_body() else _direct_async(asked, found)
    return found


async def _nothing() -> AsyncIterator[str]:
    nothing: tuple[str, ...] = ()
    for piece in nothing:
        yield piece


def _text_of(result: Any) -> str:  # noqa: ANN401 - a text or a Reply
    return result if isinstance(result, str) else str(result.text)


def _direct(asked: Question, found: Text) -> Iterator[str]:
    with Asked(asked.messages, asked.request, asked.way, keeps=True) as asking:
        for text in carry(asking.asking):
            yield asking.piece(text)
    found.result = asking.result


async def _direct_async(asked: Question, found: AsyncText) -> AsyncIterator[str]:
    with Asked(asked.messages, asked.request, asked.way, keeps=True) as asking:
        async for text in carry_async(asking.asking):
            yield asking.piece(text)
    found.result = asking.result


def _submitted(asked: Question, found: Text) -> Iterator[str]:
    """Have the call made now, by somebody else, and pass on what comes."""
    pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    asked.way.show = pieces.put
    future = submit(asked, ask)
    future.add_done_callback(lambda _: pieces.put(None))

    def passed_on() -> Iterator[str]:
        came = False
        while (piece := pieces.get()) is not None:
            came = True
            yield piece
        found.result = future.result()
        if not came and (text := _text_of(found.result)):
            yield text

    return passed_on()


def _submitted_async(asked: Question, found: AsyncText) -> AsyncIterator[str]:
    import asyncio

    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    asked.way.show = pieces.put_nowait
    future = submit(asked, ask_async)
    future.add_done_callback(lambda _: loop.call_soon_threadsafe(pieces.put_nowait, None))

    async def passed_on() -> AsyncIterator[str]:
        came = False
        while (piece := await pieces.get()) is not None:
            came = True
            yield piece
        found.result = await future
        if not came and (text := _text_of(found.result)):
            yield text

    return passed_on()
