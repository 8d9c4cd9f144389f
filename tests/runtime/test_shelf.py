"""What calls in line hold of their arguments in memory."""

from __future__ import annotations

import asyncio
import threading

from kitaru import checkpoint, flow
from kitaru.runtime.context import current_engine
from kitaru.runtime.shelf import Shelf

CONTEXT = [f"{n:04}" * 2000 for n in range(10)]


def test_equal_objects_are_held_once_and_the_oldest_forgotten():
    shelf = Shelf(room_bytes=10)
    first, again, other, large = ("a", b"12345"), ("a", bytes([49, 50, 51, 52, 53])), ("b", b"67"), ("c", b"1" * 9)
    assert shelf.share([first, other]) == [first, other]
    assert shelf.share([again])[0] is first
    shelf.share([large])  # no room for all three: b goes, which was met before a
    anew = ("b", b"67")
    assert shelf.share([large])[0] is large
    assert shelf.share([anew])[0] is anew


def hold(engine, held):
    """Keep what each call that is decided holds, as long as it is in line."""
    decide = engine.calls.decide

    def deciding(asked):
        held.append(asked)
        return decide(asked)

    engine.calls.decide = deciding


def size_in_memory(held):
    return sum(len(data) for data in {id(data): data for asked in held for _, data in asked.objects}.values())


def test_submitted_calls_share_what_their_arguments_have_in_common(bench):
    held, go, sizes = [], threading.Event(), []

    @checkpoint
    def ask(context, n):
        assert go.wait(10)
        return n

    @flow(max_workers=2)
    def body():
        hold(current_engine.get(), held)
        futures = [ask.submit(CONTEXT, n) for n in range(100)]
        sizes.append(size_in_memory(held))
        go.set()
        return sum(future.result() for future in futures)

    assert bench.run(body).value == 4950
    assert sizes[0] < 2 * sum(map(len, CONTEXT))


def test_async_calls_do_too(bench):
    held, sizes = [], []

    @checkpoint
    async def ask(context, n):
        if n == 99:
            sizes.append(size_in_memory(held))
        return n

    @flow
    async def body():
        hold(current_engine.get(), held)
        return sum(await asyncio.gather(*[ask(CONTEXT, n) for n in range(100)]))

    assert bench.run(body).value == 4950
    assert sizes[0] < 2 * sum(map(len, CONTEXT))
