"""Which runtime executes a call's function, by the name that its checkpoint gives.

Owns: the registry, and the plain runtime: this process, this thread. Others are looked up when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.errors import BadConfig
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

    def resolve(self, runtime: str) -> Placement:
        """Return what executes there.

        Raises:
            BadConfig: nothing does.
        """
        found = self._known.get(runtime)
        if found is None:
            raise BadConfig(f"there is no runtime {runtime!r}", hint=f"use one of {', '.join(self._known)}")
        return found

    def close(self) -> None:
        """The execution is over."""
