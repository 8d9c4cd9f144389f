"""Who carries an executing call through its steps: the thread that made it or one of the pool.

Owns: the order of the steps, and what waits between them. Records and decides nothing: `runtime.execution` does.
On an event loop, `runtime.loop_carrier` carries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.runtime.context import active_call

if TYPE_CHECKING:
    from kitaru.runtime.execution import Execution


def carry(execution: Execution) -> Any:  # noqa: ANN401 - what the function returns
    """Execute a call to its end, on this thread; an async function has an event loop of its own meanwhile."""
    if not execution.asked.checkpoint.is_async:
        return carry_inline(execution)
    import asyncio

    from kitaru.runtime.loop_carrier import carry_async

    return asyncio.run(carry_async(execution))


def carry_inline(execution: Execution) -> Any:  # noqa: ANN401 - what the function returns
    """Execute a call to its end, on this thread, and return its value.

    Raises:
        RunStopped: the run stops.
        BaseException: what the function raised, where it is not attempted again.
    """
    engine, early_us = execution.engine, execution.early_us
    if early_us:
        engine.pause(early_us)
    while True:
        active = execution.begin()
        token = active_call.set(active)
        try:
            value = execution.run()
        except BaseException as error:
            failure, delay = execution.raised(error)
            if delay is None:
                if failure is error:
                    raise  # as it is: `from` would mark it, and it is recorded without the mark
                raise failure from error
        else:
            execution.succeed()
            return value
        finally:
            active_call.reset(token)
        engine.pause(delay)
