"""What calls write, shown while they execute.

Owns: the way of a piece of output to the observer, in whole lines, and to those who follow the run. What is recorded of
it the call keeps itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.model.ids import display_call
from kitaru.runtime.events import MODEL_TEXT
from kitaru.runtime.redaction import redacted
from kitaru.store.live import Piece

if TYPE_CHECKING:
    from kitaru.runtime.context import ActiveCall
    from kitaru.runtime.engine import Engine
    from kitaru.store.live import LiveWriter


class Output:
    """The output of one execution of a run.

    Args:
        live: takes what calls in flight write, for those who follow the run.
    """

    def __init__(self, engine: Engine, live: LiveWriter) -> None:
        self._engine, self._live = engine, live

    def heard(self, call: ActiveCall | None, stream: str, text: str) -> bool:
        """Take a piece of captured output; tell whether the observer shows it.

        Args:
            call: that it was written in, or None for the flow's body.
            stream: `stdout`, `stderr` or `log`.
            text: not redacted yet.
        """
        text = redacted(text)
        if call is not None:
            call.keep_output(self._engine.now(), stream, text)
        if self._engine.observer is None:
            return False
        if call is None:
            self._engine.emit("output", call="", stream=stream, text=text)
        else:
            self._show(call, stream, call.whole_lines(stream, text))
        return True

    def show_text(self, call: ActiveCall, text: str) -> None:
        """Let those who watch or follow the run see what a model writes, as it comes; the record has it later."""
        self.write_live(call, self._engine.now(), MODEL_TEXT, text)
        self._show(call, MODEL_TEXT, text)

    def write_live(self, call: ActiveCall, at_us: int, stream: str, text: str) -> None:
        """Let those who follow the run see a piece of output.

        Args:
            at_us: when it was written, in microseconds since 1970 UTC.
            stream: `stdout`, `stderr`, `log`, or that of a model's text.
        """
        label = display_call(call.name, call.occurrence)
        self._live.add(Piece(label, call.order, call.began_us, stream, 0, at_us, text))

    def flush(self, call: ActiveCall) -> None:
        """Tell who watches what a call has written of lines that are not ended."""
        self._live.flush(call.order)
        for stream in list(call.partial):
            self._show(call, stream, call.partial.pop(stream))

    def _show(self, call: ActiveCall, stream: str, text: str) -> None:
        if text:  # redacted once more: a value may have been written in several pieces
            self._engine.emit(
                "output", call=display_call(call.name, call.occurrence), stream=stream, text=redacted(text)
            )

    def forget(self, call: ActiveCall) -> None:
        """An attempt is over: what it wrote is recorded, or lost."""
        self._live.forget(call.order)

    def close(self) -> None:
        """The execution is over."""
        self._live.close()
