"""A run carried on by a process of its own, which outlives the one that asked for it.

Owns: starting it, and where its output goes: a file in the store's `tmp/`, for what it did is in the run itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import StoreError
from kitaru.project.places import STORE

if TYPE_CHECKING:
    from pathlib import Path


def resume_detached(root: Path, run: str) -> Path:
    """Start `kitaru resume RUN` in a session of its own, and return the file that its output goes to.

    Args:
        root: the project's directory.
        run: its whole id.

    Raises:
        StoreError: it could not be started.
    """
    import subprocess
    import sys
    import tempfile
    import threading

    words = [sys.executable, "-m", "kitaru", "-C", str(root), "resume", "--no-input", "--", run]
    try:
        (root / STORE / "tmp").mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=root / STORE / "tmp", prefix=f"resume-{run}-", suffix=".log", delete=False
        ) as log:
            process = subprocess.Popen(  # noqa: S603 - this very Python, and an id that named a run
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        threading.Thread(target=process.wait, name=f"resume {run}", daemon=True).start()  # so that no zombie is left
    except OSError as error:
        raise StoreError(
            f"run {run} was not carried on: no process could be started: {error.strerror}", hint=f"kitaru resume {run}"
        ) from error
    return root / STORE / "tmp" / log.name
