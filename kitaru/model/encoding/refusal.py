"""Why a value cannot be encoded, and where in it: built on the way up, so that the happy path pays nothing.

Owns: how a path inside a value reads (`docs[3].client`). Knows no encoding.
"""

from __future__ import annotations

from kitaru.errors import Unencodable

_SHOWN_STEPS = 8


class Refused(Exception):
    """A part that cannot be encoded. Each container it passes adds its step.

    Args:
        offender: the value refused, or its type.
        why: what is wrong, where the type alone does not say.
    """

    def __init__(self, offender: object, why: str = "") -> None:
        super().__init__(why)
        cls = offender if isinstance(offender, type) else type(offender)
        self.type_name = display_type(cls)
        self.why = why
        self.steps: list[str] = []

    def at(self, step: str) -> Refused:
        """Add the step by which the enclosing container reaches this part; returns itself, to be raised again."""
        self.steps.append(step)
        return self

    def as_error(self, root: str) -> Unencodable:
        """Return the error a user sees, for a value called `root`."""
        steps = self.steps[::-1]
        if len(steps) > 2 * _SHOWN_STEPS:
            steps = [*steps[:_SHOWN_STEPS], "…", *steps[-_SHOWN_STEPS:]]
        return Unencodable(root + "".join(steps), self.type_name, self.why)


def too_deep(value: object) -> Refused:
    """Return the refusal of a value nested deeper than MAX_DEPTH, which is how a cycle shows."""
    return Refused(value, "it contains itself, or is nested more than 200 levels deep")


def display_type(cls: type) -> str:
    """Return a class's name as shown to people: `dict`, `threading.Lock`."""
    module = cls.__module__
    return cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"


def key_step(key: object) -> str:
    """Return the step from a dict to the value of `key`, without running code of the key's class."""
    kind = type(key)
    if kind is str:
        return f'["{str(key)[:60]}"]'
    if kind in (int, float, bool, bytes, type(None)):
        return f"[{repr(key)[:60]}]"
    return f"[{kind.__qualname__} key]"
