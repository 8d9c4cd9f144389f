"""What a call prints, up to a limit, and an honest word about the rest.

Owns: decoding bytes of pipes, the limit, the last lines for a crash's report. Knows nothing of processes or records.
"""

from __future__ import annotations

import codecs
from collections import Counter
from typing import TYPE_CHECKING

from kitaru.runtime.context import MAX_LOG_CHARS

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_CHARS = MAX_LOG_CHARS - 4096
"""Characters that are passed on per call: less than what a call keeps, so that the word about the rest is kept too."""

TAIL_CHARS = 2000


class Bounded:
    """Passes pieces of output on until there were enough, then counts.

    Args:
        deliver: given stream and text.
        limit_chars: of all streams together.

    Attributes:
        left_out: stream to bytes that were not passed on.
    """

    def __init__(self, deliver: Callable[[str, str], None], limit_chars: int = LIMIT_CHARS) -> None:
        self._deliver = deliver
        self._room = limit_chars
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._tail = ""
        self.left_out: Counter[str] = Counter()

    def raw(self, stream: str, data: bytes) -> None:
        """Take bytes as they came through a pipe; letters cut in two are put together."""
        decoder = self._decoders.get(stream)
        if decoder is None:
            decoder = self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("replace")
        if self._room > 0:
            self.text(stream, decoder.decode(data))
        else:
            self.left_out[stream] += len(data)
            self._keep_tail(data[-TAIL_CHARS:].decode("utf-8", "replace"))

    def text(self, stream: str, text: str) -> None:
        """Take a piece of text."""
        shown, rest = text[: self._room], text[self._room :]
        self._room -= len(shown)
        if shown:
            self._deliver(stream, shown)
        if rest:
            self.left_out[stream] += len(rest.encode("utf-8", "surrogatepass"))
        self._keep_tail(text[-TAIL_CHARS:])

    def _keep_tail(self, text: str) -> None:
        self._tail = (self._tail + text)[-TAIL_CHARS:]

    def last_lines(self, count: int = 5) -> str:
        """Return the last lines that came, of whichever stream."""
        return "\n".join(self._tail.rstrip().splitlines()[-count:])

    def close(self) -> None:
        """Pass on what is left of half letters, and say what was left out."""
        for stream, decoder in self._decoders.items():
            rest = decoder.decode(b"", final=True)
            if rest and self._room > 0:
                self._deliver(stream, rest)
        for stream, size in sorted(self.left_out.items()):
            self._deliver(stream, f"\n… {size} bytes left out\n")
