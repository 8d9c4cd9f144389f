"""Which runtime executes a call's function, by the name that its checkpoint gives.

Owns: the registry, and the plain runtime: this process, this thread. Others are looked up when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.runtime.options import INLINE

if TYPE_CHECKING:
    from kitaru.runtime.execution import Execution, Placement


class Inline:
    """Runs the function on the thread that carries the call."""

    def execute(self, execution: Execution) -> Any:  # noqa: ANN401 - what the function returns
        """Call it."""
        return execution.invoke()


class Placements:
    """The runtimes of one execution of a run."""

    def __init__(self) -> None:
        self._known: dict[str, Placement] = {INLINE: Inline()}

    def add(self, name: str, placement: Placement) -> None:
        """Let `runtime=name` execute there."""
        self._known[name] = placement

    def resolve(self, runtime: Any) -> Placement:  # noqa: ANN401 - a name, or options that know theirs
        """Return what executes there.

        Args:
            runtime: a name, or an object with such as its `runtime`.

        Raises:
            BadConfig: nothing does.
        """
        name = runtime if isinstance(runtime, str) else runtime.runtime
        if name not in self._known:
            from kitaru.runtime.placement.bridge import Elsewhere
            from kitaru.runtime.placement.registry import find

            self._known[name] = Elsewhere(name, find(name))
        return self._known[name]

    def close(self) -> None:
        """The execution is over."""
