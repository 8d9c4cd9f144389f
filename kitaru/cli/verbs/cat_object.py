"""`kitaru cat-object`.

`kitaru cat-object --raw ID | sha256sum` prints the id. A large value is a tree of objects, and `--raw` prints its root,
which names the others; the format is told in docs/format.md.

## JSON

`id`, `type` and `value`. JSON is for reading: tuples and sets are lists in it, bytes are base64.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kitaru.cli import complete
from kitaru.cli.options import Output, OutputOpt
from kitaru.cli.page import Page, write_json
from kitaru.cli.value import plain, pretty
from kitaru.errors import UnknownCall, UsageError

if TYPE_CHECKING:
    from kitaru.project import Project


def cat_object(
    object_id: Annotated[
        str,
        typer.Argument(
            metavar="ID|RUN:CALL",
            help="An object's id, or a unique prefix of it; or a call, for its output, or a wait, for its answer.",
            autocompletion=complete.revisions,
        ),
    ],
    *,
    raw: Annotated[bool, typer.Option("--raw", help="The stored bytes themselves, whose SHA-256 is the id.")] = False,
    type_: Annotated[bool, typer.Option("-t", "--type", help="Only the type of the value.")] = False,
    output: OutputOpt = Output.TEXT,
) -> None:
    """Print a stored value, or its bytes."""
    from kitaru.project import Project

    if raw and (type_ or output is Output.JSON):
        raise UsageError("--raw prints bytes, and goes with neither -t nor -o json", hint="kitaru cat-object --raw ID")
    project = Project.open()
    found = _output(project, object_id) if ":" in object_id else project.find_object(object_id)
    if raw:
        sys.stdout.buffer.write(project.raw(found))
        sys.stdout.buffer.flush()
        return
    value = project.value(found)
    if output is Output.JSON:
        write_json({"id": found, "type": type_name(value), "value": plain(value)})
        return
    page = Page()
    page.block(type_name(value) if type_ else pretty(value), "")
    page.write()


def _output(project: Project, revision: str) -> str:
    """Return the id of a call's output, or of a wait's answer.

    Raises:
        UsageError: there is none.
    """
    try:
        state, call = project.find_call(revision)
    except UnknownCall:
        found = project.find_wait(revision)
        if found is None:
            raise
        state, wait = found
        output, label = wait.answer.value if wait.answer else None, wait.label
    else:
        output, label = call.record.output if call.record else None, call.label
    if output is None:
        raise UsageError(f"{label} of run {state.run} has no value", hint=f"kitaru show {state.run}:{label}")
    return output


def type_name(value: object) -> str:
    """Return a value's type as it is written: `dict`, `decimal:Decimal`, `agents.research:Plan`."""
    from kitaru.model.encoding import Opaque, RecordedError, class_name

    if isinstance(value, Opaque | RecordedError):
        return value.class_name
    return class_name(type(value)).removeprefix("builtins:")
