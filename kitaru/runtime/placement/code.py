"""Naming a checkpoint's function for another process, and finding it there.

Owns: what can be found by its name, and that only the code is called which the run has loaded. How modules are
imported is `runtime.loading`.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.errors import CodeUnloadable, NotCheckpointable
from kitaru.runtime.bytecode import Bytecode
from kitaru.runtime.decorators import Checkpoint
from kitaru.runtime.derived import Derived
from kitaru.runtime.entry import Entry
from kitaru.runtime.importing import Recorded, session
from kitaru.runtime.loading import load_object, loaded_object
from kitaru.runtime.names import MAIN, relative
from kitaru.runtime.placement.protocol import Function
from kitaru.runtime.sources import entry_of

if TYPE_CHECKING:
    from collections.abc import Callable


def function_of(checkpoint: Checkpoint[..., Any], runtime: str, root: Path, version: str) -> Function:
    """Return where another process finds a checkpoint's function.

    Args:
        checkpoint: whose function.
        runtime: name of the runtime that is to call it, for the error.
        root: the project's directory.
        version: id of the flow version that executes.

    Raises:
        NotCheckpointable: no other process can find it.
    """
    fn = inspect.unwrap(checkpoint.fn)
    if "<" in fn.__qualname__:
        raise NotCheckpointable(
            f"checkpoint {checkpoint.name} is {fn.__qualname__}, which no other process can find by its name",
            hint=f'define it with `def` at the top level of its file, or leave out runtime="{runtime}"',
        )
    entry = entry_of(fn, root)
    if entry.module == MAIN:
        raise NotCheckpointable(
            f"checkpoint {checkpoint.name} was typed in an interactive session, which no other process can import",
            hint="move it to a file of the project and import it from there",
        )
    recorded = session.recorded
    cache = recorded.bytecode.kept.cache if recorded is not None else None
    return Function(
        entry.module,
        entry.qualname,
        entry.file if recorded is None else relative(fn.__code__.co_filename, recorded.directory) or entry.file,
        entry.path,
        checkpoint.code,
        version,
        str(root),
        recorded=None if recorded is None else str(recorded.directory),
        recorded_files=() if recorded is None else tuple(sorted(recorded.files)),
        cache=None if cache is None else str(cache),
        sys_path=tuple(sys.path),
    )


def find_function(function: Function) -> Callable[..., Any]:
    """Return the function that a job names, imported as a resume would import it.

    Raises:
        CodeUnloadable: it cannot be imported, is not there, or is not the code that the run has loaded.
    """
    entry = Entry(function.module, function.qualname, function.file, function.path)
    there = _checkpoint(loaded_object(entry))
    if there is not None and there.code == function.code:
        return there.fn
    found = _checkpoint(load_object(entry, Path(function.root), _recorded(function)))
    if found is None:
        raise CodeUnloadable(
            f"{function.module} has no function {function.qualname} at its top level",
            hint="a checkpoint that is executed in another process is found by its name: define it with `def` there",
        )
    if found.code != function.code:
        raise CodeUnloadable(
            f"{function.file or function.module}: {function.qualname} is not the code that the run began with",
            hint="it was edited meanwhile: kitaru resume carries the run on with the code as it is now",
        )
    return found.fn


def _checkpoint(found: object) -> Checkpoint[..., Any] | None:
    if isinstance(found, Checkpoint):
        return found
    return Checkpoint(found) if inspect.isfunction(found) else None


def _recorded(function: Function) -> Recorded | None:
    if function.recorded is None:
        return None
    tree = Path(function.recorded)
    paths = [*(tree if p == "." else tree / p for p in function.path), tree]
    kept = Derived(Path(function.cache) if function.cache is not None else None)
    return Recorded(tree, function.recorded_files, paths, bytecode=Bytecode(kept))
