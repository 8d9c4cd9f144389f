"""The second screen: recent answers, who gave them, and how their runs stand.

Owns: the table, and carrying on a run whose answer was recorded and not taken.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Static

from kitaru.errors import KitaruError
from kitaru.text import clean, clip
from kitaru.tui.pending import answer_told
from kitaru.tui.shown import Page
from kitaru.tui.wait_list import brief_age

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from kitaru.project.inbox import Inbox
    from kitaru.project.questions import Given

LIMIT = 50
COLUMNS = (("age", 4), ("flow", 16), ("wait", 12), ("answer", 14), ("by", 9), ("run", 11))


class Answers(Screen[None]):
    """Recent answers, newest first.

    Args:
        inbox: what is asked for them.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,a", "app.pop_screen", "Back"),
        ("c", "carry_on", "Carry the run on"),
        ("r", "reload", "Reload"),
    ]

    def __init__(self, inbox: Inbox) -> None:
        super().__init__()
        self._inbox = inbox
        self._given: list[Given] | None = None

    def compose(self) -> ComposeResult:
        """Yield the table, and below it the answer under its cursor."""
        yield Static(" recent answers", markup=False, id="top")
        table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=True, id="given")
        for name, width in COLUMNS:
            table.add_column(name, width=width)
        yield table
        yield Page(id="answer-page")
        yield Footer()

    async def on_mount(self) -> None:
        """Read the answers."""
        self.action_reload()

    def action_reload(self) -> None:
        """Read the answers again."""
        self.run_worker(self.reload(), group="recent", exclusive=True)

    async def reload(self) -> None:
        """Read the answers, off the loop, and show them with the cursor where it was."""
        try:
            found = await asyncio.to_thread(self._inbox.recent, LIMIT)
        except KitaruError as error:
            self.notify(error.message, severity="error", markup=False)
            return
        if found == self._given:
            return
        self._given = found
        table, now = self.query_one("#given", DataTable), self._inbox.now_us()
        at = table.cursor_row
        table.clear()
        for given in found:
            table.add_row(
                *[Text(clip(clean(text), width)) for text, (_, width) in zip(_row(given, now), COLUMNS, strict=True)]
            )
        table.move_cursor(row=min(at, max(0, len(found) - 1)))
        if not found:
            await self.query_one(Page).tell("nobody has answered anything yet")

    @on(DataTable.RowHighlighted)
    async def _show(self, event: DataTable.RowHighlighted) -> None:
        if self._given and event.cursor_row < len(self._given):
            await self.query_one(Page).show_given(self._given[event.cursor_row])

    def action_carry_on(self) -> None:
        """Carry on the run of the answer under the cursor, where nobody did."""
        at = self.query_one("#given", DataTable).cursor_row
        if not self._given or at >= len(self._given):
            return
        given = self._given[at]
        if given.taken and given.status != "interrupted":
            self.notify(f"run {given.run} has taken this answer", markup=False)
            return
        self.run_worker(self._carry_on(given.run), group="carry-on")

    async def _carry_on(self, run: str) -> None:
        try:
            await asyncio.to_thread(self._inbox.carry_on, run)
        except KitaruError as error:
            self.notify(error.message, severity="error", markup=False)
        else:
            self.notify(f"run {run} is carried on", markup=False)


def _row(given: Given, now_us: int) -> list[str]:
    return [brief_age(given.at, now_us), given.flow, given.wait, answer_told(given.value.data), given.by, given.status]
