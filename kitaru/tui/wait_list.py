"""The list of questions: two lines each, drawn only where they are seen, with a cursor that stays on its question.

Owns: the cursor. A question that goes away under it is not replaced by another one until somebody moves: else a key
that was meant for one would answer the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from kitaru.text import cells, clean, clip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType
    from textual.events import Click

    from kitaru.project.questions import Question

HEIGHT = 2
MAX_TIMES = 14
"""Columns of a row's age and time left."""
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


@dataclass(frozen=True, slots=True)
class Row:
    """A question as the list shows it.

    Attributes:
        note: what stands in place of its age: a countdown; empty where nothing does.
    """

    question: Question
    note: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from all others."""
        return self.question.key


def brief_age(then_us: int, now_us: int) -> str:
    """Return how long ago something was, in at most four columns: `12s`, `3h`, `41d`."""
    seconds = max(now_us - then_us, 0) // 1_000_000
    name, size = next(((n, s) for n, s in _UNITS if seconds >= s), ("s", 1))
    return f"{seconds // size}{name}"


def times(question: Question, now_us: int) -> str:
    """Return how long ago a question was asked, and how long it may still be answered: `3h`, `3h, 2d left`."""
    age = brief_age(question.asked, now_us)
    if not question.deadline:
        return age
    return f"{age}, {brief_age(now_us, question.deadline)} left" if question.deadline > now_us else f"{age}, too late"


def haystack(question: Question) -> str:
    """Return what the filter looks at."""
    return f"{question.flow} {question.run} {question.wait} {question.head}".lower()


def matching(rows: Sequence[Row], wanted: str) -> list[Row]:
    """Return the rows that hold every word of the filter."""
    words = wanted.lower().split()
    if not words:
        return list(rows)
    return [row for row in rows if all(word in haystack(row.question) for word in words)]


class WaitList(ScrollView, can_focus=True):
    """The list; `Moved` tells where the cursor is, `Chosen` that somebody wants to answer there."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"row--dim", "row--cursor", "row--note"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Next", show=False),
        Binding("up,k", "move(-1)", "Previous", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("home,g", "edge(0)", "First", show=False),
        Binding("end,G", "edge(-1)", "Last", show=False),
        Binding("enter,right", "choose", "Answer", show=False),
    ]

    @dataclass
    class Moved(Message):
        """The cursor is on another question."""

        question: Question

    @dataclass
    class Chosen(Message):
        """Somebody wants to answer the question under the cursor."""

        question: Question

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._rows: list[Row] = []
        self._index: dict[tuple[str, str], int] = {}
        self._key: tuple[str, str] | None = None
        self._at, self._now = 0, 0

    @property
    def current(self) -> Question | None:
        """The question under the cursor; None where there is none any more."""
        index = None if self._key is None else self._index.get(self._key)
        return None if index is None else self._rows[index].question

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def show(self, rows: list[Row], now_us: int) -> None:
        """Show these rows, oldest first, with the cursor and the view on what they were on."""
        above = self._at * HEIGHT - self.scroll_offset.y
        self._rows, self._now = rows, now_us
        self._index = {row.key: n for n, row in enumerate(rows)}
        self.virtual_size = Size(self.size.width, len(rows) * HEIGHT)
        if not self._key and rows:
            self._go(0)
        elif self._key in self._index:
            self._at = self._index[self._key]
            self.scroll_to(y=max(0, self._at * HEIGHT - above), animate=False, immediate=True)
        self.refresh()

    def select(self, key: tuple[str, str]) -> None:
        """Put the cursor on a question, if it is there."""
        if key in self._index:
            self._go(self._index[key])

    # -- moving --------------------------------------------------------------------------------------------------

    def _go(self, index: int) -> None:
        if not self._rows:
            return
        self._at = max(0, min(index, len(self._rows) - 1))
        row = self._rows[self._at]
        is_new, self._key = row.key != self._key, row.key
        region = Region(0, self._at * HEIGHT, max(1, self.size.width), HEIGHT)
        self.scroll_to_region(region, animate=False, force=True, immediate=True)
        self.refresh()
        if is_new:
            self.post_message(self.Moved(row.question))

    def action_move(self, by: int) -> None:
        """Move the cursor; from a question that went away, to the one that took its place."""
        went_away = self._key not in self._index
        self._go(self._at if went_away and by > 0 else self._at + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by what is seen."""
        self._go(self._at + by * max(1, self.size.height // HEIGHT - 1))

    def action_edge(self, index: int) -> None:
        """Move the cursor to the first or last question."""
        self._go(index if index >= 0 else len(self._rows) - 1)

    def action_choose(self) -> None:
        """Answer the question under the cursor."""
        if self.current is not None:
            self.post_message(self.Chosen(self.current))

    def on_click(self, event: Click) -> None:
        """Move the cursor to what was clicked; a second click answers it."""
        index = (event.y + self.scroll_offset.y) // HEIGHT
        if index >= len(self._rows):
            return
        self._go(index)
        if event.chain > 1:
            self.action_choose()

    # -- drawing -------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """Return one line of the screen."""
        width, base = self.size.width, self.rich_style
        index, part = divmod(y + self.scroll_offset.y, HEIGHT)
        if index >= len(self._rows):
            return Strip.blank(width, base)
        row, is_here = self._rows[index], self._rows[index].key == self._key
        style = self.get_component_rich_style("row--cursor") if is_here else base
        segments = self._head(row, style, is_here) if part == 0 else self._question(row, style, is_here)
        return Strip(segments).adjust_cell_length(width, style)

    def _head(self, row: Row, style: Style, is_here: bool) -> list[Segment]:
        told = clip(row.note or times(row.question, self._now), MAX_TIMES)
        age_style = self.get_component_rich_style("row--note") if row.note else style
        mark = "▌" if is_here else " "
        room = self.size.width - len(mark) - len(told) - 2
        name = clip(clean(f"{row.question.flow} {row.question.wait}"), max(room, 1))
        padding = " " * max(1, self.size.width - len(mark) - cells(name) - len(told) - 1)
        bold = style + Style(bold=True)
        return [Segment(mark, style), Segment(name, bold), Segment(padding, style), Segment(told, style + age_style)]

    def _question(self, row: Row, style: Style, is_here: bool) -> list[Segment]:
        text = clip(clean(row.question.head), max(self.size.width - 3, 1))
        dim = style if is_here else self.get_component_rich_style("row--dim")
        return [Segment("▌" if is_here else " ", style), Segment(f" {text}", dim)]
