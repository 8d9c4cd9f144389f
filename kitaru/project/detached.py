"""A run carried on by a process of its own, which outlives the one that asked for it.

Owns: starting it, and where its output goes: a file in the store's `tmp/`, for what it did is in the run itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.blobs.files import private_directory
from kitaru.errors import StoreError
from kitaru.project.places import STORE

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

MAX_TOLD = 2000
"""Characters of what a process wrote that are told of it."""


@dataclass(frozen=True, slots=True)
class Detached:
    """A process that carries a run on.

    Attributes:
        log: the file that its output goes to.
    """

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def told(self) -> str:
        """Return the error that it ended with, or else the end of what it wrote."""
        try:
            text = self.log.read_bytes()[-MAX_TOLD:].decode("utf-8", "replace")
        except OSError:
            text = ""  # `kitaru gc` took it away
        before, error, after = text.rpartition("error: ")
        return (after if error else before or after).strip() or f"its process ended with status {self.process.poll()}"


def resume_detached(root: Path, run: str, *, offline: bool = False) -> Detached:
    """Start `kitaru resume RUN` in a session of its own.

    Args:
        root: the project's directory.
        run: its whole id.
        offline: as of `Project.resume`.

    Raises:
        StoreError: it could not be started.
    """
    import subprocess
    import sys
    import tempfile
    import threading

    words = [sys.executable, "-P", "-m", "kitaru", "-C", str(root), "resume", "--no-input"]
    words += [*(["--offline"] if offline else []), "--", run]
    try:
        private_directory(root / STORE / "tmp")
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
    return Detached(process, root / STORE / "tmp" / log.name)
