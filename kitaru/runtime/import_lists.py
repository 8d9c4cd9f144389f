"""What the files of the working tree import, so that a file is parsed once, and not in each process.

Owns: the form in which that is kept, and what it depends on besides the source. How it is found is `runtime.imports`,
where it is kept `runtime.derived`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kitaru.runtime import imports
from kitaru.runtime.derived import key_of
from kitaru.runtime.imports import Import, imports_of

if TYPE_CHECKING:
    from kitaru.runtime.derived import Derived


class ImportLists:
    """What source files import, as a store keeps it.

    Args:
        kept: where it is.
    """

    def __init__(self, kept: Derived) -> None:
        self._kept = kept
        self._found = functools.lru_cache(maxsize=1024)(self._find)

    def of(self, source: bytes) -> tuple[Import, ...]:
        """Return what `imports_of` finds, which is asked where nothing is kept."""
        return self._found(source)

    def _find(self, source: bytes) -> tuple[Import, ...]:
        rules = _rules()
        if not rules:
            return imports_of(source)
        key = key_of(source, rules)
        found = _unpacked(self._kept.find(key))
        if found is None:
            found = imports_of(source)
            self._kept.keep(key, _packed(found))
        return found


@functools.cache
def _rules() -> str:
    """Return what decides, besides a source, what is found in it: Python's grammar, and the very code that looks."""
    try:
        code = Path(imports.__file__).read_bytes()
    except OSError:  # in an archive: nothing is kept then
        return ""
    return f"imports {sys.implementation.cache_tag} {hashlib.sha256(code).hexdigest()}"


def _packed(found: tuple[Import, ...]) -> bytes:
    return json.dumps([[item.level, item.parts, item.names, item.line] for item in found]).encode()


def _unpacked(data: bytes | None) -> tuple[Import, ...] | None:
    if data is None:
        return None
    try:
        rows = json.loads(data)
        return tuple(Import(level, tuple(parts), tuple(names), line) for level, parts, names, line in rows)
    except (ValueError, TypeError):
        return None
