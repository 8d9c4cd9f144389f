"""An async call that the body awaits: decided where it is made, executed once it is awaited.

Owns: the way from making such a call to its value. What a decision is, `runtime.calls` knows; what executes it is
`runtime.loop_carrier`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kitaru.runtime.execution import Execution, patience_s
from kitaru.runtime.failures import is_called_off
from kitaru.runtime.live_call import Asked
from kitaru.runtime.loop_carrier import apart, start
from kitaru.runtime.scopes import current_scope, scope_here
from kitaru.runtime.stopping import RunStopped
from kitaru.runtime.syncing import durable, ended

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from kitaru.model.history import CallView
    from kitaru.runtime.decorators import Checkpoint
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.scopes import Scope


def call_async(
    engine: Engine, checkpoint: Checkpoint[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Coroutine[Any, Any, Any]:
    """Make a call of an async checkpoint: its place is settled here, where it is made; it executes once it is awaited.

    What goes wrong is raised when it is awaited, as by any coroutine.
    """
    try:
        engine.check_latch()
        scope = scope_here(engine.scope)
        asked = Asked(engine, checkpoint, args, kwargs, scope)
        found = engine.calls.decide(asked)
        asked.objects = engine.shelf.share(asked.objects)
        return _awaited(engine, asked, found)
    except (Exception, RunStopped) as error:
        return _raising(error)


async def _raising(error: BaseException) -> Any:  # noqa: ANN401 - never returns
    raise error


async def _awaited(engine: Engine, asked: Asked, found: CallView | Execution) -> Any:  # noqa: ANN401 - what the function returns
    if not isinstance(found, Execution):
        if asked.unsynced:
            await _written(engine)
        if not is_called_off(found):
            return engine.results.recorded(found, _deciding(asked.scope))
        await asyncio.sleep(patience_s(engine.results.tell_recorded(found)))
        found = engine.calls.again(asked, found)
    slots = engine.calls.slots(asked.checkpoint)
    if slots is None:
        value = await _guarded(found)
    else:
        await _in_line(slots.take)
        try:
            value = await _guarded(found)
        finally:
            slots.give()
    scope = _deciding(asked.scope)
    if scope is not None:
        engine.results.show(scope, found.record)
    return value


def _deciding(scope: Scope) -> Scope | None:
    """Return the scope that a call was made in, where it is awaited there, too."""
    return scope if current_scope.get() is scope else None


async def _in_line(take: Callable[[Callable[[], None]], None]) -> None:
    """Wait for a place."""
    loop = asyncio.get_running_loop()
    mine = loop.create_future()

    def ready() -> None:
        loop.call_soon_threadsafe(_settle_once, mine)

    take(ready)
    await mine


def _settle_once(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _guarded(execution: Execution) -> Any:  # noqa: ANN401 - what the function returns
    """Execute a call in a task of its own: the code around may be cancelled, and the call still ends in order.

    Where the run has stopped, a cancellation from around (a task group whose other task waits for an answer) does not
    reach the call: it ends, and is recorded.
    """
    task = start(execution)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        if not execution.engine.has_stopped:
            execution.active.called_off = True
            task.cancel()
        await ended(task)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it as lost
        raise
    return task.result()


async def _written(engine: Engine) -> None:
    """Return when what was recorded is durable; who cancels this does not wait for it."""
    task = apart(engine, durable(engine))
    await asyncio.wait({task})
    task.result()
