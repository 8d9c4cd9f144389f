"""Progress of a push or pull on stderr: a bar with bytes and rate on a terminal, nothing elsewhere.

Owns: what is on the screen while something is copied. rich is imported only where there is a terminal to draw on, and
only once there is something to copy.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kitaru.cli.page import has_colour

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from rich.progress import Progress

    from kitaru.store.sync.results import Tell


@contextmanager
def transferring(title: str, *, quiet: bool, stream: TextIO | None = None) -> Iterator[Tell]:
    """Yield what is told of a transfer, and shows it.

    Args:
        title: what is drawn before the bar: `pushing`.
        quiet: show nothing.
        stream: where a terminal may be; stderr by default.
    """
    bar = Bar(title, stream or sys.stderr)
    if quiet or not has_colour(bar.stream):
        yield lambda event, **fields: None
        return
    try:
        yield bar
    finally:
        bar.close()


class Bar:
    """How far a transfer is: files, bytes, rate, and how long it may still take."""

    def __init__(self, title: str, stream: TextIO) -> None:
        self.stream = stream
        self._title = title
        self._files = self._of_files = self._bytes = self._of_bytes = 0
        self._progress: Progress | None = None
        self._task: Any = None

    def __call__(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - as each event has them
        """Take an event of a transfer: `total`, `done` or `part`."""
        if event == "total":
            self._of_files += fields["files"]
            self._of_bytes += fields["bytes"]
        else:
            self._files += event == "done"
            self._bytes += fields["bytes"]
        self._draw()

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._progress is not None:
            self._progress.stop()

    def _draw(self) -> None:
        progress = self._progress or self._begin()
        progress.update(
            self._task,
            completed=self._bytes if self._of_bytes else self._files,
            total=max(self._of_bytes, self._bytes) if self._of_bytes else self._of_files,
            files=f"{self._files}/{self._of_files} files",
        )

    def _begin(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TransferSpeedColumn as RateColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[files]}", markup=False),
            DownloadColumn(),
            RateColumn(),
            TimeRemainingColumn(compact=True),
            console=Console(file=self.stream, highlight=False, markup=False, emoji=False),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(self._title, total=None, files="")
        self._progress.start()
        return self._progress
