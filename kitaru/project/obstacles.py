"""Why a queued invocation could not be begun now, as far as that can be told without executing anything.

Owns: what is looked at, and in which order: where the name leads, whether that may be executed, whether it takes the
inputs, and last the limits of the flow, which mend themselves. Whether its code can be imported, or its environment
built, only a worker finds out. Begins nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError
from kitaru.project.flow_limits import Limits, flow_limits
from kitaru.runtime.entry import startable_entry
from kitaru.runtime.invoking import checked_inputs
from kitaru.runtime.trusting import check_trusted

if TYPE_CHECKING:
    from kitaru.project.project import Project
    from kitaru.project.routing import Choice
    from kitaru.store.invocations import Invocation


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps an invocation from being begun.

    Attributes:
        why: what is wrong with what, in a line.
        hint: what to type, or where to look.
    """

    why: str
    hint: str


class Obstacles:
    """What stands in the way of invocations; each version and limit is looked at once for all of them.

    Args:
        project: whose queue.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._versions: dict[str, tuple[dict[str, Any], KitaruError | None]] = {}
        self._full: dict[str, Obstacle | None] = {}

    def of(self, invocation: Invocation) -> Obstacle | None:
        """Return what stands in the way of an invocation that nobody has begun; None where nothing is known to."""
        try:
            self._check(invocation)
        except KitaruError as error:
            return Obstacle(error.message, error.hint)
        flow = invocation.flow
        if flow not in self._full:
            self._full[flow] = self._limit_of(flow)
        return self._full[flow]

    def _check(self, invocation: Invocation) -> None:
        project = self._project
        choice = project.choose(invocation.target, invocation.key or invocation.run)
        if choice.version.id not in self._versions:
            self._versions[choice.version.id] = self._looked_at(choice)
        version, wrong = self._versions[choice.version.id]
        if wrong is not None:
            raise wrong
        inputs = project.values.decoder((), opaque=True).decode(invocation.inputs)
        checked_inputs(choice.name, version.get("inputs"), inputs if isinstance(inputs, dict) else {}, text=False)

    def _looked_at(self, choice: Choice) -> tuple[dict[str, Any], KitaruError | None]:
        try:
            check_trusted(self._project.repo, choice.flow, choice.version.id, choice.version.n)
            version = self._project.version(choice.version_json)
            startable_entry(choice.name, version)
        except KitaruError as error:
            return {}, error
        return version, None

    def _limit_of(self, flow: str) -> Obstacle | None:
        project = self._project
        try:
            why = Limits(project.repo, flow_limits(project.config)).why_not(flow, project.services.clock_us())
        except KitaruError as error:
            return Obstacle(error.message, error.hint)
        return Obstacle(f"no further run of {flow} for now: {why}", _where(flow)) if why else None


def _where(flow: str) -> str:
    return f"[flows.{flow}] in .kitaru/config.toml"
