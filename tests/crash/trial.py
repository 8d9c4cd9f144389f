"""What a worker is made to suffer: death or Ctrl-C at a chosen system call.

`TRIAL` in its environment is `KIND:MOMENT:N`: the signal KIND (`KILL`, `INT`, `TERM`) reaches the worker `before` or
`after` the N-th call that writes. With `COUNT` set, how many there were is written to that file at the end.
"""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path
from typing import Any

from kitaru.blobs.files import OsFiles

CALLS = ("open", "pwrite", "fsync", "fdatasync", "ftruncate", "fchmod", "link", "unlink", "mkdir", "rmdir", "utime")


class Trial:
    """Counts the system calls that write, and strikes at one of them."""

    def __init__(self, text: str) -> None:
        kind, self.moment, number = text.split(":")
        self.signal = getattr(signal, f"SIG{kind}")
        self.number = int(number)
        self.count = 0
        for name in CALLS:
            setattr(OsFiles, name, staticmethod(self._wrapped(getattr(OsFiles, name))))

    def _wrapped(self, call: Any) -> Any:
        @functools.wraps(call)
        def counted(*args: Any) -> Any:
            self.count += 1
            number = self.count
            self._strike("before", number)
            try:
                return call(*args)
            finally:
                self._strike("after", number)

        return counted

    def _strike(self, moment: str, number: int) -> None:
        if number == self.number and moment == self.moment:
            os.kill(os.getpid(), self.signal)


def command(words: list[str]) -> int:
    """Be `kitaru WORDS`, under the trial that the environment orders."""
    from kitaru.cli import main

    trial = Trial(os.environ.get("TRIAL", "KILL:never:0"))
    code = main(words)
    if "COUNT" in os.environ:
        Path(os.environ["COUNT"]).write_text(str(trial.count))
    return code
