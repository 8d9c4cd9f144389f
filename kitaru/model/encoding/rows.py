"""Long lists of flat dicts, such as message histories, that begin as one encoded before: its chunks are taken over.

Owns: what of the last such lists is kept, and how a list is told to begin as another: by comparing all keys and values,
never by identity. Lists of which a part is mutable, of another type, or a float go the way of all lists.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from kitaru.model.encoding.wire import CHUNK_MIN, SPLIT_MIN, cuts, head, varint

if TYPE_CHECKING:
    from collections.abc import Callable

    from kitaru.model.encoding.state import State

LEAST = 128
"""Shorter lists are encoded faster than they are compared."""

_KEPT_LISTS = 8
_KEPT_SIZE = 16 << 20
_FEWEST = SPLIT_MIN // CHUNK_MIN + 1  # chunks that are, together, too long not to be cut

# Values of the types in one of these are equal only if they are of one type: 1 == True == 1.0 never meet.
_KINDS: tuple[frozenset[type], ...] = (
    frozenset({str, bytes, int, type(None)}),
    frozenset({str, bytes, bool, type(None)}),
)

Flat = tuple[Any, ...]
Entry = tuple[bytes, int]


class _Rows(NamedTuple):
    """A list seen before: its tag, of which types its leaves are, the leaves of each dict, its chunks but the last.

    `ends` and `sizes` are of its beginning up to the end of each chunk: elements, and bytes of texts.
    """

    tag: bytes
    kinds: frozenset[type]
    flats: list[Flat]
    ends: list[int]
    entries: list[Entry]
    sizes: list[int]

    def begins(self, other: _Rows) -> bool:
        """Tell whether this list is the beginning of another, or all of it."""
        return self.tag == other.tag and self.kinds == other.kinds and self.flats == other.flats[: len(self.flats)]

    def shared(self, flats: list[Flat]) -> int:
        """Return how many chunks are those of a list with these leaves."""
        size = min(len(flats), len(self.flats))
        if flats[:size] == self.flats[:size]:
            return bisect_right(self.ends, size)
        start = 0
        for count, end in enumerate(self.ends):
            if flats[start:end] != self.flats[start:end]:
                return count
            start = end
        return len(self.ends)


_recent: list[_Rows] = []


def sequence(tag: bytes, value: Any, state: State, elements: Callable[[Any], list[bytes]]) -> bytes:  # noqa: ANN401
    """Return the item of a list or tuple of at least LEAST elements.

    Args:
        tag: of the list or tuple.
        value: the list or tuple.
        state: the encoding in progress.
        elements: encodes the elements of a part of it.
    """
    found = _flats(value)
    if found is None:
        return state.sequence(tag, elements(value))
    known = _beginning(tag, *found, state)
    start = known.ends[-1] if known.ends else 0
    rest = value[start:]
    items = elements(rest)
    ranges = list(cuts(items))
    if not known.ends and (len(ranges) == 1 or sum(map(len, items)) <= SPLIT_MIN):
        return state.sequence(tag, items)
    for first, end in ranges:
        chunk = state.refer(head(tag, end - first) + b"".join(items[first:end]))
        known.entries.append((chunk[1:] + varint(end - first), end - first))
        known.ends.append(start + end)
        known.sizes.append((known.sizes or [0])[-1] + _size(known.flats[start + first : start + end]))
    item = state.item(state.concatenation(tag, known.entries))
    known.entries.pop()
    known.ends.pop()  # the end of a list is no cut
    if _flats(rest, (known.kinds,)) == (
        known.kinds,
        known.flats[start:],
    ):  # else another thread has changed it meanwhile
        _remember(known)
    return item


def _flats(
    value: Any,  # noqa: ANN401 - a list or tuple
    allowed: tuple[frozenset[type], ...] = _KINDS,
) -> tuple[frozenset[type], list[Flat]] | None:
    """Return of which types the leaves of a list of flat dicts are, and the leaves of each dict; else None."""
    if not set(map(type, value)) <= {dict}:
        return None
    flats = [(*part, *part.values()) for part in value]
    types: set[type] = set(map(type, chain.from_iterable(flats)))
    return next(((kinds, flats) for kinds in allowed if types <= kinds), None)


def _beginning(tag: bytes, kinds: frozenset[type], flats: list[Flat], state: State) -> _Rows:
    """Return a new list with these leaves, with the chunks at its beginning that are known from another."""
    for rows in reversed(_recent):
        if rows.tag == tag and rows.kinds == kinds and rows.flats[0] == flats[0]:
            count = rows.shared(flats)
            if count >= _FEWEST and state.has(tuple(entry[:32].hex() for entry, _ in rows.entries[:count])):
                return _Rows(tag, kinds, flats, rows.ends[:count], rows.entries[:count], rows.sizes[:count])
    return _Rows(tag, kinds, flats, [], [], [])


def _size(flats: list[Flat]) -> int:
    return sum(len(leaf) for leaf in chain.from_iterable(flats) if type(leaf) is str or type(leaf) is bytes)


def _remember(made: _Rows) -> None:
    """Keep a list in place of one that it continues. Threads may meet here: a list lost only costs time."""
    if made.sizes[-1] > _KEPT_SIZE or any(made.begins(rows) for rows in _recent):
        return
    _recent[:] = [*(rows for rows in _recent if not rows.begins(made)), made][-_KEPT_LISTS:]
