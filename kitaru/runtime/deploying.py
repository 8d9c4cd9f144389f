"""Whether a flow's code works from its snapshot alone, as it will where the project is not.

Owns: the fresh process in which that is tried, outside of the project, and what is made of its answer. What is looked
at there is `runtime.alone`. Nothing is recorded here.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.errors import CodeUnloadable, StoreError, UsageError
from kitaru.runtime.alone import ANSWER, CODE, REQUEST, how_to_have
from kitaru.runtime.loading import materialize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.runtime.entry import Entry
    from kitaru.store.repository import VersionName
    from kitaru.store.routes import RouteEntry

TIMEOUT_S = 300.0
"""How long the import of a flow's module may take: some load models."""

MAX_NAMED = 3
_HOME = str(Path(__file__).parents[2])
_BOOT = "import sys; sys.path.append(sys.argv[1]); from kitaru.runtime.alone import main; main(sys.argv[2])"


@dataclass(frozen=True, slots=True)
class Deployed:
    """A version that was deployed.

    Attributes:
        flow: its flow's name.
        version: number, id, and who recorded it when.
        new: whether it was not recorded before.
        route: the entry that sends a route to it, or None.
        notes: what may be missing in it, as far as that could not be told for certain.
    """

    flow: str
    version: VersionName
    new: bool
    route: RouteEntry | None
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.flow}@v{self.version.n}"


def check_deployable(entry: Entry, flow: str) -> None:
    """Return if a flow has code that a version can hold.

    Raises:
        UsageError: it was typed in an interactive session, is outside of the project, or inside a function.
    """
    if entry.file is None:
        raise UsageError(
            f"flow {flow} is in no file of the project, so that no version of it can hold its code",
            hint="move it to a file of the project: kitaru deploy FILE.py:flow",
        )
    if "<locals>" in entry.qualname:
        raise UsageError(
            f"flow {flow} is {entry.qualname}, which nobody can find by its name", hint="define it at the top level"
        )


def check_alone(entry: Entry, files: Mapping[str, bytes], root: Path) -> tuple[str, ...]:
    """Import a flow from its snapshot alone, in a fresh process outside of the project.

    Args:
        entry: where the flow begins.
        files: its snapshot.
        root: the project's directory.

    Returns:
        What may be missing, as far as that could not be told for certain.

    Raises:
        CodeUnloadable: it cannot be imported, or imports something of the project that the snapshot lacks.
        StoreError: the process cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="kitaru-deploy-", ignore_cleanup_errors=True) as made:
        directory = Path(made).resolve()
        materialize(files, directory / CODE)
        request = {"root": str(root), "entry": entry.to_json(), "files": list(files)}
        (directory / REQUEST).write_text(json.dumps(request))
        answer = _ask(directory, root)
    if answer["error"]:
        raise CodeUnloadable(f"{_ALONE}: {answer['error']}", hint=answer["hint"])
    missing = answer["missing"]
    if missing:
        more = [f"and {len(missing) - MAX_NAMED} more"] if len(missing) > MAX_NAMED else []
        told = "; ".join([*(each["told"] for each in missing[:MAX_NAMED]), *more])
        raise CodeUnloadable(f"{_ALONE}: {told}", hint=how_to_have(missing[0]["path"]))
    return tuple(answer["notes"])


_ALONE = "the flow does not work from its snapshot alone"


def _ask(directory: Path, root: Path) -> dict[str, Any]:
    """Have a fresh process do the check; what the flow's code prints on import is kept from the screen."""
    import subprocess

    empty = directory / "empty"
    empty.mkdir()
    words = [sys.executable, "-P", "-c", _BOOT, _HOME, str(directory)]
    with (directory / "output").open("w+b") as output:
        try:
            process = subprocess.Popen(  # noqa: S603 - this very Python, and a directory of our own
                words,
                cwd=empty,
                env={**os.environ, "KITARU_DIR": str(root)},  # so that a flow started on import is told of as such
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            raise StoreError(f"nothing was deployed: no process could be started: {error.strerror}") from error
        try:
            code = process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise CodeUnloadable(f"{_ALONE}: its import took longer than {TIMEOUT_S:.0f} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # also what the flow's module may have started
            process.wait()
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads((directory / ANSWER).read_bytes()))
        output.seek(0)
        last = output.read().decode("utf-8", "replace").strip().splitlines()[-1:]
    raise CodeUnloadable(f"{_ALONE}: its import ended the process (status {code}){''.join(f': {w}' for w in last)}")
