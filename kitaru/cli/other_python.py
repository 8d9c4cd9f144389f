"""Going on as the same command in another Python: the one of an environment that a flow version recorded.

Owns: how this process becomes that one, which shows, asks and is stopped as this one would be, and what it is told of
the run. Which Python it is, and what is typed there, the verb says.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_SAME_RUN = "KITARU_INVOKED_RUN"
"""The environment variable with the run's id, which decides the version where a route has weights."""


def handed_run() -> str:
    """Return the id that the run is to have, chosen before this process became what it is; empty where none was."""
    return os.environ.pop(_SAME_RUN, "")


def become(python: Path, words: Sequence[str], run: str, documents: Mapping[str, object]) -> NoReturn:
    """Replace this process by the same command in another Python.

    Args:
        python: its interpreter, which has this Kitaru.
        words: the command as it would be typed after `kitaru`; a `-` among its options reads stdin.
        run: the id that the run is to have.
        documents: what was read from stdin, so that it can be read once more.
    """
    from kitaru.project.apart import environ_of

    if "-" in words[: words.index("--")]:
        with tempfile.TemporaryFile() as again:
            again.write(json.dumps(documents).encode())
            again.seek(0)
            os.dup2(again.fileno(), 0)
    sys.stdout.flush()
    sys.stderr.flush()
    environ = {**environ_of(str(python)), _SAME_RUN: run}
    os.execve(python, [str(python), "-P", "-m", "kitaru", *words], environ)  # noqa: S606 - built of a trusted version
