"""The carrier of calls on an event loop: an async call goes through its steps in a task of its own.

Owns: the order of the steps there, what waits between them, and how a task's end reaches a future. Records and decides
nothing: the steps are those of `runtime.execution`, here as on a thread (`runtime.carriers`).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from typing import TYPE_CHECKING, Any

from kitaru.errors import CallTimeout
from kitaru.runtime.context import active_call
from kitaru.runtime.options import INLINE
from kitaru.runtime.syncing import durable, ended, on_thread

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from kitaru.runtime.engine import Engine
    from kitaru.runtime.execution import Execution
    from kitaru.runtime.futures import CallFuture
    from kitaru.runtime.job import Job


def start(execution: Execution) -> asyncio.Task[Any]:
    """Carry a call by a task that is no line of work of the body's."""
    return apart(execution.engine, carry_async(execution))


def apart(engine: Engine, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Do something in a task of ours, which the body waits for at its end; it is not counted among the body's tasks."""
    task = asyncio.Task(work, loop=asyncio.get_running_loop())
    tasks = engine.on_loops.tasks
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


async def carry_async(execution: Execution) -> Any:  # noqa: ANN401 - what the function returns
    """Execute a call to its end, on this loop, in a task that nothing else runs in; raises as `carry_inline`."""
    engine, loop = execution.engine, asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that executes
    if early_us := execution.early_us:
        await _pause(engine, early_us)
    while True:
        active = execution.begin()
        active_call.set(active)
        active.cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            value = await _run_async(execution)
        except BaseException as error:
            failure, delay = execution.raised(error, sync=False)
            await durable(engine)
            if delay is None:
                if failure is error:
                    raise  # as it is: `from` would mark it, and it is recorded without the mark
                raise failure from error
        else:
            execution.succeed(sync=False)
            await durable(engine)
            if active.called_off and not engine.has_stopped:  # too late for the call, but the code around has gone on
                execution.begin()
                execution.fail(execution.called_off(), again=False, sync=False)
                await durable(engine)
            return value
        try:
            await _pause(engine, delay)
        except asyncio.CancelledError:
            if active.called_off:  # between two attempts
                execution.begin()
                execution.fail(execution.called_off(), again=False, sync=False)
                await durable(engine)
            raise


async def _run_async(execution: Execution) -> Any:  # noqa: ANN401 - what the function returns
    if execution.options.runtime != INLINE:
        return await _run_elsewhere(execution)
    timeout = execution.options.timeout
    asked = execution.asked
    if timeout is None:
        value = await asked.checkpoint.fn(*asked.positional, **asked.kwargs)
    else:
        try:
            async with asyncio.timeout(timeout) as limit:
                value = await asked.checkpoint.fn(*asked.positional, **asked.kwargs)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise CallTimeout(f"{execution.label} took longer than its timeout of {timeout:g} s") from error
    execution.returned(value)
    return value


async def _run_elsewhere(execution: Execution) -> Any:  # noqa: ANN401 - as above
    """Wait, on a thread, for a runtime that blocks."""
    context = contextvars.copy_context()
    working = on_thread(execution.engine.submitter.open.pool, lambda: context.run(execution.run))
    try:
        await asyncio.wait({working})
    except asyncio.CancelledError:
        cancel = execution.active.cancel
        if cancel is not None:
            cancel()
        await ended(working)
        working.exception()  # looked at: what the call was cancelled for counts
        raise
    return working.result()


async def _pause(engine: Engine, delay_us: int) -> None:
    """Let time pass, unless the run stops."""
    engine.check_latch()
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(stopped.set)

    engine.on_stop.append(wake)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(engine.services.delay(delay_us / 1_000_000)):
                await stopped.wait()
    finally:
        engine.on_stop.remove(wake)
    engine.check_latch()


def carry_on_loop(job: Job) -> None:
    """Execute a submitted async call on the loop it was submitted on, from any thread."""
    loop = job.future.loop
    assert loop is not None  # noqa: S101 - that is how it came here
    if asyncio._get_running_loop() is loop:
        _launch(job)
    else:
        loop.call_soon_threadsafe(_launch, job)


def _launch(job: Job) -> None:
    if not job.starts():
        return
    assert job.execution is not None  # noqa: S101 - decided before it was launched
    task = job.context.copy().run(start, job.execution)
    task.add_done_callback(lambda done: _deliver(done, job))


def _deliver(done: asyncio.Task[Any], job: Job) -> None:
    error = asyncio.CancelledError() if done.cancelled() else done.exception()
    if error is None:
        job.ended(done.result())
    else:
        job.failed(error)


def settle(task: asyncio.Task[Any], future: CallFuture[Any]) -> None:
    """Give a future what a task comes to."""

    def tell(done: asyncio.Task[Any]) -> None:
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is None:
            future.set_result(done.result())
        else:
            future.set_exception(error)

    task.add_done_callback(tell)
