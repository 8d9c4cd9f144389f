"""Words on a screen: made harmless, measured, shortened.

Owns: the one function that every text out of a run passes before it is shown, and how times and sizes are written, on
the command line and in the inbox alike. Pure; knows nothing of runs or screens.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

_UNSEEN = (
    "\u00ad\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2065\u206a-\u206f\u3164\uffa0\ufff0-\ufffb"
    "\U000e0000-\U000e0fff"
)
"""What takes no place, or looks like a space; letters among them, which names may hold."""
_UNSAFE = re.compile(f"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff{_UNSEEN}]")
_UNSAFE_BUT_LAYOUT = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))
_NAMED = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\x1b": r"\x1b"}
_LAST_S = 253_402_128_000
"""Seconds since 1970 UTC: in the year 9999, in every zone."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def clean(text: str, *, lines: bool = False) -> str:
    """Return a text from a run so that showing it does nothing but show it.

    Control characters, among them those that begin ANSI escapes, marks that turn the writing direction, and lone
    surrogates, and characters that nobody sees, become visible escapes such as `\\x1b`. Rich markup needs nothing
    here: no text is ever parsed as markup.

    Args:
        text: anything.
        lines: keep line ends and tabs.
    """
    return (_UNSAFE_BUT_LAYOUT if lines else _UNSAFE).sub(_escape, text)


def clean_source(text: str) -> str:
    """Return source code so that all of it is seen: also what joins or varies characters becomes a visible escape.

    Emoji and some languages need these between other characters; in a name of a program they make it another one.
    """
    return re.sub("[\u200c\u200d\ufe00-\ufe0f]", _escape, clean(text, lines=True))


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    return _NAMED.get(char) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def cells(text: str) -> int:
    """Return how many columns a terminal gives a clean text."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def clip(text: str, width: int) -> str:
    """Return `text` cut to `width` columns, the last one an ellipsis where something was cut."""
    if cells(text) <= width:
        return text
    kept = ""
    for char in text:
        if cells(kept + char) > width - 1:
            break
        kept += char
    return kept + "…" if width > 0 else ""


def one_line(text: str, width: int = 200) -> str:
    """Return the first line of a text, clean and bounded."""
    head, _, rest = text.strip().partition("\n")
    return clip(clean(head), width) + (" …" if rest and cells(head) < width else "")


def duration(microseconds: int) -> str:
    """Return how long something took: `340 µs`, `12 ms`, `3.4 s`, `2 m 05 s`, `3 h 12 m`, `4 d 02 h`."""
    if microseconds < 1000:
        return f"{max(microseconds, 0)} µs"
    if microseconds < 1_000_000:
        return f"{microseconds // 1000} ms"
    seconds = microseconds / 1_000_000
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for big, small, size in (("d", "h", 3600), ("h", "m", 60), ("m", "s", 1)):
        if whole >= _UNITS[big]:
            return f"{whole // _UNITS[big]} {big} {whole % _UNITS[big] // size:02} {small}"
    return f"{whole} s"


def size(count: int) -> str:
    """Return a number of bytes: `980 B`, `41.3 kB`, `1.2 GB`."""
    if count < 1000:
        return f"{count} B"
    amount, units = float(count), iter(("kB", "MB", "GB", "TB", "PB"))
    unit = "B"
    while amount >= 999.95:
        amount, unit = amount / 1000, next(units)
    return f"{amount:.1f} {unit}"


def age(then_us: int, now_us: int) -> str:
    """Return how long ago something was, in its largest unit: `3 minutes ago`."""
    seconds = max(now_us - then_us, 0) // 1_000_000
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= size:
            count = seconds // size
            return f"{count} {name}{'s' * (count != 1)} ago"
    return "just now"


def local_time(microseconds: int) -> str:
    """Return a time as people read it, in the zone of this machine, to the second.

    A store may say anything: what no calendar has is told as the nearest that it has.
    """
    seconds = min(max(microseconds // 1_000_000, 0), _LAST_S)
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ")
