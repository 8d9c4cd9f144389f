"""The text of a Python file, as it is executed.

Owns: how bytes become source, once for what recorded code executes and for what people are shown of it, so that nobody
looks at another text than what is executed. A file may say that its bytes are to be read as something else than UTF-8,
and what looks like a comment then is code.
"""

from __future__ import annotations

import importlib.util
import io
import tokenize

_USUAL = {"utf-8", "utf-8-sig"}


def source_text(data: bytes) -> str:
    """Return a source file's text, with newlines for all that Python takes for a line's end.

    Raises:
        SyntaxError, ValueError, LookupError: Python cannot read it.
    """
    return importlib.util.decode_source(data)


def shown_source(data: bytes) -> tuple[str, str]:
    """Return the text of a source file to be looked at, and a warning about how it was read, empty for most."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = source_text(data)
    except (SyntaxError, ValueError, LookupError):
        return data.decode("utf-8", "replace"), "Python cannot read this file"
    return text, "" if encoding in _USUAL else f"this file says that it is to be read as {encoding}, as is done here"
