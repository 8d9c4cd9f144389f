"""Runs executed by a process of their own: to outlive this one, or in the environment that their version recorded.

Owns: which Python executes them, and their handles. What is said between the processes is `project.apart`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from kitaru.errors import EnvironmentUnbuildable
from kitaru.project.executing import Executing
from kitaru.project.places import STORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.project.environments import Environment
    from kitaru.runtime.handle import FlowHandle
    from kitaru.runtime.invoking import EnvironmentNeeded
    from kitaru.runtime.prepared import Options


class Spawning(Executing):
    """A project as its runs are executed by processes of their own."""

    def environment(self, version: Mapping[str, Any]) -> Environment:
        """Return the environment that a flow version, as `version` returns it, was recorded with, built or not.

        Raises:
            EnvironmentUnbuildable: the version does not say, or the store has no disk to build it on.
        """
        from kitaru.project.environments import environment_of

        cache = self.repo.blobs.scratch
        if cache is None:
            raise EnvironmentUnbuildable("a store in memory has no place for an environment", hint="--env current")
        return environment_of(version, cache)

    def _apart(self, asked: Mapping[str, Any], environment: Environment | None, *, outlives: bool) -> FlowHandle[Any]:
        """Start a run in a process of its own."""
        from kitaru.project.apart import ApartHandle, start_apart
        from kitaru.runtime.keys import StartedBefore

        python = str(environment.build(self.root)) if environment is not None else sys.executable
        request = {**asked, "root": str(self.root)}
        process, begun = start_apart(python, self.root / STORE, request, outlives=outlives)
        run = begun.run
        if begun.existing:
            before = StartedBefore(run)
            before.other_inputs = begun.other_inputs
            return self._finished(run, before)
        return ApartHandle(run, process, lambda: self._told(run), lambda: self.state(run).status)

    def _resume_there(
        self, run: str, needed: EnvironmentNeeded, options: Options, *, offline: bool, foreground: bool
    ) -> FlowHandle[Any]:
        """Carry a run on in the environment that its version was recorded with."""
        from kitaru.project.apart import ApartHandle, resume_apart

        python = self.environment(needed.version).build(self.root)
        process = resume_apart(python, self.root, run, options, offline=offline)
        handle: FlowHandle[Any] = ApartHandle(run, process, lambda: self._told(run), lambda: self.state(run).status)
        if foreground:
            handle.join()
        return handle
