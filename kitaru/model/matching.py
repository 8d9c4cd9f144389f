"""Which recorded call a live call takes: identity, claims, drift.

Owns: the rule that the k-th live call of an identity takes the record of its k-th call, once, and what counts as drift.
Pure: it is handed recorded calls and digests; what to do about drift is decided above.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kitaru.model.history import CallView
    from kitaru.model.records import Call

Identity: TypeAlias = tuple[str, str, tuple[tuple[str, str], ...]]
"""Scope, name, and the key: (argument, value id) pairs sorted by name, or one pair `("key=", id)`."""

EXPLICIT = "key="
"""Stands for an argument's name where an explicit key was given; no parameter can be called so."""


def identity(scope: str, name: str, args: Mapping[str, str], key: str = "") -> Identity:
    """Return a call's identity, from its scope, its name and its key (`key` if given, else `args`)."""
    if key:
        return scope, name, ((EXPLICIT, key),)
    return scope, name, tuple(args.items()) if len(args) < 2 else tuple(sorted(args.items()))


def identity_of(record: Call) -> Identity:
    """Return the identity that a recorded call had."""
    return identity(record.scope, record.name, record.args, record.key)


class Claims:
    """The recorded calls that no live call has taken yet.

    Args:
        calls: recorded calls in call order; those that must run again are left out by the caller.
        numbered: the numbers of equal calls tell which are missing. Not so in a branch, which leaves calls of its
            source out and has others in their place.

    Attributes:
        left: those that are still there, by order; only `take` and its like change it.
    """

    def __init__(self, calls: Iterable[CallView], *, numbered: bool = True) -> None:
        self._views = [view for view in calls if view.record is not None]
        self.left = {view.order: view for view in self._views}
        self._turn = 0
        self._uneven = _uneven_among(self._views) if numbered else {}
        self._live: Counter[Identity] = Counter()

    @cached_property
    def _by_identity(self) -> dict[Identity, list[CallView]]:
        """Each identity's records, the first one last; made when a call comes out of its turn."""
        found: dict[Identity, list[CallView]] = {}
        for view in reversed(self._views):
            found.setdefault(identity_of(view.record), []).append(view)  # type: ignore[arg-type]  # finished ones
        return found

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], dict[int, CallView]]:
        """The records left of each scope and name, by order; made when somebody asks for them."""
        found: dict[tuple[str, str], dict[int, CallView]] = {}
        for order, view in self.left.items():
            found.setdefault((view.scope, view.name), {})[order] = view
        return found

    @property
    def has_uneven(self) -> bool:
        """Whether of some equal calls one is missing, or out of order: only then `lacks` has to be asked."""
        return bool(self._uneven)

    def lacks(self, wanted: Identity) -> bool:
        """Count one more live call; tell whether just that one of its identity is missing, and not later ones.

        It was in flight when the run stopped, or it failed. The record of an equal call is that call's own.
        """
        missing = self._uneven.get(wanted)
        if missing is None:
            return False
        self._live[wanted] += 1
        return self._live[wanted] - 1 in missing

    def knows(self, wanted: Identity) -> bool:
        """Tell whether there ever was a record of exactly this identity, taken by now or not."""
        return wanted in self._by_identity

    def holds(self, wanted: Identity) -> bool:
        """Tell whether a record of exactly this identity is still there."""
        here = self._by_name.get(wanted[:2])
        return here is not None and any(view.order in here for view in self._by_identity.get(wanted, ()))

    def has(self, scope: str, name: str) -> bool:
        """Tell whether a record of this name is still there in a scope."""
        return bool(self._by_name.get((scope, name)))

    def in_turn(self, scope: str, name: str, args: Mapping[str, str], key: str) -> CallView | None:
        """Take the first of all records that are left, if it is of this identity.

        It is where a body does what it did. A resume of thousands of calls has no need to look for any then.
        """
        views, left, turn = self._views, self.left, self._turn
        while turn < len(views) and views[turn].order not in left:
            turn += 1
        self._turn = turn
        if turn == len(views):
            return None
        view = views[turn]
        record = view.record
        if record is None or record.name != name or record.scope != scope or record.key != key:
            return None
        if not key and record.args != args:
            return None
        return None if self._uneven and identity_of(record) in self._uneven else self.take(view)

    def exact(self, wanted: Identity) -> CallView | None:
        """Take the next record of exactly this identity."""
        if wanted in self._uneven:
            return self._of_its_number(wanted)
        queue = self._by_identity.get(wanted)
        while queue:
            view = queue.pop()
            if view.order in self.left:
                return self.take(view)
        return None

    def _of_its_number(self, wanted: Identity) -> CallView | None:
        """Take the record of the live call that `lacks` was asked for last: by its number, or else the next one."""
        left = [view for view in self._by_identity[wanted] if view.order in self.left]
        same = [view for view in left if view.record and view.record.repeat == self._live[wanted] - 1]
        return self.take((same or left)[-1]) if left else None

    def defaulted(self, wanted: Identity, defaults: Mapping[str, str]) -> CallView | None:
        """Take the next record that lacks some arguments, all of which equal their defaults now.

        Args:
            wanted: the live call's identity.
            defaults: value id of each parameter's default.
        """
        live = dict(wanted[2])
        for view in self.unclaimed(wanted[0], wanted[1]):
            recorded = view.record
            if recorded is None or recorded.key or not recorded.args.keys() < live.keys():
                continue
            if all(recorded.args.get(name, defaults.get(name)) == digest for name, digest in live.items()):
                return self.take(view)
        return None

    def read_anew(self, wanted: Identity, defaults: Mapping[str, str], today: Callable[[str], str]) -> CallView | None:
        """Take the next record whose arguments, read by today's classes, are those of the live call.

        Args:
            wanted: the live call's identity.
            defaults: as of `defaulted`.
            today: returns the id that a recorded value has once it is read and encoded again.
        """
        live = dict(wanted[2])
        for view in self.unclaimed(wanted[0], wanted[1]):
            record = view.record
            if record is None or record.key or not record.args.keys() <= live.keys():
                continue
            if all(_fits(record.args.get(name), defaults.get(name), digest, today) for name, digest in live.items()):
                return self.take(view)
        return None

    def next_of(self, scope: str, name: str) -> CallView | None:
        """Take the next record of this name, whatever its arguments were."""
        for view in self.unclaimed(scope, name):
            return self.take(view)
        return None

    def unclaimed(self, scope: str, name: str) -> list[CallView]:
        """Return the records of this name that are still there, in call order."""
        found = self._by_name.get((scope, name))
        return list(found.values()) if found else []

    def renamed(self, wanted: Identity, code: str, is_gone: Callable[[str], bool]) -> CallView | None:
        """Return the record that a call seems to be of under another name, without taking it.

        It has the same key, and a name that the code no longer has; a call without arguments must have the same code,
        too.

        Args:
            wanted: the live call's identity.
            code: fingerprint of its source, which leaves out the name.
            is_gone: tells whether the code has no checkpoint of a name any more.
        """
        for (scope, name), views in self._by_name.items():
            if not views or scope != wanted[0] or not is_gone(name):
                continue
            for view in views.values():
                record = view.record
                if record is not None and identity_of(record)[2] == wanted[2] and (wanted[2] or record.code == code):
                    return view
        return None

    def rest(self) -> list[CallView]:
        """Return every record still there, in call order."""
        return sorted(self.left.values(), key=lambda view: view.order)

    def take(self, view: CallView) -> CallView:
        """Take one particular record."""
        del self.left[view.order]
        if "_by_name" in self.__dict__:
            del self._by_name[view.scope, view.name][view.order]
        return view

    def drop(self, unwanted: Callable[[CallView], bool]) -> None:
        """Forget the records for which `unwanted` holds."""
        for view in self.rest():
            if unwanted(view):
                self.take(view)


def _uneven_among(views: Iterable[CallView]) -> dict[Identity, set[int]]:
    """Return the identities of which not all calls are recorded in their order, and the numbers that are missing."""
    records = [view.record for view in views if view.record is not None]
    repeated = {identity_of(record) for record in records if record.repeat}
    if not repeated:
        return {}
    numbers: dict[Identity, list[int]] = {}
    for record in records:
        if (same := identity_of(record)) in repeated:
            numbers.setdefault(same, []).append(record.repeat)
    return {i: set(range(max(n))) - set(n) for i, n in numbers.items() if n != list(range(len(n)))}


def _fits(recorded: str | None, default: str | None, live: str, today: Callable[[str], str]) -> bool:
    if recorded is None:
        return default == live
    return recorded == live or today(recorded) == live


def changed_arguments(recorded: Mapping[str, str], live: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """Return argument name to (recorded id, live id) for each that differs; None where one side lacks it."""
    names = {**recorded, **live}
    return {n: (recorded.get(n), live.get(n)) for n in names if recorded.get(n) != live.get(n)}
