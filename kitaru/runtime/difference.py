"""Where two values differ: the parts that differ, a diff of texts, and both in a few words.

Owns: the walk through both values at once, its bounds, and the wording. Knows nothing of records; it is handed values.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from kitaru.runtime.plain import fields_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHOWN_CHARS = 120
"""A value is shown whole up to this length, and around the first difference beyond it."""

MAX_PARTS = 5
MAX_DIFF_LINES = 20
_MAX_STEPS = 50_000
_MAX_DEPTH = 50
_BEFORE = 40
_COMPARED_LINES = 200  # difflib takes quadratic time on lines that have nothing in common
_LINE_CHARS = 160
MISSING = object()
"""Stands for a part that one of the two values does not have."""


class Part(NamedTuple):
    """An innermost part that differs: its path, and both values, one of them `MISSING` where only one side has it."""

    path: str
    was: Any
    now: Any


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that differ, in order; `more` says that there are others, or that the walk was cut short."""

    found: list[Part]
    more: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs: `short` on one line, `full` on as many as `MAX_DIFF_LINES`; both are the same for small values."""

    short: str
    full: str


def difference(name: str, was: object, now: object) -> Difference:
    """Say where a value differs from what it was.

    Args:
        name: what the value is called; parts are named by their path from it, `name.rules[3]`.
        was, now: any values; only built-in containers, dataclasses, models and `Opaque` are looked into.
    """
    if isinstance(was, str) and isinstance(now, str):
        return _of_texts(name, was, now)
    told = _changed(name, was, now)
    if len(_shown(was)) <= SHOWN_CHARS and len(_shown(now)) <= SHOWN_CHARS:
        return _both(told)
    differing = parts_of(name, was, now, MAX_PARTS)
    if not differing.found:
        return _both(told)
    parts = [_part(*part) for part in differing.found]
    more = ["and more"] if differing.more else []
    return Difference(
        "; ".join([parts[0].short, *(more or (["and more"] if len(parts) > 1 else []))]), _lines(parts, more)
    )


def parts_of(name: str, was: object, now: object, limit: int) -> Parts:
    """Return the innermost parts in which two values differ.

    Args:
        name: what the value is called; it begins each path.
        was, now: any values; only built-in containers, dataclasses, models and `Opaque` are looked into.
        limit: at most so many parts.
    """
    walk = _Walk()
    found = list(islice(walk.parts(name, was, now, 0), limit + 1))
    return Parts(found[:limit], len(found) > limit or walk.cut_short)


def shown(value: object) -> str:
    """Return a value's `repr`, shortened."""
    text = _shown(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 3]}..."


def _lines(parts: list[Difference], more: list[str]) -> str:
    lines = [line for part in parts for line in part.full.splitlines()] + more
    return "\n".join([*lines[:MAX_DIFF_LINES], *(["..."] if len(lines) > MAX_DIFF_LINES else [])])


def _both(text: str) -> Difference:
    return Difference(text, text)


def _part(path: str, was: object, now: object) -> Difference:
    if isinstance(was, str) and isinstance(now, str):
        return _of_texts(path, was, now)
    if was is MISSING:
        return _both(f"{path} is new, {shown(now)}")
    if now is MISSING:
        return _both(f"{path} is gone, it was {shown(was)}")
    return _both(_changed(path, was, now))


def _changed(name: str, was: object, now: object) -> str:
    """Tell both, from shortly before the place where they begin to differ if they are long."""
    old, new = _shown(was), _shown(now)
    if old == new:
        return f"{name} shows the same, {shown(now)}, and was recorded as something else"
    if len(old) <= SHOWN_CHARS and len(new) <= SHOWN_CHARS:
        return f"{name} was {old}, is now {new}"
    start = _first_difference(old, new)
    return f"{name} was {_around(old, start)}, is now {_around(new, start)}"


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # whatever a class of the user's own does
        return f"a {type(value).__name__}, whose text cannot be shown"


# -- texts -------------------------------------------------------------------------------------------------------------


def _of_texts(name: str, was: str, now: str) -> Difference:
    if len(was) <= SHOWN_CHARS and len(now) <= SHOWN_CHARS:
        return _both(f"{name} was {was!r}, is now {now!r}")
    start = _first_difference(was, now)
    old, new = _around(was, start, quoted=True), _around(now, start, quoted=True)
    short = f"{name} differs from character {start + 1} on: was {old}, is now {new}"
    diff = unified(was, now) if "\n" in was or "\n" in now else []
    return Difference(short, "\n".join([f"{name} differs from character {start + 1} on:", *diff]) if diff else short)


