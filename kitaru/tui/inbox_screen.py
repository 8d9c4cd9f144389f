"""The first screen: the open questions, the one under the cursor in full, and its form.

Owns: which question is shown, and what is told of one that is no longer open. Reads off the loop, always.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer, Input, Static

from kitaru.errors import KitaruError, UnknownRun, UnknownWait
from kitaru.text import clean, local_time
from kitaru.tui.form import AnswerForm
from kitaru.tui.pending import answer_told
from kitaru.tui.shown import Page
from kitaru.tui.wait_list import Row, WaitList, matching

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from kitaru.project.inbox import Inbox
    from kitaru.project.questions import Given, Question
    from kitaru.tui.pending import Session

NARROW = 100
"""Columns below which the list gets fewer of them."""
TYPING_S = 0.15
"""How long nothing must be typed into the filter before the first question that fits is read."""
MAX_NOTE = 4
"""Columns of an answer that stands in the list as it counts down."""


class InboxScreen(Screen[None]):
    """The list on the left, a question and its form on the right.

    Args:
        inbox: what is asked.
        session: the answers on their way.
    """

    AUTO_FOCUS = "#list"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW, "-wide")]  # noqa: RUF012 - textual declares it for instances
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "approve(True)", "Yes"),
        Binding("n", "approve(False)", "No"),
        Binding("ctrl+s", "submit", "Answer", key_display="^s", priority=True),
        Binding("x", "reject", "Reject"),
        Binding("u", "app.undo", "Undo"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("a", "app.answers", "Answers"),
        Binding("r", "reload", "Reload", show=False),
        Binding("escape", "leave", "List", show=False),
    ]

    def __init__(self, inbox: Inbox, session: Session) -> None:
        super().__init__()
        self._inbox, self._session = inbox, session
        self._questions: list[Question] | None = None
        self._shown: Question | None = None
        self._is_open = False
        self._filter = ""
        self._keys: tuple[bool, ...] = ()

    def compose(self) -> ComposeResult:
        """Yield the panes."""
        yield Static("", markup=False, id="top")
        with Horizontal(id="panes"):
            with Vertical(id="left"):
                yield Input(placeholder="/ to filter", compact=True, id="filter", select_on_focus=False)
                yield WaitList(id="list")
            with Vertical(id="right"):
                yield Static("", markup=False, id="heading")
                yield Static("", markup=False, id="banner")
                yield Page(id="page")
                yield AnswerForm(self._inbox, id="form")
        yield Static("", markup=False, id="status")
        yield Footer(show_command_palette=False)

    # -- what there is -------------------------------------------------------------------------------------------

    @property
    def question(self) -> Question | None:
        """The question that is shown, while it is open."""
        return self._shown if self._is_open else None

    def show_questions(self, questions: list[Question]) -> None:
        """Show these open questions; the cursor stays where it is."""
        is_first, self._questions = self._questions is None, questions
        self._relist()
        if self._shown is not None and not self._is_among(questions) and self._is_open:
            self.run_worker(self._gone(self._shown), group="gone", exclusive=True)
        if is_first and not questions:
            self.run_worker(self.query_one(Page).tell(self._nothing()), group="page", exclusive=True)

    def _is_among(self, questions: list[Question]) -> bool:
        shown = self._shown
        return shown is not None and any(q.key == shown.key for q in questions)

    def _nothing(self) -> str:
        where = f"run {self._inbox.only}" if self._inbox.only else "any run"
        return f"no open questions in {where}\n\nNew ones appear here by themselves."

    def _relist(self) -> None:
        now, questions = self._inbox.now_us(), self._questions or []
        rows = [Row(question, self._countdown(question, now)) for question in questions]
        found = matching(rows, self._filter)
        self.query_one(WaitList).show(found, now)
        counted = f"{len(found)} of {len(rows)}" if self._filter else str(len(rows))
        damaged = f" · {self._inbox.damaged} runs cannot be read: kitaru fsck" if self._inbox.damaged else ""
        only = f" · run {self._inbox.only}" if self._inbox.only else ""
        told = f" kitaru inbox · {clean(self._inbox.name)}{only} · {counted} open{damaged}"
        self.query_one("#top", Static).update(told, layout=False)

    def _countdown(self, question: Question, now_us: int) -> str:
        pending = self._session.find(question)
        if pending is None:
            return ""
        told = pending.told if len(pending.told) <= MAX_NOTE else ""
        return f"{told} {pending.left_s(now_us)}s".strip()

    def tick(self) -> None:
        """Show the countdown, and what became of answers."""
        now = self._inbox.now_us()
        self.query_one("#status", Static).update(f" {self._session.told(now)}", layout=False)
        self._relist()
        self._tell()

    # -- one question --------------------------------------------------------------------------------------------

    @on(WaitList.Moved)
    def _moved(self, event: WaitList.Moved) -> None:
        is_typing = self.query_one("#filter", Input).has_focus
        self._load(event.question, TYPING_S if is_typing else 0)

    @on(AnswerForm.Answered)
    def _answered(self, event: AnswerForm.Answered) -> None:
        if event.asked.question is not self._shown:
            event.stop()  # the form of the question before, which is about to be replaced

    @on(WaitList.Chosen)
    def _chosen(self) -> None:
        if self._is_open:
            self.query_one(AnswerForm).enter()

    def _load(self, question: Question, after_s: float = 0) -> None:
        """Show a question, unless another one is to be shown within a moment."""
        self._shown, self._is_open = question, True
        self.run_worker(self._read(question, after_s), group="page", exclusive=True)

    async def _read(self, question: Question, after_s: float) -> None:
        await asyncio.sleep(after_s)
        page, form = self.query_one(Page), self.query_one(AnswerForm)
        try:
            asked = await asyncio.to_thread(self._inbox.read, question)
        except KitaruError as error:
            self._is_open = False
            await form.show(None)
            await page.tell(error.message)
            self._tell()
            return
        await page.show(asked)
        await form.show(asked)
        self._tell()

    async def _gone(self, question: Question) -> None:
        """Say what became of the question that is shown."""
        try:
            fate = _fate(await asyncio.to_thread(self._inbox.fate, question))
        except UnknownWait:
            fate = _fate(None)
        except UnknownRun:
            fate = "no longer open: the run is gone"
        except KitaruError as error:
            fate = f"no longer open: {error.message}"
        if self._shown is question:
            self._is_open = False
            self._tell(fate)

    def _tell(self, fate: str = "") -> None:
        """Show whose question it is, and whether it can still be answered."""
        question = self._shown
        if question is None:
            return
        pending = self._session.find(question)
        form, banner = self.query_one(AnswerForm), self.query_one("#banner", Static)
        form.disabled = not self._is_open or pending is not None
        deadline = f" · until {local_time(question.deadline)}" if question.deadline else ""
        told = f"{question.flow} v{question.version} · {question.wait} · run {question.run}{deadline}"
        self.query_one("#heading", Static).update(f" {clean(told)}", layout=False)
        sent = self._session.sent.get(question.key)
        if pending is not None:
            fate = f"answered {pending.told}: written in {pending.left_s(self._inbox.now_us())} s, u takes it back"
        elif sent is not None:
            fate = f"answered {sent.told} · run {self._session.statuses.get(question.run, '')}"
        if fate or self._is_open:
            banner.update(f" {clean(fate)}", layout=False)
        banner.display = bool(fate) or not self._is_open
        self._renew_keys(form)

    def _renew_keys(self, form: AnswerForm) -> None:
        """Show the keys that there are now, where they are others than before: drawing them takes its time."""
        keys = (form.disabled, form.is_approval, form.root is None, self._session.has_undo)
        if keys != self._keys:
            self._keys = keys
            self.refresh_bindings()

    # -- keys ----------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Tell which keys there are now."""
        form = self.query_one(AnswerForm) if self.is_mounted else None
        may_answer = form is not None and self._is_open and not form.disabled and form.question is self._shown
        if action == "reject":
            return may_answer
        if action == "approve":
            return may_answer and form is not None and form.is_approval
        if action == "submit":
            return may_answer and form is not None and form.root is not None
        return True

    def action_approve(self, yes: bool) -> None:
        """Answer yes or no."""
        self.query_one(AnswerForm).approve(yes=yes)

    def action_submit(self) -> None:
        """Answer with what is filled in."""
        self.query_one(AnswerForm).submit()

    def action_reject(self) -> None:
        """End the run at the question."""
        self.query_one(AnswerForm).reject()

    def action_filter(self) -> None:
        """Go to the filter."""
        self.set_focus(self.query_one("#filter", Input))

    def action_leave(self) -> None:
        """Go back to the list; from the filter, clear it too."""
        line = self.query_one("#filter", Input)
        if line.has_focus:
            line.value = ""
        self.set_focus(self.query_one(WaitList))

    def action_reload(self) -> None:
        """Read the question again."""
        if self._shown is not None:
            self._load(self._shown)

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        self._filter = event.value.strip()
        self._relist()
        found = self.query_one(WaitList)
        if found.current is None:
            found.action_edge(0)

    @on(Input.Submitted, "#filter")
    def _found(self) -> None:
        self.set_focus(self.query_one(WaitList))


def _fate(given: Given | None) -> str:
    if given is None:
        return "no longer open: the run does not ask this any more"
    if given.source == "default":
        return f"nobody answered in time: {answer_told(given.value.data)}, the default · run {given.status}"
    if given.source != "person":
        return f"{given.source} · run {given.status}"
    return f"answered by {given.by or 'somebody'}: {answer_told(given.value.data)} · run {given.status}"
