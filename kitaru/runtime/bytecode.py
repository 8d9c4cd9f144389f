"""Bytecode of recorded code, so that a process need not compile what another has compiled before.

Owns: what bytecode depends on besides its source, and its form. Where it is kept is `runtime.derived`. That
`PYTHONDONTWRITEBYTECODE` is set changes nothing: it is about files beside the source.
"""

from __future__ import annotations

import _imp
import contextlib
import importlib.util
import marshal
import sys
from types import CodeType
from typing import TYPE_CHECKING

from kitaru.runtime.derived import Derived, key_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Bytecode:
    """The bytecode that a store keeps; without one, everything is compiled.

    Args:
        kept: where it is.
    """

    def __init__(self, kept: Derived | None = None) -> None:
        self.kept = kept or Derived(None)

    def code_of(self, text: str, path: str, compile_it: Callable[[], CodeType]) -> CodeType:
        """Return what a source compiles to, as it was kept, or by compiling it.

        Args:
            text: the source, as `source_text` returns it: what the bytes of its file say depends on a codec, too.
            path: where tracebacks find it.
            compile_it: compiles it as of that path.
        """
        key = key_of(text.encode("utf-8", "surrogatepass"), compiler())
        code = _loaded(self.kept.find(key))
        if code is not None:
            _imp._fix_co_filename(code, path)  # type: ignore[attr-defined]  # as importlib does; typeshed does not know it
            return code
        code = compile_it()
        with contextlib.suppress(ValueError):  # nested deeper than marshal goes
            self.kept.keep(key, marshal.dumps(code))
        return code


def compiler() -> str:
    """Return what decides, for this Python as it was started, what a source compiles to."""
    return f"{sys.implementation.cache_tag} {importlib.util.MAGIC_NUMBER.hex()} {sys.flags.optimize}"


def _loaded(data: bytes | None) -> CodeType | None:
    if data is None:
        return None
    try:
        code = marshal.loads(data)  # noqa: S302 - what was written here, as its digest says
    except (EOFError, ValueError, TypeError):
        return None
    return code if isinstance(code, CodeType) else None