def _first_difference(was: str, now: str) -> int:
    """Return how many characters both begin with, found by bisection: comparing slices is quick, a loop is not."""
    low, high = 0, min(len(was), len(now))
    while low < high:
        middle = (low + high + 1) // 2
        if was[low:middle] == now[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _around(text: str, start: int, *, quoted: bool = False) -> str:
    """Return the text around a place; `quoted` shows it as a literal."""
    begin = max(0, start - _BEFORE)
    end = begin + SHOWN_CHARS - 20
    piece = ("..." if begin else "") + text[begin:end] + ("..." if end < len(text) else "")
    return repr(piece) if quoted else piece


def unified(was: str, now: str, max_lines: int = MAX_DIFF_LINES) -> list[str]:
    """Return a unified diff without its file names and places; none where the lines themselves do not differ."""
    old, new = was.splitlines(), now.splitlines()
    same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    first = max(0, same - 2)
    old, new = old[first : first + _COMPARED_LINES], new[first : first + _COMPARED_LINES]
    found = list(islice(difflib.unified_diff(old, new, n=2, lineterm=""), 3, max_lines + 4))
    return [
        *(_cut(line) for line in found[:max_lines] if not line.startswith("@@")),
        *(["..."] if len(found) > max_lines else []),
    ]


def _cut(line: str) -> str:
    return line if len(line) <= _LINE_CHARS else f"{line[:_LINE_CHARS]}..."


# -- parts -------------------------------------------------------------------------------------------------------------


class _Walk:
    """One walk through two values; its steps are counted, for values may be huge, shared or cyclic."""

    def __init__(self) -> None:
        self._left = _MAX_STEPS
        self.cut_short = False

    def parts(self, path: str, was: object, now: object, depth: int) -> Iterator[Part]:
        """Yield path, old and new value of each innermost part that differs."""
        self._left -= 1
        if self._left < 0:
            self.cut_short = True
            return
        if was is now:
            return
        old, new = _children(was), _children(now)
        if old is None or new is None or type(was) is not type(now) or depth > _MAX_DEPTH:
            if not _same(was, now):
                yield Part(path, was, now)
            return
        if isinstance(was, list) and isinstance(now, list) and len(was) != len(now):
            yield from self._items(path, was, now, depth)
            return
        for key in [*old, *(key for key in new if key not in old)]:
            yield from self.parts(path + key, old.get(key, MISSING), new.get(key, MISSING), depth + 1)

    def _items(self, path: str, was: Sequence[Any], now: Sequence[Any], depth: int) -> Iterator[Part]:
        """Yield what differs between lists of different lengths: what was put in or taken out, not all behind it."""
        shorter = min(len(was), len(now))
        head = next((i for i in range(shorter) if not self._equal(was[i], now[i], depth)), shorter)
        tails = range(1, shorter - head + 1)
        tail = next((i - 1 for i in tails if not self._equal(was[-i], now[-i], depth)), shorter - head)
        for i in range(head, max(len(was), len(now)) - tail):
            old = was[i] if i < len(was) - tail else MISSING
            new = now[i] if i < len(now) - tail else MISSING
            yield from self.parts(f"{path}[{i}]", old, new, depth + 1)

    def _equal(self, was: object, now: object, depth: int) -> bool:
        return next(self.parts("", was, now, depth + 1), None) is None and not self.cut_short


def _children(value: object) -> dict[str, Any] | None:
    """Return a value's parts by how a path names them, or None where it is not looked into."""
    if isinstance(value, Mapping):
        return {f"[{shown(key)}]": item for key, item in value.items()}
    fields = fields_of(value)
    if fields is not None:
        return {f".{name}": item for name, item in fields.items()}
    if isinstance(value, (list, tuple)):
        return {f"[{index}]": item for index, item in enumerate(value)}
    return None


def _same(was: object, now: object) -> bool:
    """Tell whether two values without parts are the same; `==` of a class of the user's own is not asked."""
    if was is MISSING or now is MISSING or type(was) is not type(now):
        return False
    if isinstance(was, (str, bytes, int)):
        return was == now
    return _shown(was) == _shown(now)
