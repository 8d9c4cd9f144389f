"""Small screens over the others: yes or no, what to do with unwritten answers, and help.

Owns: their keys and words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from kitaru.text import clean

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

HELP = """\
The list
  up, down, j, k      another question
  enter               its form
  /                   filter; escape clears it
  r                   read everything again

The answer
  y, n                yes or no, where that is the answer
  tab, shift+tab      from field to field
  ctrl+s              answer with what is filled in
  x                   reject: the run ends there
  u                   take it back, while it counts down
  escape              back to the list

Everywhere
  a                   recent answers, and how their runs stand
  d                   light or dark
  ctrl+p              every command by name
  ?, F1               this page
  q, ctrl+q           quit

An answer is written five seconds after it is given. Its run is then
carried on by a process of its own, which goes on when this one ends.
The first answer stands: if somebody was faster, you are told who.
"""


class Confirm(ModalScreen[bool]):
    """Asks whether an answer is meant; the same key once more, or enter, says yes.

    Args:
        text: what is asked.
        key: the key that was pressed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        ("enter", "dismiss(True)", "Yes"),
        ("escape", "dismiss(False)", "No"),
    ]

    def __init__(self, text: str, key: str) -> None:
        super().__init__(classes="asking")
        self._text = text
        self._bindings.bind(key, "dismiss(True)", "Yes")
        if key != "n":
            self._bindings.bind("n", "dismiss(False)", "No")
        self._keys = f"{key} or enter: yes    escape: no"

    def compose(self) -> ComposeResult:
        """Yield the question and the keys."""
        with Vertical():
            yield Static(clean(self._text, lines=True), markup=False)
            yield Static(self._keys, markup=False, classes="keys")


class Leave(ModalScreen[str]):
    """Asks what is to become of answers that are not written yet: `write`, `drop` or, to stay, nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("w", "dismiss('write')", "Write"),
        ("d", "dismiss('drop')", "Drop"),
        ("escape", "dismiss('')", "Stay"),
    ]

    def __init__(self, told: list[str]) -> None:
        super().__init__(classes="asking")
        self._told = told

    def compose(self) -> ComposeResult:
        """Yield the answers and the keys."""
        with Vertical():
            yield Static("Not written yet:\n" + "\n".join(f"  {clean(line)}" for line in self._told), markup=False)
            yield Static("w: write and quit    d: drop and quit    escape: stay", markup=False, classes="keys")


class Help(ModalScreen[None]):
    """Tells every key."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,q,question_mark,f1", "dismiss(None)", "Close")]

    def __init__(self) -> None:
        super().__init__(classes="asking help")

    def compose(self) -> ComposeResult:
        """Yield the page."""
        with VerticalScroll():
            yield Static(HELP, markup=False)
