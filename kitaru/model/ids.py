"""Names of things: run ids, object ids, and the one grammar for revisions that every command uses.

Owns: how a name is written, read and shortened. Knows nothing of where runs or objects are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kitaru.errors import BadRevision, UnknownRun

if TYPE_CHECKING:
    from collections.abc import Callable

RUN_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""31 letters and digits, without 0/o and 1/l/i, so that an id survives being read aloud."""

RUN_ID_LENGTH = 10
"""10 letters of 31: about 49 bits, a collision in a million runs has odds of one in a thousand million."""

MIN_OBJECT_PREFIX = 4

_RUN = re.compile(f"[{RUN_ALPHABET}]{{1,{RUN_ID_LENGTH}}}")
_WORD = re.compile(r"[\w-]+")
_REVISION = re.compile(r"(?P<run>@(?:~(?P<back>\d{1,9}))?|[^:#@~]+)?(?::(?P<call>.+))?", re.DOTALL)
_CALL = re.compile(r"(?P<name>.+?)(?:#(?P<nth>[1-9]\d{0,8}|\*))?", re.DOTALL)


def new_run_id(random_bytes: Callable[[int], bytes]) -> str:
    """Return a fresh run id, from an injected source of random bytes (such as `os.urandom`)."""
    n = int.from_bytes(random_bytes(16), "big")
    letters = []
    for _ in range(RUN_ID_LENGTH):
        n, digit = divmod(n, len(RUN_ALPHABET))
        letters.append(RUN_ALPHABET[digit])
    return "".join(letters)


def is_run_id(text: str) -> bool:
    """Tell whether `text` is a whole run id."""
    return len(text) == RUN_ID_LENGTH and _RUN.fullmatch(text) is not None


def is_run_prefix(text: str) -> bool:
    """Tell whether `text` could be the beginning of a run id."""
    return _RUN.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class CallName:
    """One call in a run: `fetch` (its first), `fetch#2`, or every one, `fetch#*`.

    `nth` is 1-based, 0 for `#*`, and None where none was written.
    """

    name: str
    nth: int | None = None

    def __str__(self) -> str:
        return self.name if self.nth is None else f"{self.name}#{self.nth or '*'}"


@dataclass(frozen=True, slots=True)
class Revision:
    """What a user typed to name a run or a call: exactly one of `back` (0 is the latest run) and `prefix` is set."""

    back: int | None
    prefix: str | None
    call: CallName | None = None


def parse_call(text: str) -> CallName:
    """Parse `fetch`, `fetch#2` or `fetch#*`.

    Raises:
        BadRevision: the text is empty.
    """
    match = _CALL.fullmatch(text)
    if match is None:
        raise BadRevision(text, "a call's name is empty")
    nth = match["nth"]
    return CallName(match["name"], None if nth is None else 0 if nth == "*" else int(nth))


def parse_revision(text: str) -> Revision:
    """Parse `@`, `@~2`, `RUN`, and each of these with `:call` or `:call#2`; `:call` alone is of the latest run.

    Run ids are written in lower case and read in either.

    Raises:
        UnknownRun: a word that no run id begins with.
        BadRevision: anything else.
    """
    match = _REVISION.fullmatch(text)
    if match is None or not text:
        raise BadRevision(text, "it has letters that no run id has")
    call = parse_call(match["call"]) if match["call"] is not None else None
    run = match["run"]
    if run is None or run.startswith("@"):
        return Revision(int(match["back"] or 0), None, call)
    prefix = run.lower()
    if is_run_prefix(prefix):
        return Revision(None, prefix, call)
    if _WORD.fullmatch(run):
        raise UnknownRun(run)
    raise BadRevision(text, f"a run's id is {RUN_ID_LENGTH} letters and digits")


OWN = "kitaru."
"""How the names begin of what Kitaru itself records: `kitaru.now`, `kitaru.sleep`."""


_ACTING = frozenset(":#@*/$`;&|<>()'\"\\!")
"""What a revision or a shell takes for something else than a part of a name."""


def is_typed(name: str) -> bool:
    """Tell whether a name can be typed in a shell, and in a revision or target, as it is.

    Hints show commands with names that others chose, and whoever copies one executes nothing else by it.
    """
    plain = name.isprintable() and not any(c in _ACTING or c.isspace() for c in name)
    return bool(name) and plain and name[0] not in "-~"


def is_call_name(name: str) -> bool:
    """Tell whether a checkpoint or wait may be called so: it can be typed, and is none of Kitaru's own."""
    return is_typed(name) and not name.startswith(OWN)


def display_call(name: str, occurrence: int) -> str:
    """Return how a call is shown and typed: `fetch` for the first, `fetch#2` for the second."""
    return name if occurrence == 1 else f"{name}#{occurrence}"
