"""The event loop that an async flow executes on.

Owns: that loop, Ctrl-C on it, the scopes of its tasks, and what it waits for at its end. Calls on it are
`runtime.awaited`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import signal
import threading
from typing import TYPE_CHECKING, Any

from kitaru.runtime.context import active_call, current_engine
from kitaru.runtime.parking import count_threads
from kitaru.runtime.pool import Pool
from kitaru.runtime.scopes import current_scope, scope_here, task_name
from kitaru.runtime.syncing import ended, on_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from kitaru.runtime.engine import Engine


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
            for task in list(engine.on_loops.tasks):
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
