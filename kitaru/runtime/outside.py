"""A call that is submitted where no run executes, or inside of a checkpoint: it is made at once.

Owns: such a call. Records nothing, and knows no run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.runtime.futures import CallFuture, filled

if TYPE_CHECKING:
    from kitaru.runtime.decorators import Checkpoint
    from kitaru.runtime.job import Arguments


def outside_run(checkpoint: Checkpoint[..., Any], given: Arguments) -> CallFuture[Any]:
    """Call a function where no run executes, or inside of a checkpoint, at once; its result is there already.

    An async function is executed by a task of the running loop, if there is one.
    """
    future: CallFuture[Any] = CallFuture(checkpoint.name)
    future.set_running_or_notify_cancel()
    if checkpoint.is_async:
        future.executes_here()
    try:
        args = tuple(filled(v) for v in given[0])
        kwargs = {n: filled(v) for n, v in given[1].items()}
        if future.loop is not None:
            from kitaru.runtime.loop_carrier import settle

            settle(future.loop.create_task(checkpoint.fn(*args, **kwargs)), future)
        else:
            future.set_result(checkpoint.run_to_end(args, kwargs))
    except Exception as error:
        future.set_exception(error)
    return future
