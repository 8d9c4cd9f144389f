"""Lines typed on a terminal, as long as they are wanted.

Owns: reading them while looking, now and then, whether something else has settled the matter. Knows nothing of waits.
"""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

from kitaru.cli.page import has_colour
from kitaru.cli.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_EVERY_S = 0.3


class NoLongerWanted(Exception):
    """What was asked for is settled."""


class Keyboard:
    """The terminal that stdin is.

    Args:
        is_over: tells whether what is asked for is settled.
    """

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over
        self._typed = b""

    def line(self, prompt: str) -> str:
        """Return the next line, without spaces around it.

        Raises:
            NoLongerWanted: it is settled otherwise.
            EOFError, KeyboardInterrupt: whoever sits there does not want to.
        """
        text = clean(prompt)
        sys.stderr.write(f"\x1b[1m{text}\x1b[0m" if has_colour(sys.stderr) else text)
        sys.stderr.flush()
        while b"\n" not in self._typed:
            self._more()
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode("utf-8", "replace").strip()

    def _more(self) -> None:
        fd = sys.stdin.fileno()
        while not select.select([fd], [], [], LOOK_EVERY_S)[0]:
            if self._is_over():
                raise NoLongerWanted
        read = os.read(fd, 65536)
        if not read:
            raise EOFError
        self._typed += read
