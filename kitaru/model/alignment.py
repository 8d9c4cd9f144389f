"""Which call of one run stands where which call of another one does.

Owns: the alignment of two runs' calls and waits: equal ones whatever their place, changed ones by name and place, and
what only one run has. Pure: it is handed views, and compares ids and names only.

Calls of equal identity are paired first, the k-th with the k-th, as a resume would claim them. Between these, what is
left of one name is paired in order; a call whose name the other run does not have is paired with one of equal
arguments, as renamed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from kitaru.model.history import CallView, WaitView
from kitaru.model.matching import identity_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kitaru.model.history import RunState

View: TypeAlias = "CallView | WaitView"
_Name: TypeAlias = "tuple[str, str, str]"
"""What a view is: `call` or `wait`, its scope and its name."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A call or wait of the one run and that of the other which stands for it; None where it has none."""

    old: View | None
    new: View | None


def steps(state: RunState) -> list[View]:
    """Return a run's calls and waits, in call order."""
    return [state.calls.get(order) or state.waits[order] for order in state.sequence]


def align(old: Sequence[View], new: Sequence[View]) -> list[Pair]:
    """Pair the steps of two runs.

    Args:
        old, new: calls and waits in call order.

    Returns:
        Every step once, in the order of `new`; what only `old` has stands behind what it stood behind there.
    """
    partner = _same(old, new)
    _between(partner, old, new)
    _renamed(partner, old, new)
    return list(_merged(partner, old, new))


def _name(view: View) -> _Name:
    if isinstance(view, CallView):
        return "call", view.scope, view.name
    return "wait", view.record.scope, view.record.name


def _key(view: View) -> object:
    """Return what makes two steps of one name the same: of a call in flight, nothing does."""
    if isinstance(view, WaitView):
        return view.record.digest
    return identity_of(view.record)[2] if view.record is not None else None


def _same(old: Sequence[View], new: Sequence[View]) -> dict[int, int]:
    """Pair the k-th step of each identity; return index in `old` to index in `new`."""
    waiting: dict[object, list[int]] = defaultdict(list)
    for j in range(len(new) - 1, -1, -1):
        waiting[_name(new[j]), _key(new[j])].append(j)
    found = {}
    for i, view in enumerate(old):
        queue = waiting.get((_name(view), _key(view)))
        if queue:
            found[i] = queue.pop()
    return found


def _between(partner: dict[int, int], old: Sequence[View], new: Sequence[View]) -> None:
    """Pair what is left of each name, in order, between the same neighbours of that name."""
    taken = set(partner.values())
    of_old, of_new = _by_name(old), _by_name(new)
    for name, indices in of_old.items():
        others = of_new.get(name, [])
        anchors = _increasing([(i, partner[i]) for i in indices if i in partner])
        free_old = _gaps([i for i in indices if i not in partner], [i for i, _ in anchors])
        free_new = _gaps([j for j in others if j not in taken], [j for _, j in anchors])
        for gap, left in free_old.items():
            partner.update(zip(left, free_new.get(gap, ()), strict=False))


def _by_name(views: Sequence[View]) -> dict[_Name, list[int]]:
    found: dict[_Name, list[int]] = defaultdict(list)
    for index, view in enumerate(views):
        found[_name(view)].append(index)
    return found


def _increasing(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest run of pairs that keeps the order on both sides.

    Source: patience sorting, as in Szymanski's longest common subsequence of unique elements, 1975.
    """
    tops: list[int] = []
    piles: list[int] = []
    before: dict[int, int | None] = {}
    for index, (_, j) in enumerate(pairs):
        pile = bisect_left(tops, j)
        tops[pile : pile + 1] = [j]
        piles[pile : pile + 1] = [index]
        before[index] = piles[pile - 1] if pile else None
    found = []
    last: int | None = piles[-1] if piles else None
    while last is not None:
        found.append(pairs[last])
        last = before[last]
    return found[::-1]


def _gaps(free: Iterable[int], anchors: Sequence[int]) -> dict[int, list[int]]:
    """Return the free indices by how many anchors stand before them."""
    found: dict[int, list[int]] = defaultdict(list)
    for index in free:
        found[bisect_left(anchors, index)].append(index)
    return found


def _renamed(partner: dict[int, int], old: Sequence[View], new: Sequence[View]) -> None:
    """Pair calls of names that the other run does not have, and whose arguments are the same."""
    taken = set(partner.values())
    names_old, names_new = {_name(view) for view in old}, {_name(view) for view in new}
    waiting: dict[object, list[int]] = defaultdict(list)
    for j in range(len(new) - 1, -1, -1):
        if j not in taken and _name(new[j]) not in names_old and _key(new[j]):
            waiting[_name(new[j])[:2], _key(new[j])].append(j)
    for i, view in enumerate(old):
        queue = waiting.get((_name(view)[:2], _key(view))) if i not in partner else None
        if queue and _name(view) not in names_new:
            partner[i] = queue.pop()


def _merged(partner: dict[int, int], old: Sequence[View], new: Sequence[View]) -> Iterator[Pair]:
    of_new = {j: i for i, j in partner.items()}
    told = 0
    for j, view in enumerate(new):
        i = of_new.get(j)
        if i is None:
            yield Pair(None, view)
            continue
        for lost in range(told, i):
            if lost not in partner:
                yield Pair(old[lost], None)
        told = max(told, i + 1)
        yield Pair(old[i], view)
    for lost in range(told, len(old)):
        if lost not in partner:
            yield Pair(old[lost], None)
