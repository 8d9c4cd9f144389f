"""Values of secrets that this process knows: kept out of what is captured, and out of the store.

Owns: the list of them, as plain text and in the forms they commonly take, and what is put in their place. Where a
secret comes from is `kitaru.llm.secrets`. What is said (output, logs, errors) has a mark in the place of a secret; what
is stored (arguments, results) is refused where it holds one, for a result must be the same live and replayed.
"""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING, Any

from kitaru.errors import SecretLeak

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SHORTEST = 8
"""A secret of fewer characters is not looked for: it would be found everywhere."""

CREDENTIALS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Variables that let one write to remotes: who reads what was pushed is not to learn from it how."""

SHORTEST_CREDENTIAL = 16
"""Real ones have forty characters and more; shorter ones, of servers for trials, may be ordinary words."""

MAX_DEPTH = 8

_lock = threading.Lock()
_known: dict[str, str] = {}
_in_bytes: dict[bytes, str] = {}
_pattern: re.Pattern[str] | None = None


def hide(name: str, value: str) -> None:
    """Keep a secret's value out of everything from now on, in this process."""
    global _pattern  # noqa: PLW0603 - what is secret is so in the whole process
    if len(value) < SHORTEST or value in _known:
        return
    with _lock:
        for form in _forms(value):
            _known.setdefault(form, name)
            _in_bytes.setdefault(form.encode("utf-8", "surrogatepass"), name)
        longest_first = sorted(_known, key=len, reverse=True)
        _pattern = re.compile("|".join(map(re.escape, longest_first)))


def hide_credentials() -> None:
    """Keep out, too, what the environment has for remotes."""
    for variable in CREDENTIALS:
        value = os.environ.get(variable, "")
        if len(value) >= SHORTEST_CREDENTIAL:
            hide(variable, value)


def _forms(value: str) -> set[str]:
    """Return a text as it reads in URLs, in JSON, in a repr and in base64."""
    import base64
    import json
    from urllib.parse import quote, quote_plus

    encoded = base64.b64encode(value.encode("utf-8", "surrogatepass")).decode("ascii")
    return {value, json.dumps(value)[1:-1], repr(value)[1:-1], quote(value), quote_plus(value), encoded}


def redacted(text: str) -> str:
    """Return a text with `[secret NAME]` in the place of each known value."""
    return text if _pattern is None else _pattern.sub(lambda found: f"[secret {_known[found[0]]}]", text)


def redacted_lines(output: list[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """Return captured output once more redacted: a value that was written in several pieces is whole only now."""
    return output if _pattern is None else [(at, stream, redacted(text)) for at, stream, text in output]


def refuse_secrets(objects: Iterable[tuple[str, Any]], path: str) -> None:
    """Refuse to store objects that hold a known value.

    Raises:
        SecretLeak: one does; `path` says what it was to be.
    """
    if not _in_bytes:
        return
    for _, data in objects:
        _refuse(data, path)


def _refuse(data: Any, path: str) -> None:  # noqa: ANN401 - bytes, or a part that can be made such
    plain = data if isinstance(data, (bytes, bytearray)) else bytes(data)
    for value, name in _in_bytes.items():
        if value in plain:
            raise SecretLeak(path, name)


def guarded(sink: Callable[[str, Any], None] | None, path: str) -> Callable[[str, Any], None] | None:
    """Return a sink of objects that refuses, as `refuse_secrets` does."""
    if sink is None or not _in_bytes:
        return sink
    inner = sink

    def checked(object_id: str, data: Any) -> None:  # noqa: ANN401 - as `_refuse`
        _refuse(data, path)
        inner(object_id, data)

    return checked


def clean_error(error: BaseException) -> None:
    """Put the mark into the texts of an exception, its notes, and those behind it, in place."""
    if _pattern is None:
        return
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        found.args = _clean(found.args, 0)
        for name, value in list(vars(found).items()):
            fresh = _clean(value, 0)
            if fresh is not value:
                setattr(found, name, fresh)
        waiting += [found.__cause__, found.__context__]
        waiting += getattr(found, "exceptions", ())


def _clean(value: Any, depth: int) -> Any:  # noqa: ANN401 - whatever an exception holds
    """Return a value with redacted texts; the same object where nothing in it was."""
    if isinstance(value, str):
        return redacted(value)
    if depth > MAX_DEPTH or type(value) not in (tuple, list, dict):
        return value
    parts = list(value.values()) if isinstance(value, dict) else list(value)
    fresh = [_clean(part, depth + 1) for part in parts]
    if all(new is old for new, old in zip(fresh, parts, strict=True)):
        return value
    return dict(zip(value, fresh, strict=True)) if isinstance(value, dict) else type(value)(fresh)


def forget() -> None:
    """Know no secret any more: for tests."""
    global _pattern  # noqa: PLW0603 - as of `hide`
    with _lock:
        _known.clear()
        _in_bytes.clear()
        _pattern = None
