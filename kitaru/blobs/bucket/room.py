"""How many bytes of what is large are in memory at once, whatever the number of threads that ask.

Owns: waiting for room, and giving it back. Whoever waits holds none, so nobody waits for ever.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Room:
    """So many bytes, shared by threads.

    Args:
        size: of all of it.
    """

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._changed = Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Have room for so many bytes, once there is; for all there are, where more are asked for."""
        wanted = min(size, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            self.give_back(wanted)

    def tried(self, size: int) -> bool:
        """Take room if there is some right now; `give_back` is to be called then."""
        with self._changed:
            if self._free < size:
                return False
            self._free -= size
            return True

    def give_back(self, size: int) -> None:
        """Give back what was taken."""
        with self._changed:
            self._free += size
            self._changed.notify_all()
