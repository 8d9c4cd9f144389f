"""Who carries a question to a model and back: this thread, or an event loop. Decides nothing; `asking` does.

Owns: the order of the steps, where pieces of text go, how time passes between two requests, and which transport is used
(tests give their own).
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from kitaru.llm.replies import Answer, Failure
from kitaru.llm.wire import Wire
from kitaru.runtime.context import current_engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kitaru.llm.asking import Asking
    from kitaru.llm.replies import Transport

transport: Transport = Wire()
"""What carries requests in this process; `kitaru.testing.scripted_model` puts its own here."""

NAP_S = 0.2
"""How long a pause on an event loop goes on before it looks whether the run has stopped."""


def carry(asking: Asking) -> Iterator[str]:
    """Ask until there is a reply; yield pieces of text where it is streamed.

    Raises:
        ModelError, UnknownSecret: there will be none.
    """
    while asking.reply is None:
        try:
            with contextlib.closing(transport.ask(asking.request())) as parts:  # type: ignore[type-var]  # a generator
                for part in parts:
                    if isinstance(part, Answer):
                        asking.answered(part)
                    else:
                        asking.gave()
                        yield part
        except Failure as failure:
            _pause(_wait_for(asking, failure))


async def carry_async(asking: Asking) -> AsyncIterator[str]:
    """Do the same on an event loop."""
    while asking.reply is None:
        try:
            async with contextlib.aclosing(transport.ask_async(asking.request())) as parts:  # type: ignore[type-var]  # as above
                async for part in parts:
                    if isinstance(part, Answer):
                        asking.answered(part)
                    else:
                        asking.gave()
                        yield part
        except Failure as failure:
            await _pause_async(_wait_for(asking, failure))


def _wait_for(asking: Asking, failure: Failure) -> int:
    """Return the microseconds until the next request; raises what the failure comes to."""
    error: BaseException
    try:
        return asking.failed(failure)
    except Exception as found:
        error = found
    raise error from None  # a provider's exception may hold anything


def _pause(delay_us: int) -> None:
    """Let time pass; raises `RunStopped` where the run stops meanwhile."""
    engine = current_engine.get()
    if not delay_us:
        return
    if engine is not None:
        engine.pause(delay_us)
    else:
        time.sleep(delay_us / 1_000_000)


async def _pause_async(delay_us: int) -> None:
    import asyncio

    engine = current_engine.get()
    left = delay_us / 1_000_000
    if engine is not None:
        left = engine.services.delay(left)
    while left > 0:
        await asyncio.sleep(min(left, NAP_S))
        left -= NAP_S
        if engine is not None:
            engine.check_latch()
