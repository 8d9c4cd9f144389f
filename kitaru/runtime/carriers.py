"""Who carries an executing call through its steps: the thread that made it, one of the pool, an event loop.

Owns: the order of the steps, and what waits between them. Records and decides nothing: `runtime.execution` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.runtime.context import active_call
from kitaru.runtime.stopping import RunStopped

if TYPE_CHECKING:
    from kitaru.runtime.execution import Execution


def carry_inline(execution: Execution) -> Any:  # noqa: ANN401 - what the function returns
    """Execute a call to its end, on this thread, and return its value.

    Raises:
        RunStopped: the run stops.
        BaseException: what the function raised, where it is not attempted again.
    """
    engine = execution.engine
    while True:
        active = execution.begin()
        token = active_call.set(active)
        try:
            value = execution.run()
        except (RunStopped, GeneratorExit):
            execution.leave()
            raise
        except KeyboardInterrupt:
            execution.leave()
            raise engine.stop(engine.interrupted()) from None
        except BaseException as error:
            delay = execution.fail(error)
            if delay is None:
                raise
        else:
            execution.succeed()
            return value
        finally:
            active_call.reset(token)
        engine.pause(delay)
