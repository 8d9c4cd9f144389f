"""Beginning the run of one queued invocation, in this process, and executing it to its end or to a stop.

Owns: what is done with an invocation that was taken, and the process that does this for one and ends. Who takes it, and
when, is decided elsewhere.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from kitaru.errors import KitaruError, RunHeld
from kitaru.project.flow_limits import Limits, flow_limits
from kitaru.store.invocations import read_invocation

if TYPE_CHECKING:
    from kitaru.blobs.contract import Lock
    from kitaru.project.project import Project
    from kitaru.runtime.ending import Outcome
    from kitaru.runtime.events import Event
    from kitaru.store.invocations import Invocation


def begin(project: Project, run: str) -> Outcome:
    """Start the run of an invocation and execute it on this thread.

    Args:
        run: the invocation's id, which is the run's.

    Returns:
        How it ended. Where another run had been started for its key, the invocation is cancelled, and this is how that
        one stands.

    Raises:
        RunHeld: it was begun before, or its flow has no room for another run now.
        KitaruError: it cannot be started; nothing was begun.
    """
    invocation = read_invocation(project.repo.blobs, run)
    outcome = _Beginning(project, invocation).execute()
    if outcome.existing and outcome.run == run:
        raise RunHeld(f"run {run} was begun by another worker", hint=f"kitaru log {run}")
    if outcome.existing:
        reason = f"run {outcome.run} was started for its key before"
        project.repo.put_cancellation(run, by=project.services.user, at=project.services.clock_us(), reason=reason)
    return outcome


class _Beginning:
    """One invocation being begun; the gate of its flow, if it has one, is held until the run has."""

    def __init__(self, project: Project, invocation: Invocation) -> None:
        self._project, self._invocation = project, invocation
        self._gate: Lock | None = None

    def execute(self) -> Outcome:
        project, invocation = self._project, self._invocation
        limits = Limits(project.repo, flow_limits(project.config))
        self._gate = limits.enter(invocation.flow, project.services.clock_us())
        try:
            handle = project.invoke(
                invocation.target,
                self._inputs(),
                key=invocation.key,
                tags=invocation.tags,
                run=invocation.run,
                env=invocation.env,
                invocation=self._told(),
                observer=self._let_others_in,
                foreground=True,
            )
        finally:
            self._leave()
        outcome = handle.outcome
        if outcome is None:
            raise RuntimeError("a run in the foreground came back without an outcome")
        return outcome

    def _inputs(self) -> dict[str, Any]:
        decoded = self._project.values.decoder((), opaque=True).decode(self._invocation.inputs)
        return decoded if isinstance(decoded, dict) else {}

    def _told(self) -> dict[str, Any]:
        """Return what the run records of its invocation."""
        told: dict[str, Any] = {"invocation": self._invocation.id}
        if self._invocation.schedule:
            told |= {"schedule": self._invocation.schedule, "tick": self._invocation.tick}
        return told

    def _let_others_in(self, _: Event) -> None:
        """The first that a run tells is that it has begun."""
        self._leave()

    def _leave(self) -> None:
        if self._gate is not None:
            self._gate.release()
            self._gate = None


def begin_and_tell(project: Project, run: str) -> int:
    """As `begin`; say on stderr what went wrong, and return the exit status that tells how it ended."""
    try:
        outcome = begin(project, run)
    except KitaruError as error:
        sys.stderr.write(told_of(error))
        return error.exit_code
    return outcome.error.exit_code if outcome.error is not None else 0


def told_of(error: KitaruError) -> str:
    """Return an error as the command line tells it."""
    return f"error: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else "")


def main(words: list[str]) -> int:
    """Begin the invocation that the words name: the project's directory and the id."""
    import signal

    from kitaru.project.project import Project

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it puts in the background ignore it
    root, run = words
    try:
        project = Project.open(root)
    except KitaruError as error:
        sys.stderr.write(told_of(error))
        return error.exit_code
    return begin_and_tell(project, run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
