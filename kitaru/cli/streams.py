"""The standard streams of this process, as every command may rely on them: open, and able to say anything.

Owns: what a stream is when a shell, a cron or a service manager closed it, and what becomes of text that its encoding
lacks. Knows nothing of what is said.
"""

from __future__ import annotations

import io
import os
import sys
from typing import IO

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def settle() -> None:
    """Open what is closed, on nothing, and have stdout escape what its encoding lacks, as stderr does.

    The numbers 0, 1 and 2 are taken before anything else is opened: a file of the store that got one of them would get
    what other programs print, too.
    """
    for number, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            setattr(sys, name, _nothing(number, mode))
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def let_go() -> None:
    """Have stdout lead nowhere from now on, also for what Python still writes when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _nothing(number: int, mode: str) -> IO[str]:
    null = os.open(os.devnull, os.O_RDWR)  # the lowest that is free, as always
    os.set_inheritable(null, null == number)
    return os.fdopen(null, mode, encoding="utf-8", errors="backslashreplace")
