"""The application: its screens, the clock that writes answers, and looking for new questions.

Owns: when the store is looked at, and that an answer is written once, after its countdown. Never blocks: whatever
reads or writes the store is done by threads.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import App, SystemCommand
from textual.binding import Binding

from kitaru.errors import KitaruError
from kitaru.project.inbox import NOT_CARRIED
from kitaru.text import clean
from kitaru.tui.answers_screen import Answers
from kitaru.tui.asking import Confirm, Help, Leave
from kitaru.tui.form import AnswerForm
from kitaru.tui.inbox_screen import InboxScreen
from kitaru.tui.pending import UNDO_S, Pending, Session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.screen import Screen

    from kitaru.project.inbox import Inbox

POLL_S = 1.0
TICK_S = 0.25
SHARE = 20
"""Looking for questions takes at most one part in so many of the time."""


class InboxApp(App[None]):
    """The inbox of a project.

    Args:
        inbox: what is asked.
        undo_s: how long an answer can be taken back.
        is_live: look for new questions and write answers as time passes; else only when told, by `poll` and `tick`.
    """

    CSS_PATH = "inbox.tcss"
    TITLE = "kitaru inbox"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "toggle_light", "Light/dark", show=False),
        Binding("question_mark,f1", "help", "Help", key_display="?"),
        Binding("q", "leave", "Quit"),
        Binding("ctrl+q", "leave", "Quit", show=False, priority=True),
    ]

    def __init__(self, inbox: Inbox, *, undo_s: float = UNDO_S, is_live: bool = True) -> None:
        super().__init__()
        self._inbox, self._is_live = inbox, is_live
        self.session = Session(undo_s)
        self.inbox_screen = InboxScreen(inbox, self.session)

    def get_default_screen(self) -> Screen[Any]:
        """Return the list of questions."""
        return self.inbox_screen

    def on_mount(self) -> None:
        """Look for questions, at once and from now on."""
        self.run_worker(self.poll(), group="poll")
        if self._is_live:
            self.set_interval(TICK_S, self.tick)

    # -- looking -------------------------------------------------------------------------------------------------

    async def poll(self) -> None:
        """Look for questions, and for how the runs stand whose answers were given here."""
        began = time.monotonic()
        try:
            questions = await asyncio.to_thread(self._inbox.questions)
            await self._tell_statuses(await asyncio.to_thread(self._inbox.statuses, self.session.followed))
        except KitaruError as error:
            self.notify(error.message, severity="error", markup=False)
        else:
            self.inbox_screen.show_questions(questions)
            self.inbox_screen.tick()
            if isinstance(self.screen, Answers):
                await self.screen.reload()
        if self._is_live:
            took_s = time.monotonic() - began
            self.set_timer(max(POLL_S, took_s * SHARE), lambda: self.run_worker(self.poll(), group="poll"))

    async def _tell_statuses(self, found: dict[str, str]) -> None:
        before = self.session.statuses
        for run in [run for run, status in found.items() if status == NOT_CARRIED != before.get(run)]:
            why = await asyncio.to_thread(self._inbox.why_not, run)
            told = f"run {run} is not carried on: {why}\nc among the answers tries once more"
            self.notify(clean(told, lines=True), severity="error", timeout=30, markup=False)
        self.session.statuses |= found

    def tick(self) -> None:
        """Write the answers whose time has come."""
        if not self.session.pending:
            return
        for pending in self.session.due(self._inbox.now_us()):
            self.run_worker(self.write(pending), group="write")
        self.inbox_screen.tick()

    # -- answering -----------------------------------------------------------------------------------------------

    @on(AnswerForm.Answered)
    def _answered(self, event: AnswerForm.Answered) -> None:
        if not (event.is_approval or event.is_rejection):
            self._give(event)
            return
        if isinstance(self.screen, Confirm):
            return  # the key was pressed twice before the screen changed
        question = event.asked.question
        word, key = ("Reject", "x") if event.is_rejection else ("Yes to", "y") if event.value else ("No to", "n")
        text = f"{word} {question.wait} of {question.flow}, run {question.run}?"
        if event.is_rejection:
            text += "\nThe run ends here, as cancelled."
        self.push_screen(Confirm(text, key), lambda meant: self._give(event) if meant else None)

    def _give(self, event: AnswerForm.Answered) -> None:
        asked, now = event.asked.question, self._inbox.now_us()
        self.session.give(asked, event.value, event.note, now, is_rejection=event.is_rejection)
        self.inbox_screen.set_focus(self.inbox_screen.query_one("#list"))
        self.inbox_screen.tick()

    async def write(self, pending: Pending) -> None:
        """Write an answer, off the loop, and have its run carried on."""
        pending.is_writing = True
        try:
            await asyncio.to_thread(self._write, pending)
        except KitaruError as error:
            self.session.failed(pending)
            told = f"{error.message}\n{error.hint}" if error.hint else error.message
            self.notify(clean(told, lines=True), severity="error", timeout=15, markup=False)
        else:
            self.session.written(pending)
        self.inbox_screen.tick()

    def _write(self, pending: Pending) -> None:
        if pending.is_rejection:
            self._inbox.reject(pending.question, note=pending.note)
        else:
            self._inbox.answer(pending.question, pending.value, note=pending.note)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Tell which keys there are now."""
        return self.session.has_undo if action == "undo" else True

    def action_undo(self) -> None:
        """Take the latest answer back."""
        self.session.undo()
        self.inbox_screen.tick()

    # -- keys ----------------------------------------------------------------------------------------------------

    def action_answers(self) -> None:
        """Show recent answers."""
        self.push_screen(Answers(self._inbox))

    def action_help(self) -> None:
        """Show every key."""
        if not isinstance(self.screen, Help):
            self.push_screen(Help())

    def action_toggle_light(self) -> None:
        """Change between light and dark."""
        self.theme = "textual-light" if self.theme == "textual-dark" else "textual-dark"

    def action_leave(self) -> None:
        """Quit; ask first where answers are on their way."""
        told = [f"{p.question.wait} of {p.question.run} = {p.told}" for p in self.session.pending]
        if isinstance(self.screen, Leave):
            return
        if told:
            self.push_screen(Leave(told), self._leave)
        else:
            self.exit()

    async def action_quit(self) -> None:
        """Quit, as the palette says it."""
        self.action_leave()

    def _leave(self, choice: str | None) -> None:
        if choice == "drop":
            self.exit()
        elif choice == "write":
            self.run_worker(self._write_and_leave(), group="write")

    async def _write_and_leave(self) -> None:
        waiting = [pending for pending in self.session.pending if not pending.is_writing]
        await asyncio.gather(*[self.write(pending) for pending in waiting])
        if not self.session.pending:
            self.exit()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Yield what the command palette offers."""
        yield from super().get_system_commands(screen)
        yield SystemCommand("Filter", "Find a question", self.inbox_screen.action_filter)
        yield SystemCommand("Recent answers", "What was answered, and how the runs stand", self.action_answers)
        yield SystemCommand("Undo", "Take back the latest answer, while it counts down", self.action_undo)
        yield SystemCommand("Light or dark", "Change the colours", self.action_toggle_light)
        yield SystemCommand("Help", "Every key", self.action_help)
