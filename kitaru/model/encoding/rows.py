"""Long lists of dicts or models, such as message histories, that begin as one before: its chunks are taken over.

Owns: what of the last such lists is kept, and how a list is told to begin as another: by comparing the content of its
elements, never by identity. What content is, `contents` says.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from kitaru.model.encoding import contents
from kitaru.model.encoding.refusal import Refused
from kitaru.model.encoding.wire import CHUNK_MIN, SPLIT_MIN, cuts, head, varint

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.model.encoding.state import State

LEAST = 128
"""Shorter lists are encoded faster than they are compared."""

_KEPT_LISTS = 8
_KEPT_SIZE = 16 << 20
_FEWEST = SPLIT_MIN // CHUNK_MIN + 1  # chunks that are, together, too long not to be cut

Entry = tuple[bytes, int]


class _Rows(NamedTuple):
    """A list seen before: its tag, which kind of elements it has, the content of each, its chunks but the last.

    `ends` and `sizes` are of its beginning up to the end of each chunk: elements, and bytes of content.
    """

    tag: bytes
    kind: object
    parts: list[object]
    ends: list[int]
    entries: list[Entry]
    sizes: list[int]

    def begins(self, other: _Rows) -> bool:
        """Tell whether this list is the beginning of another, or all of it."""
        return self.tag == other.tag and self.kind == other.kind and self.parts == other.parts[: len(self.parts)]

    def shared(self, parts: list[object]) -> int:
        """Return how many chunks are those of a list with this content."""
        size = min(len(parts), len(self.parts))
        if parts[:size] == self.parts[:size]:
            return bisect_right(self.ends, size)
        start = 0
        for count, end in enumerate(self.ends):
            if parts[start:end] != self.parts[start:end]:
                return count
            start = end
        return len(self.ends)


_recent: list[_Rows] = []


def sequence(
    tag: bytes,
    value: Any,  # noqa: ANN401 - a list or tuple
    state: State,
    depth: int,
    elements: Callable[[Any], list[bytes]],
) -> bytes:
    """Return the item of a list or tuple of at least LEAST elements.

    Args:
        tag: of the list or tuple.
        value: the list or tuple.
        state: the encoding in progress.
        depth: of the list or tuple.
        elements: encodes the elements of a part of it.
    """
    found = contents.of_list(value, state, depth)
    if found is None:
        return state.sequence(tag, elements(value))
    known = _beginning(tag, *found, state)
    start = known.ends[-1] if known.ends else 0
    rest = value[start:]
    try:
        items = elements(rest)
    except Refused:
        return state.sequence(tag, elements(value))  # which tells the right place
    ranges = list(cuts(items))
    if not known.ends and (len(ranges) == 1 or sum(map(len, items)) <= SPLIT_MIN):
        return state.sequence(tag, items)
    for first, end in ranges:
        chunk = state.refer(head(tag, end - first) + b"".join(items[first:end]))
        known.entries.append((chunk[1:] + varint(end - first), end - first))
        known.ends.append(start + end)
        size = sum(map(contents.size, known.parts[start + first : start + end]))
        known.sizes.append((known.sizes or [0])[-1] + size)
    item = state.item(state.concatenation(tag, known.entries))
    known.entries.pop()
    known.ends.pop()  # the end of a list is no cut
    if contents.are(rest, known.kind, known.parts[start:], state):  # else another thread has changed it meanwhile
        _remember(known)
    return item


def _beginning(tag: bytes, kind: object, parts: list[object], state: State) -> _Rows:
    """Return a new list with this content, with the chunks at its beginning that are known from another."""
    for rows in reversed(_recent):
        if rows.tag == tag and rows.kind == kind and rows.parts[0] == parts[0]:
            count = rows.shared(parts)
            if count >= _FEWEST and state.has(tuple(entry[:32].hex() for entry, _ in rows.entries[:count])):
                state.again += rows.sizes[count - 1]
                return _Rows(tag, kind, parts, rows.ends[:count], rows.entries[:count], rows.sizes[:count])
    return _Rows(tag, kind, parts, [], [], [])


def _remember(made: _Rows) -> None:
    """Keep a list in place of one that it continues. Threads may meet here: a list lost only costs time."""
    if made.sizes[-1] > _KEPT_SIZE or any(made.begins(rows) for rows in _recent):
        return
    _recent[:] = [*(rows for rows in _recent if not rows.begins(made)), made][-_KEPT_LISTS:]
