"""What user code records besides results: `kitaru.log()`, `kitaru.save()`, `kitaru.load()` within a run.

Owns: these verbs for code that executes. Reading another run's artifacts is the project's.
"""

from __future__ import annotations

from typing import Any

from kitaru.errors import UnknownCall, UsageError
from kitaru.model.records import Note
from kitaru.runtime.context import active_call, current_engine, require_engine


def log(**metadata: object) -> None:
    """Attach named values to the call that executes here, or to the run where none does; shown by `kitaru show`.

    Args:
        metadata: anything that can be stored; a later value of a name replaces an earlier one of the same call.

    Raises:
        WaitOutsideFlow: no run executes here.
        Unencodable: a value cannot be stored.
    """
    engine = require_engine("kitaru.log()")
    call = active_call.get()
    if call is not None:
        for name, value in metadata.items():
            engine.values.encode(value, (), name)  # refused here, and not when the call has come to its end
        call.keep_metadata(metadata)
        return
    engine.check_latch()
    encoded = engine.values.encode(metadata, engine.writer.known, "kitaru.log()")
    noted = (n for n in engine.state.notes if n.about == "metadata" and n.data["value"] == encoded.id)
    if next(noted, None) is None:  # the body runs again at every resume; the same words are noted once
        engine.commit(Note(engine.now(), "metadata", {"value": encoded.id}), encoded.objects)


def save(name: str, value: object) -> None:
    """Keep a value as an artifact of the call that executes here, under a name.

    Raises:
        UsageError: no checkpoint executes here; the flow's body keeps values by returning them from checkpoints.
        Unencodable: the value cannot be stored.
    """
    engine, call = current_engine.get(), active_call.get()
    if engine is None or call is None:
        raise UsageError(
            f"kitaru.save({name!r}) was used where no checkpoint of a run executes",
            hint="save from inside a checkpoint",
        )
    call.keep_saved(name, engine.values.encode(value, engine.writer.known, name))


def load_saved(name: str) -> Any:  # noqa: ANN401 - whatever was saved
    """Return the artifact of this name that this run saved last, by the calls made so far.

    Raises:
        WaitOutsideFlow: no run executes here.
        UnknownCall: no finished call of this run saved it.
    """
    engine = require_engine(f"kitaru.load({name!r})")
    engine.check_latch()
    saved = engine.results.saved
    if name not in saved:
        raise UnknownCall(engine.run, name, sorted(saved))
    return engine.values.decoder(engine.plan.runs).decode(saved[name])
