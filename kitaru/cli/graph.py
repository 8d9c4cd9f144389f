"""The graph column of `kitaru log`: which run branched from which.

Owns: lanes and the strokes between them, as `git log --graph` draws them, for histories where each entry has at most
one parent. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Graph:
    """Draws one entry after the other, newest first; a lane waits for the parent of what was drawn in it.

    Args:
        listed: every id that will be drawn; a parent that is not among them is not drawn towards.
    """

    def __init__(self, listed: Iterable[str]) -> None:
        self._listed = frozenset(listed)
        self._drawn: set[str] = set()
        self._lanes: list[str | None] = []
        self._last: int | None = None

    def add(self, entry: str, parent: str = "") -> tuple[list[str], str, list[str]]:
        """Return lines of strokes above an entry, the strokes left of it, and lines of strokes below it."""
        awaited = entry in self._lanes
        column = self._column(entry)
        # two stars in one column mean nothing, for runs without a source are all drawn in the first: join them
        above = ["".join(self._strokes()).rstrip()] if awaited and self._last == column else []
        self._last = column
        head = self._row(column)
        self._drawn.add(entry)
        if parent not in self._listed or parent in self._drawn:
            self._free(column)
            return above, head, []
        if parent in self._lanes:
            joined = sorted((self._lanes.index(parent), column))
            self._lanes[column] = parent
            self._last = None
            return above, head, [self._join(*joined)]
        self._lanes[column] = parent
        return above, head, []

    def _column(self, entry: str) -> int:
        if entry in self._lanes:
            return self._lanes.index(entry)
        if None in self._lanes:
            column = self._lanes.index(None)
            self._lanes[column] = entry
            return column
        self._lanes.append(entry)
        return len(self._lanes) - 1

    def _row(self, column: int) -> str:
        return " ".join("*" if i == column else "|" if lane else " " for i, lane in enumerate(self._lanes))

    def _join(self, left: int, right: int) -> str:
        """Draw lane `right` running into lane `left`, and free it."""
        strokes = list(self._strokes())
        for at in range(2 * left + 1, 2 * right - 1):
            if strokes[at] == " ":
                strokes[at] = "_"
        strokes[2 * right - 1], strokes[2 * right] = "/", " "
        self._free(right)
        return "".join(strokes).rstrip()

    def _strokes(self) -> Iterator[str]:
        for lane in self._lanes:
            yield "|" if lane else " "
            yield " "

    def _free(self, column: int) -> None:
        self._lanes[column] = None
        while self._lanes and self._lanes[-1] is None:
            self._lanes.pop()
