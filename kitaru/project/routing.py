"""Which version an invocation gets, and why.

Owns: how a name such as `FLOW@stable` leads to one version, and what is recorded of the choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kitaru.project.reading import Reading
from kitaru.project.targets import LATEST, find_version, parse_flow_target

if TYPE_CHECKING:
    from kitaru.store.repository import VersionName

STABLE = "stable"
"""The route that a flow alone stands for."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that an invocation gets.

    Attributes:
        target: as it was typed.
        why: `named`, `latest`, `route`, or `weight` where the route goes to several.
    """

    target: str
    flow: str
    version: VersionName
    why: str

    @property
    def name(self) -> str:
        """The version as a user names it."""
        return f"{self.flow}@v{self.version.n}"

    @property
    def version_json(self) -> dict[str, Any]:
        """The version as a record names it."""
        return {"n": self.version.n, "id": self.version.id}

    def to_json(self) -> dict[str, Any]:
        """Return what a run records of the choice."""
        return {"target": self.target, "version": self.version_json, "why": self.why}


class Routing(Reading):
    """A project as names lead to versions."""

    def choose(self, target: str, key: str) -> Choice:
        """Return the version that a name leads to.

        Args:
            target: `FLOW`, `FLOW@v3`, `FLOW@latest` or `FLOW@ROUTE`.
            key: what decides where a route goes to several versions: always the same for one key.

        Raises:
            FlowNotFound: nothing is recorded of the flow.
            UsageError: it has no such version or route.
        """
        wanted = parse_flow_target(target)
        return Choice(target, wanted.flow, find_version(self.repo, wanted), "named" if wanted.n else LATEST)
