"""What a reading verb prints: lines of styled spans, or one JSON document.

Owns: whether there is colour, how wide a line may be, and that every text is made harmless on its way out. On a
terminal a long line is clipped, so callers put ids first; in a pipe nothing is ever cut. Knows nothing of runs.
"""

from __future__ import annotations

import os
import re
import sys
from itertools import groupby
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

from kitaru.cli.text import cells, clean, clip

if TYPE_CHECKING:
    from collections.abc import Iterable

Span: TypeAlias = "str | tuple[str, str]"
"""A text, or a text and the name of its style."""

_SGR = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36"}

STATUS_STYLES = {
    "completed": "green",
    "failed": "red",
    "cancelled": "dim",
    "waiting": "yellow",
    "running": "cyan",
    "interrupted": "magenta",
}


def has_colour(stream: TextIO) -> bool:
    """Tell whether a stream takes ANSI colours: a terminal, unless `NO_COLOR` is set or it is a dumb one."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Page:
    """Lines for stdout, written in one go.

    Args:
        stream: where to; stdout by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._colour = has_colour(self._stream)
        self._width = _width() if self._stream.isatty() else None
        self._lines: list[str] = []

    def line(self, *spans: Span, whole: bool = False, wrap: bool = False) -> None:
        """Add a line; on a terminal it is clipped to the width.

        Args:
            spans: its parts.
            whole: neither clipped nor broken, as what is to be copied must be; the terminal itself folds it.
            wrap: broken between words, what follows indented.
        """
        if wrap and self._width is not None:
            for part in _wrapped(spans, self._width):
                self.line(*part, whole=True)
            return
        left = None if whole or wrap else self._width
        parts = []
        for span in spans:
            text, style = (span, "") if isinstance(span, str) else span
            text = clean(text)
            if left is not None:
                text = clip(text, left) if left > 0 else ""
                left -= cells(text)
            parts.append(self._paint(text, style))
        self._lines.append("".join(parts).rstrip())

    def block(self, text: str, indent: str = "  ", style: str = "") -> None:
        """Add a text of several lines as it is; a terminal wraps what is too long."""
        for line in text.split("\n"):
            self._lines.append(f"{indent}{self._paint(clean(line.replace(chr(9), '    ')), style)}".rstrip())

    def table(self, rows: Iterable[list[Span]], *, whole: bool = False) -> None:
        """Add rows whose columns are aligned, the last one ragged; see `line` for `whole`."""
        rows = list(rows)
        widths = [max(map(_cells, column)) for column in zip(*[row[:-1] for row in rows], strict=True)]
        for row in rows:
            padded = [_pad(span, width) for span, width in zip(row, widths, strict=False)]
            self.line(*padded, row[-1], whole=whole)

    def gap(self) -> None:
        """Add an empty line, but never two in a row nor one at the top."""
        if self._lines and self._lines[-1]:
            self._lines.append("")

    def write(self) -> None:
        """Print what was gathered."""
        if self._lines:
            self._stream.write("\n".join(self._lines) + "\n")
        self._lines = []

    def browse(self) -> None:
        """Print what was gathered, through the user's pager where it is more than a screen of a terminal."""
        import shutil

        if self._width is None or len(self._lines) < shutil.get_terminal_size().lines:
            return self.write()
        from kitaru.cli.pager import browse

        text, self._lines = "\n".join(self._lines) + "\n", []
        return browse(text)

    def _paint(self, text: str, style: str) -> str:
        return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if style and text and self._colour else text


def write_json(document: Any) -> None:  # noqa: ANN401 - any JSON
    """Print one JSON document, as ASCII, so that it is the same bytes everywhere."""
    import json

    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")


def status_span(status: str, width: int = 0) -> Span:
    """Return a status in its colour."""
    return f"{status:<{width}}", STATUS_STYLES.get(status, "")


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _wrapped(spans: Iterable[Span], width: int) -> list[list[Span]]:
    """Break a line between words; a word that is longer than a line stays whole."""
    styled = [(span, "") if isinstance(span, str) else span for span in spans]
    words = [(word, style) for text, style in styled for word in re.findall(" +|[^ ]+", clean(text))]
    indent = (len(words[0][0]) if words and words[0][0].isspace() else 0) + 2
    lines: list[list[Span]] = [[]]
    used = 0
    for word, style in words:
        if used + cells(word) > width and used > indent:
            lines.append([" " * indent])
            used = indent
        if len(lines) == 1 or used > indent or not word.isspace():
            lines[-1].append((word, style))
            used += cells(word)
    return [_joined(line) for line in lines]


def _joined(line: list[Span]) -> list[Span]:
    """Join neighbours of one style."""
    styled = [(span, "") if isinstance(span, str) else span for span in line]
    return [("".join(text for text, _ in same), style) for style, same in groupby(styled, key=lambda span: span[1])]


def _cells(span: Span) -> int:
    return cells(clean(span if isinstance(span, str) else span[0]))


def _pad(span: Span, width: int) -> Span:
    padding = " " * (width - _cells(span) + 2)
    return span + padding if isinstance(span, str) else (span[0] + padding, span[1])
