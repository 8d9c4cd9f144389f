"""What user code calls in a flow's body, typed: questions, and values of other runs.

Owns: the signatures. What they do is the runtime's and the project's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from kitaru.errors import UnknownCall
from kitaru.runtime.context import current_engine, require_engine

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


@overload
def wait(name: str = ..., question: str = ..., *, metadata: Mapping[str, Any] | None = ...) -> bool: ...
@overload
def wait(name: str = ..., question: str = ..., *, schema: type[T], metadata: Mapping[str, Any] | None = ...) -> T: ...
@overload
def wait(name: str = ..., question: str = ..., *, schema: Any, metadata: Mapping[str, Any] | None = ...) -> Any: ...  # noqa: ANN401 - Literal, list[X]
def wait(
    name: str = "answer",
    question: str = "",
    *,
    schema: Any = bool,
    metadata: Mapping[str, Any] | None = None,
) -> Any:
    """Return a person's answer; until there is one the run stops here and the process is let go.

    The answer is bound to this question, its schema and the last call's output: where one of them changes, it is a
    new wait. `finally` blocks run at every stop.

    Args:
        name: what it is called in `kitaru answer RUN NAME VALUE`.
        question: what is asked; markdown.
        schema: any type that pydantic validates: bool, int, str, Literal, Enum, a dataclass, a model, lists of these.
        metadata: shown with the question.

    Raises:
        WaitOutsideFlow: no run executes here.
        WaitInsideCheckpoint: a checkpoint cannot stop half-way.
        UsageError: the type has no JSON schema.
    """
    return require_engine("kitaru.wait()").waits.wait(name, question, schema, metadata)


def load(source: str, artifact: str | None = None) -> Any:  # noqa: ANN401 - whatever was recorded
    """Return a recorded value.

    Args:
        source: `RUN:call` for a call's output; or, in a run, the name of an artifact that the run saved.
        artifact: for `RUN:call`, the name of an artifact that the call saved, instead of its output.

    Raises:
        UnknownRun, UnknownCall: there is no such run, call or artifact.
        SchemaChanged: a class of the value is not loaded, or no longer fits.
    """
    if ":" not in source and current_engine.get() is not None:
        from kitaru.runtime.artifacts import load_saved

        return load_saved(source)
    from kitaru.project import Project

    project = Project.open()
    state, view = project.find_call(source)
    record = view.record
    found = None if record is None else record.saved.get(artifact) if artifact else record.output
    if found is None:
        saved = sorted(record.saved) if record is not None else []
        raise UnknownCall(state.run, artifact or view.label, saved)
    return project.values.decoder([view.run, state.run]).decode(found)
