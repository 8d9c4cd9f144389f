"""Progress of a push or pull on stderr: a bar with bytes and rate on a terminal, nothing elsewhere.

Owns: what is on the screen while something is copied. rich is imported only where there is a terminal to draw on, and
only once there is something to copy.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kitaru.cli.page import has_colour
from kitaru.cli.text import size

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
    """How far a transfer is: files, bytes and rate; by bytes where it is known how many there are, else by files."""

    def __init__(self, title: str, stream: TextIO) -> None:
        self.stream = stream
        self._title = title
        self._files = self._of_files = self._bytes = self._of_bytes = 0
        self._is_by_bytes = True
        self._progress: Progress | None = None
        self._task: Any = None
        self._began = 0.0

    def __call__(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - as each event has them
        """Take an event of a transfer: `total`, `part` or `done`."""
        if event == "total":
            self._of_files += fields["files"]
            self._of_bytes += fields["bytes"]
            self._is_by_bytes = self._is_by_bytes and fields["bytes"] > 0
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
        done, of = (self._bytes, self._of_bytes) if self._is_by_bytes else (self._files, self._of_files)
        rate = self._bytes / max(progress.get_time() - self._began, 0.1)
        told = f"{self._files}/{max(self._of_files, self._files)} files  {size(self._bytes)}  {size(int(rate))}/s"
        progress.update(self._task, completed=done, total=max(of, done) or None, told=told)

    def _begin(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[told]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=Console(file=self.stream, highlight=False, markup=False, emoji=False),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(self._title, total=None, told="")
        self._began = self._progress.get_time()
        self._progress.start()
        return self._progress
