"""The form below a question: its fields, what is wrong with them, a note, and the buttons that answer.

Owns: when a problem is shown: at its field as soon as somebody was there, everywhere once an answer was tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual import on
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Button, Input, Label, Select, Static, Switch, TextArea

from kitaru.tui.controls import FieldView, NotJson
from kitaru.tui.fields import MISSING, Form, by_place
from kitaru.tui.nested import Reshaped, UnionView, focus_first, view_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.events import DescendantBlur
    from textual.widget import Widget

    from kitaru.project.inbox import Inbox
    from kitaru.project.questions import Asked, Question

NOTE_PROMPT = "why, for the record"


class AnswerForm(VerticalScroll, can_focus=False):
    """The form of one question; `Answered` tells what somebody wants to answer.

    Args:
        inbox: says what fits.
    """

    @dataclass
    class Answered(Message):
        """Somebody wants to answer: a value that fits; of an approval, which still is to be confirmed, a boolean.

        Attributes:
            is_rejection: the run is to end here instead, which is to be confirmed, too.
        """

        asked: Asked
        value: Any
        note: str
        is_approval: bool = False
        is_rejection: bool = False

    def __init__(self, inbox: Inbox, *, id: str) -> None:
        super().__init__(id=id)
        self._inbox = inbox
        self._asked: Asked | None = None
        self._form: Form | None = None
        self._was_tried = False

    @property
    def is_approval(self) -> bool:
        """Whether yes or no is the answer."""
        return self._asked is not None and self._asked.question.is_approval

    @property
    def question(self) -> Question | None:
        """Whose form it is."""
        return self._asked.question if self._asked is not None else None

    async def show(self, asked: Asked | None) -> None:
        """Show the form of a question, or none."""
        self._asked, self._form, self._was_tried = asked, None, False
        self.set_class(bool(asked and asked.question.is_approval), "-approval")
        await self.remove_children()
        if asked is None:
            return
        widgets: list[Widget] = []
        if not asked.question.is_approval:
            self._form = Form(asked.schema, self._inbox.misfits, self._inbox.describe)
            widgets = [view_of(self._form, self._form.root)]
        await self.mount_all([*widgets, *self._foot(asked)])
        self._check()

    def _foot(self, asked: Asked) -> Iterator[Widget]:
        note = Input(placeholder=NOTE_PROMPT, compact=True, id="note", select_on_focus=False)
        yield Horizontal(Label("note", classes="name"), note, classes="row")
        if asked.question.is_approval:
            yield Horizontal(
                Button("Yes  y", variant="success", compact=True, id="yes"),
                Button("No  n", variant="error", compact=True, id="no"),
                classes="row buttons",
            )
        else:
            problem = Static("", markup=False, id="problem")
            yield Horizontal(
                Button("Answer  ^s", variant="primary", compact=True, id="answer"), problem, classes="row buttons"
            )

    # -- what is wrong -------------------------------------------------------------------------------------------

    @property
    def root(self) -> FieldView | None:
        """The field of the answer as a whole; None where there is no form."""
        return next(iter(self.query_children(FieldView).results(FieldView)), None)

    def value(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return what is filled in, or MISSING."""
        return MISSING if self.root is None else self.root.value()

    def problems(self) -> dict[str, str]:
        """Return what is wrong, by the place of the field that it is shown at."""
        root, form = self.root, self._form
        if root is None or form is None:
            return {}
        views, value = list(root.views()), root.value()
        not_json = {v.field.place: str(found) for v in views if isinstance(found := v.value(), NotJson)}
        if value is MISSING:
            return {"": "an answer is required"}
        unions = [v for v in views if isinstance(v, UnionView)]
        chosen = [(v.chosen, inner) for v in unions if (inner := v.value()) is not MISSING]
        told = form.misfits(value, chosen)
        return {**by_place({v.field.place for v in views}, told), **not_json}

    def _check(self) -> bool:
        """Show what is wrong, and tell whether nothing is."""
        root = self.root
        if root is None:
            return True
        problems, shown = self.problems(), set[str]()
        for view in root.views():
            place = view.field.place
            seen = (self._was_tried or view.touched) and place not in shown
            problem = problems.get(place, "") if seen else ""
            view.tell(problem)
            if problem:
                shown.add(place)
        self._tell_count(problems)
        return not problems

    def _tell_count(self, problems: dict[str, str]) -> None:
        words = f"{len(problems)} to mend" if self._was_tried and problems else ""
        for line in self.query("#problem").results(Static):
            line.update(words)

    @on(Input.Changed)
    @on(TextArea.Changed)
    @on(Select.Changed)
    @on(Switch.Changed)
    def _changed(self, event: Input.Changed | TextArea.Changed | Select.Changed | Switch.Changed) -> None:
        event.stop()
        if event.control.has_focus or isinstance(event.control, Select):
            self._touch(event.control)
        self._check()

    @on(Reshaped)
    def _reshaped(self) -> None:
        self._check()

    def on_descendant_blur(self, event: DescendantBlur) -> None:
        """Complain of a field that somebody leaves."""
        if event.widget.is_attached and not isinstance(event.widget, Button):
            self._touch(event.widget)
            self._check()

    def _touch(self, widget: Widget) -> None:
        view = next((node for node in widget.ancestors if isinstance(node, FieldView)), None)
        if view is not None:
            view.touched = True

    # -- answering -----------------------------------------------------------------------------------------------

    @on(Button.Pressed, "#yes")
    def _yes(self) -> None:
        self.approve(yes=True)

    @on(Button.Pressed, "#no")
    def _no(self) -> None:
        self.approve(yes=False)

    @on(Button.Pressed, "#answer")
    def _answer(self) -> None:
        self.submit()

    def approve(self, *, yes: bool) -> None:
        """Answer yes or no, where that is the answer."""
        if self._asked is not None and self.is_approval:
            self.post_message(self.Answered(self._asked, yes, self._note(), is_approval=True))

    def submit(self) -> None:
        """Answer with what is filled in, if it fits; else show what does not, and go there."""
        if self._asked is None or self.is_approval:
            return
        self._was_tried = True
        if self._check():
            self.post_message(self.Answered(self._asked, self.value(), self._note()))
            return
        wrong = [view for view in self.query(FieldView).results(FieldView) if view.has_class("-wrong")]
        if wrong:
            focus_first(wrong[0])

    def reject(self) -> None:
        """End the run here, instead of answering."""
        if self._asked is not None:
            self.post_message(self.Answered(self._asked, None, self._note(), is_rejection=True))

    def _note(self) -> str:
        return self.query_one("#note", Input).value.strip()

    def enter(self) -> None:
        """Focus the first field; of an approval the button that says yes, which is still to be confirmed."""
        if self.is_approval:
            self.screen.set_focus(self.query_one("#yes", Button))
        else:
            focus_first(self)
