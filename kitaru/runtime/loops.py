"""Event loops: an async body, async calls, and commits whose sync does not hold up the loop.

Owns: the loop that an async flow executes on, the scopes of its tasks, and the async carrier. Records and decides
nothing: the steps are those of `runtime.execution`, here as on a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import signal
import threading
from typing import TYPE_CHECKING, Any

from kitaru.errors import CallTimeout
from kitaru.runtime.context import active_call, current_engine
from kitaru.runtime.execution import Execution, patience_s
from kitaru.runtime.failures import is_called_off
from kitaru.runtime.options import INLINE
from kitaru.runtime.parking import count_threads
from kitaru.runtime.pool import Pool
from kitaru.runtime.scopes import current_scope, scope_here, task_name
from kitaru.runtime.stopping import RunStopped
from kitaru.runtime.syncing import durable, ended, on_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from kitaru.model.history import CallView
    from kitaru.runtime.decorators import Checkpoint
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.futures import CallFuture
    from kitaru.runtime.live_call import Asked
    from kitaru.runtime.scopes import Scope
    from kitaru.runtime.submitting import Job

# -- a body ----------------------------------------------------------------------------------------------------------


def run_body(engine: Engine, body: Callable[[], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401 - what the flow returns
    """Execute an async body to its end, on a loop of its own; on this thread, unless that has a loop already."""
    if asyncio._get_running_loop() is None:
        return _run(engine, body)
    found: list[Any] = []
    context = contextvars.copy_context()

    def work() -> None:
        try:
            found.append((context.run(_run, engine, body), None))
        except BaseException as error:
            found.append((None, error))

    thread = threading.Thread(target=work, name=f"kitaru-loop-{engine.run}")
    thread.start()
    thread.join()
    value, error = found[0]
    if error is not None:
        raise error
    return value


def _run(engine: Engine, body: Callable[[], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401 - as above
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        main = asyncio.Task(_main(engine, body), loop=loop)
        loop.set_task_factory(_numbered)
        count_threads(engine, loop)
        engine.on_stop.append(lambda: _soon(loop, main.cancel))  # it may wait for a task that the stop has ended
        with _interrupts(engine):
            try:
                return loop.run_until_complete(main)
            except KeyboardInterrupt:
                _leave_threads(loop)
                raise


def _leave_threads(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop be closed without waiting for the threads that it has begun."""
    from concurrent.futures import ThreadPoolExecutor

    loop.set_default_executor(ThreadPoolExecutor(1))


def _soon(loop: asyncio.AbstractEventLoop, work: Callable[[], object]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is over, and so is what was to be told
        loop.call_soon_threadsafe(work)


async def _main(engine: Engine, body: Callable[[], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401 - as above
    engine.scope.task = asyncio.current_task()
    try:
        return await body()
    except BaseException:
        engine.tell_leaving()
        raise
    finally:
        if not engine.left_at_once:  # a second Ctrl-C may come while the first is told of
            pool = Pool(1, f"kitaru-drain-{engine.run}")
            await ended(on_thread(pool, engine.drain), engine)
            pool.close()
            for task in list(_carried(engine)):
                await ended(task, engine)


class _interrupts:
    """Ctrl-C on an async body: the first one stops the run, the second one is immediate."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._installed = False

    def __enter__(self) -> None:
        on_main = threading.current_thread() is threading.main_thread()
        if on_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)
            self._installed = True

    def _interrupt(self, *_: object) -> None:
        if self._engine.has_stopped:
            self._engine.left_at_once = True
            raise KeyboardInterrupt
        self._engine.interrupt()

    def __exit__(self, *_: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _numbered(loop: asyncio.AbstractEventLoop, coroutine: Any, **given: Any) -> asyncio.Task[Any]:  # noqa: ANN401 - as asyncio calls a task factory
    """Make a task, with a scope that is counted now, when it is made: whichever task of several runs first."""
    engine = current_engine.get()
    if engine is None or active_call.get() is not None or given.get("context") is not None:
        return asyncio.Task(coroutine, loop=loop, **given)
    scope = scope_here(engine.scope).child(task_name(coroutine))
    context = contextvars.copy_context()
    context.run(current_scope.set, scope)
    task = scope.task = asyncio.Task(coroutine, loop=loop, **{**given, "context": context})
    return task


# -- a call ----------------------------------------------------------------------------------------------------------


def call_async(
    engine: Engine, checkpoint: Checkpoint[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Coroutine[Any, Any, Any]:
    """Make a call of an async checkpoint: its place is settled here, where it is made; it executes once it is awaited.

    What goes wrong is raised when it is awaited, as by any coroutine.
    """
    from kitaru.runtime.live_call import Asked

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
    task = _start(execution)
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


def _carried(engine: Engine) -> set[asyncio.Task[Any]]:
    tasks: set[asyncio.Task[Any]] = engine.tasks
    return tasks


async def _written(engine: Engine) -> None:
    """Return when what was recorded is durable; who cancels this does not wait for it."""
    task = _apart(engine, durable(engine))
    await asyncio.wait({task})
    task.result()


def _start(execution: Execution) -> asyncio.Task[Any]:
    """Carry a call by a task that is no line of work of the body's."""
    return _apart(execution.engine, carry_async(execution))


def _apart(engine: Engine, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Do something in a task of ours, which the body waits for at its end; it is not counted among the body's tasks."""
    task = asyncio.Task(work, loop=asyncio.get_running_loop())
    tasks = _carried(engine)
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
    working = on_thread(execution.engine.submitter.pool, lambda: context.run(execution.run))
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


# -- futures -----------------------------------------------------------------------------------------------------------


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
    task = job.context.copy().run(_start, job.execution)
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
