"""What is asked of one execution of a run, and a run that is ready for it.

Owns: the options of an execution, whoever asks for it, and the one way to execute what is prepared. How a run comes to
be prepared is `runtime.runner`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kitaru.runtime.capture import capturing
from kitaru.runtime.sleeping import STAY_US

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kitaru.runtime.decorators import Flow
    from kitaru.runtime.ending import Outcome
    from kitaru.runtime.engine import Engine
    from kitaru.runtime.events import Observer


@dataclass(slots=True)
class Options:
    """How a run is to be executed, this time.

    Attributes:
        on_drift: policy for this execution, and where it starts a run, for the run; or empty.
        as_recorded: run the recorded code (True) or the working tree's (False); None goes on with the kind of code that
            the run recorded with last.
        tags: names to find the run by.
        observer: told what happens, or None.
        cache: take results from the result cache: True wherever a checkpoint does not refuse, False nowhere, None as
            checkpoints and flow say.
        key: start the run once for this key; empty for a run of its own.
        limits: for this run, or from a resume on, as `runtime.limits.given` returns them.
        stay_us: how long a sleep may be for which the process stays.
        prompts: who executes the run asks its questions himself, so that nothing stays for an answer.
        claim: called with a run that is to be carried on once it is locked, and before anything is recorded of it;
            what it raises leaves the run as it was.
        run: the id that a new run is to have, where it was chosen before; empty for one of its own.
        counted: where the execution before was cut short, this one is recorded before it comes to anything, so that
            those can be counted that come to nothing.
        apart: whoever asks can carry a run on in its recorded environment, where it was invoked there.
    """

    on_drift: str = ""
    as_recorded: bool | None = None
    tags: tuple[str, ...] = ()
    observer: Observer | None = None
    cache: bool | None = None
    key: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    stay_us: int = STAY_US
    prompts: bool = False
    claim: Callable[[str], None] | None = None
    run: str = ""
    apart: bool = False
    counted: bool = False


@dataclass(slots=True)
class Prepared:
    """A run that is locked, recorded as begun or resumed, and ready to execute once."""

    engine: Engine
    flow: Flow[Any, Any]
    inputs: dict[str, Any]

    def execute(self) -> Outcome:
        """Run the body to its end or to a stop."""
        with capturing():
            return self.engine.execute(self.body)

    def body(self) -> Any:  # noqa: ANN401 - what the flow returns
        """Execute the flow's function alone; only the engine calls this."""
        if not self.flow.is_async:
            return self.flow.fn(**self.inputs)
        from kitaru.runtime.loops import run_body

        return run_body(self.engine, lambda: self.flow.fn(**self.inputs))
