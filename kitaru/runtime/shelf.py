"""Encoded arguments of calls that are in line or at work at once: what several of them share is held once.

Owns: which objects were seen lately. Knows nothing of calls.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

Object = tuple[str, bytes]

ROOM_BYTES = 64 << 20
"""How much is looked through for what is there already; what was not met for longest is forgotten first."""


class Shelf:
    """The objects that were put lately, by id.

    A hundred calls with one context in their arguments each have it encoded, and would each hold it until the first of
    them has it recorded.
    """

    def __init__(self, room_bytes: int = ROOM_BYTES) -> None:
        self._room_bytes = room_bytes
        self._seen: OrderedDict[str, Object] = OrderedDict()
        self._lock = threading.Lock()

    def share(self, objects: list[Object]) -> list[Object]:
        """Return the same objects, with those that are here already in place of their equals; from any thread."""
        if not objects:
            return objects
        with self._lock:
            shared = [self._share(each) for each in objects]
            while self._room_bytes < 0:
                _, (_, data) = self._seen.popitem(last=False)
                self._room_bytes += len(data)
        return shared

    def _share(self, each: Object) -> Object:
        object_id, data = each
        found = self._seen.setdefault(object_id, each)
        if found is each:
            self._room_bytes -= len(data)
        else:
            self._seen.move_to_end(object_id)
        return found
