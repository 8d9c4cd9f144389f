"""What user code calls in a flow's body, typed: questions, and values of other runs.

Owns: the signatures. What they do is the runtime's and the project's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar, overload

from kitaru.errors import UnknownCall
from kitaru.runtime.asking import UNSET, asked
from kitaru.runtime.context import current_engine, require_engine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Unpack

T = TypeVar("T")


class _Options(TypedDict, Generic[T], total=False):
    """What a wait takes besides its schema; T is the type of its answer."""

    metadata: Mapping[str, Any] | None
    timeout: float | timedelta | str
    deadline: datetime | timedelta | float | str | None
    default: T
    show: Any


_BoolOptions = _Options[bool]


@overload
def wait(name: str | None = ..., question: str | None = ..., **options: Unpack[_BoolOptions]) -> bool: ...
@overload
def wait(
    name: str | None = ..., question: str | None = ..., *, schema: type[T], **options: Unpack[_Options[T]]
) -> T: ...
@overload
def wait(
    name: str | None = ...,
    question: str | None = ...,
    *,
    schema: Any,  # noqa: ANN401 - Literal, list[X]
    **options: Unpack[_Options[Any]],
) -> Any: ...  # noqa: ANN401 - as above
@overload
def wait(
    name: str | None = ..., question: str | None = ..., *, choices: Sequence[T], **options: Unpack[_Options[T]]
) -> T: ...
def wait(
    name: str | None = None,
    question: str | None = None,
    *,
    schema: Any = UNSET,
    choices: Sequence[Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    timeout: float | timedelta | str = 0,
    deadline: datetime | timedelta | float | str | None = None,
    default: Any = UNSET,
    show: Any = UNSET,
) -> Any:
    """Return a person's answer; until there is one the run stops here and the process is let go.

    The answer is bound to this question, its schema and what is shown: where one of them changes, it is a new wait.
    `finally` blocks run at every stop. In async code `wait_async` blocks one branch only.

    Args:
        name: what it is called in `kitaru answer RUN NAME VALUE`; `answer` by default.
        question: what is asked; markdown.
        schema: any type that pydantic validates: bool (the default), int, str, Literal, Enum, a dataclass, a model,
            lists of these.
        choices: instead, the texts or integers of which one is the answer.
        metadata: shown with the question.
        timeout: how long this process stays for an answer before it lets go: seconds, a timedelta, or "5m". Not where a
            terminal asks for the answer itself.
        deadline: until when it may be answered: a moment with a time zone, or a time from when it is first asked, as of
            `timeout`. It is fixed then. It takes effect when something executes the run: `kitaru work`, a resume.
        default: the answer that it has once the deadline has passed; without one, `WaitExpired` is raised then.
        show: what a reviewer is to see: the label of a call (`"draft"`, `"fetch#2"`), a name given to `kitaru.save`, or
            a value; a list of these, or a dict of labels of your own to values. By default, the last call's output.

    Raises:
        WaitOutsideFlow: no run executes here.
        WaitInsideCheckpoint: a checkpoint cannot stop half-way.
        WaitExpired: nobody answered before the deadline.
        UsageError: the type has no JSON schema, or another argument cannot be.
    """
    engine = require_engine("kitaru.wait()")
    return engine.waits.wait(
        asked(
            name,
            question,
            schema,
            choices=choices,
            metadata=metadata,
            timeout=timeout,
            deadline=deadline,
            default=default,
            show=show,
        )
    )


@overload
async def wait_async(name: str | None = ..., question: str | None = ..., **options: Unpack[_BoolOptions]) -> bool: ...
@overload
async def wait_async(
    name: str | None = ..., question: str | None = ..., *, schema: type[T], **options: Unpack[_Options[T]]
) -> T: ...
@overload
async def wait_async(
    name: str | None = ...,
    question: str | None = ...,
    *,
    schema: Any,  # noqa: ANN401 - as above
    **options: Unpack[_Options[Any]],
) -> Any: ...  # noqa: ANN401 - as above
@overload
async def wait_async(
    name: str | None = ..., question: str | None = ..., *, choices: Sequence[T], **options: Unpack[_Options[T]]
) -> T: ...
async def wait_async(
    name: str | None = None, question: str | None = None, *, schema: Any = UNSET, **options: Any
) -> Any:
    """Return a person's answer as `wait` does, while other tasks of the event loop go on.

    The run stops once all of them are blocked and the calls in flight are recorded. Arguments and errors are the same.
    """
    engine = require_engine("kitaru.wait_async()")
    return await engine.waits.wait_async(asked(name, question, schema, **options))


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
