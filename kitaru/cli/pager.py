"""The user's pager, as git uses it: for what is more than a screen of a terminal.

Owns: which program it is, and what happens where there is none. What is shown is made harmless by who wrote it.
"""

from __future__ import annotations

import os
import sys

_NOT_THERE = (126, 127)


def browse(text: str) -> None:
    """Show a text on the terminal that stdout is, by `PAGER` or `less`; where there is neither, print it."""
    import subprocess

    command = os.environ.get("PAGER") or "less"
    environ = {"LESS": "FRX", "LV": "-c", **os.environ}
    sys.stdout.flush()
    data = text.encode("utf-8", "replace")
    done = subprocess.run(command, shell=True, input=data, env=environ, check=False)  # noqa: S602 - the user's own words
    if done.returncode in _NOT_THERE:
        sys.stdout.write(text)
