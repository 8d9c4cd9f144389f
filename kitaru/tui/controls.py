"""One widget for each kind of field: what it shows, and the JSON value it holds.

Owns: how a field is typed or chosen. Whether a value fits, the schema says: what was typed and is no number is handed
on as the text that it is, and refused there.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import on
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Input, Label, Select, Static, Switch, TextArea

from kitaru.tui.fields import MAX_ITEMS, MISSING, Field, Form, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult
    from textual.widget import Widget


class FieldView(Vertical):
    """A field: its name, its control, what it may be, and what is wrong with it.

    Attributes:
        touched: somebody has been here, so that an empty field may be complained of.
    """

    def __init__(self, form: Form, field: Field) -> None:
        super().__init__(classes=f"field {field.kind}")
        self.form, self.field = form, field
        self.touched = False

    def compose(self) -> ComposeResult:
        """Yield the row and the lines below it."""
        with Horizontal(classes="row"):
            yield from self._heading()
            yield from self.control()
        yield from self._below()

    def _heading(self) -> ComposeResult:
        if self.field.title:
            mark = " *" if self.field.required and self.field.begin is MISSING else ""
            yield Label(f"{self.field.title}{mark}", markup=False, classes="name")

    def _below(self) -> ComposeResult:
        told = " · ".join(part for part in (self.field.about, self._told()) if part)
        if told:
            yield Static(told, markup=False, classes="about")
        problem = Static("", markup=False, classes="problem")
        problem.display = False
        yield problem

    def _told(self) -> str:
        return self.field.told

    def control(self) -> ComposeResult:
        """Yield what is typed into or chosen from."""
        raise NotImplementedError

    def value(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return what is typed or chosen, or MISSING."""
        raise NotImplementedError

    def inner(self) -> Iterator[FieldView]:
        """Yield the fields inside this one."""
        return iter(())

    def views(self) -> Iterator[FieldView]:
        """Yield this field and all below it, outer ones first."""
        yield self
        for view in self.inner():
            yield from view.views()

    def tell(self, problem: str) -> None:
        """Show what is wrong; nothing where it is empty."""
        for line in self.query_children(".problem").results(Static):
            line.update(problem)
            line.display = bool(problem)
        self.set_class(bool(problem), "-wrong")


class SwitchView(FieldView):
    """A boolean."""

    def control(self) -> ComposeResult:
        """Yield a switch."""
        yield Switch(self.field.begin is True, animate=False)

    def _told(self) -> str:
        return ""

    def value(self) -> bool:
        """Return whether it is on."""
        return self.query_one(Switch).value


class ChoiceView(FieldView):
    """One of a few values."""

    def control(self) -> ComposeResult:
        """Yield a select; a sole value only stands there."""
        options = self.field.options
        if len(options) == 1 and (self.field.required or self.field.begin is not MISSING):
            yield Label(options[0][0], markup=False)
            return
        prompts = [(Text(label), n) for n, (label, _) in enumerate(options)]
        begin = self.field.begin
        chosen = next((n for n, (_, v) in enumerate(options) if v == begin and type(v) is type(begin)), Select.NULL)
        yield Select(prompts, value=chosen, prompt="choose", compact=True)

    def _told(self) -> str:
        return ""

    def value(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the value that is chosen."""
        found = self.query(Select)
        chosen = found.first().value if found else 0
        return self.field.options[chosen][1] if isinstance(chosen, int) else MISSING


class LineView(FieldView):
    """A text of one line, or a number."""

    def control(self) -> ComposeResult:
        """Yield an input."""
        begin = self.field.begin
        text = "" if begin is MISSING or begin is None else begin if isinstance(begin, str) else json.dumps(begin)
        yield Input(text, compact=True, select_on_focus=False)

    def value(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the text, or the number that it is; MISSING where an empty field may be left out."""
        text = self.query_one(Input).value
        if self.field.kind is Kind.LINE:
            return text if text or self._keeps_empty() else MISSING
        return _number(text.strip(), self.field.kind) if text.strip() else MISSING

    def _keeps_empty(self) -> bool:
        """Tell whether nothing typed means an empty text: where there was one, and where a text is asked for."""
        return self.field.begin is not MISSING or (not self.field.place and self.touched)


class LinesView(FieldView):
    """A text of several lines."""

    def control(self) -> ComposeResult:
        """Yield a text area."""
        begin = self.field.begin
        yield TextArea(begin if isinstance(begin, str) else "", compact=True)

    def value(self) -> Any:  # noqa: ANN401 - a text or MISSING
        """Return the text; MISSING where it is empty and nothing was there before."""
        text = self.query_one(TextArea).text
        return text if text or self.field.begin is not MISSING else MISSING


class JsonView(FieldView):
    """Anything, typed as JSON."""

    def control(self) -> ComposeResult:
        """Yield a text area."""
        begin = self.field.begin
        text = "" if begin is MISSING else json.dumps(begin, indent=2, ensure_ascii=True)
        yield TextArea(text, compact=True, language=None)

    def _told(self) -> str:
        return f"{self.field.told}, as JSON" if self.field.told else "as JSON"

    def value(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return what the text says; a text that is no JSON is handed on as `NotJson`."""
        text = self.query_one(TextArea).text
        if not text.strip():
            return MISSING
        try:
            return json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            return NotJson(f"no JSON: {error}")


class NotJson(str):
    """Why what was typed is no JSON."""

    __slots__ = ()


class NullView(FieldView):
    """Nothing."""

    def compose(self) -> ComposeResult:
        """Yield nothing: the kind that was chosen says it."""
        return iter(())

    def value(self) -> None:
        """Return None."""
        return


class GroupView(FieldView):
    """Fields of an object."""

    def compose(self) -> ComposeResult:
        """Yield the group's name, and its fields indented."""
        yield from self._heading()
        yield from self._below()
        with Vertical(classes="inside" if self.field.title else "whole"):
            yield from [view_of(self.form, member) for member in self.form.members(self.field)]

    def inner(self) -> Iterator[FieldView]:
        """Yield the fields of the object."""
        return iter(self.query_one(Vertical).query_children(FieldView).results(FieldView))

    def value(self) -> Any:  # noqa: ANN401 - a dict or MISSING
        """Return the object of what is filled in; MISSING where nothing is and nothing need be."""
        found = {view.field.name: view.value() for view in self.inner()}
        kept = {name: value for name, value in found.items() if value is not MISSING}
        if not kept and not self.field.required and self.field.begin is MISSING:
            return MISSING
        return kept


class ListView(FieldView):
    """Items of one kind, to be added and removed."""

    def compose(self) -> ComposeResult:
        """Yield the list's name, its items, and the button that adds one."""
        with Horizontal(classes="row"):
            yield from self._heading()
            yield Button("+ add", compact=True, classes="add")
        begin = self.field.begin if isinstance(self.field.begin, list) else []
        with Vertical(classes="inside"):
            yield from [self._item(n, value) for n, value in enumerate(begin[:MAX_ITEMS])]
        yield from self._below()

    def _item(self, index: int, begin: Any = MISSING) -> Item:  # noqa: ANN401 - any JSON value
        return Item(view_of(self.form, self.form.item(self.field, index, begin)))

    def _items(self) -> list[Item]:
        return list(self.query_one(".inside", Vertical).query_children(Item).results(Item))

    def inner(self) -> Iterator[FieldView]:
        """Yield the items."""
        return iter([item.view for item in self._items()])

    def value(self) -> Any:  # noqa: ANN401 - a list or MISSING
        """Return the items; MISSING where there are none and nothing need be."""
        found = [None if (value := view.value()) is MISSING else value for view in self.inner()]
        if not found and not self.field.required and not self.touched and self.field.begin is MISSING:
            return MISSING
        return found

    @on(Button.Pressed, ".add")
    async def _add(self, event: Button.Pressed) -> None:
        if event.button not in self.query_children(".row").first(Horizontal).children:
            return
        event.stop()
        count = len(self._items())
        if count < MAX_ITEMS:
            self.touched = True
            item = self._item(count)
            await self.query_one(".inside", Vertical).mount(item)
            focus_first(item)
            self.post_message(Reshaped())

    @on(Button.Pressed, ".remove")
    async def _remove(self, event: Button.Pressed) -> None:
        items = self._items()
        index = next((n for n, item in enumerate(items) if item is event.button.parent), None)
        if index is None:
            return
        event.stop()
        self.touched = True
        values = [item.view.value() for item in items]
        del values[index]
        inside = self.query_one(".inside", Vertical)
        await inside.remove_children()
        await inside.mount_all([self._item(n, value) for n, value in enumerate(values)])
        self.post_message(Reshaped())


class Item(Horizontal):
    """An item of a list and the button that takes it out."""

    def __init__(self, view: FieldView) -> None:
        super().__init__(classes="item")
        self.view = view

    def compose(self) -> ComposeResult:
        """Yield the item, and the button."""
        yield self.view
        yield Button("✕", compact=True, classes="remove")


class UnionView(FieldView):
    """One of several kinds of value: the kind is chosen, then the value filled in."""

    def __init__(self, form: Form, field: Field) -> None:
        super().__init__(form, field)
        self._branches = form.branches(field)
        self._chosen = form.chosen(field, self._branches)

    @property
    def chosen(self) -> Field:
        """The field of the kind that is chosen."""
        return self._branches[self._chosen]

    def compose(self) -> ComposeResult:
        """Yield the select of the kind, and below it the value's own field."""
        with Horizontal(classes="row"):
            yield from self._heading()
            prompts = [(Text(self.form.label(branch)), n) for n, branch in enumerate(self._branches)]
            yield Select(prompts, value=self._chosen, allow_blank=False, compact=True, classes="branch")
        with Vertical(classes="inside"):
            yield view_of(self.form, self.chosen)
        yield from self._below()

    def inner(self) -> Iterator[FieldView]:
        """Yield the field of the kind that is chosen."""
        return iter(self.query_one(".inside", Vertical).query_children(FieldView).results(FieldView))

    def value(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the value of the kind that is chosen."""
        found = next(self.inner(), None)
        return MISSING if found is None else found.value()

    @on(Select.Changed, ".branch")
    async def _choose(self, event: Select.Changed) -> None:
        if event.select.parent not in self.children or event.value == self._chosen:
            return
        event.stop()
        self._chosen = int(str(event.value))
        self.touched = True
        inside = self.query_one(".inside", Vertical)
        await inside.remove_children()
        await inside.mount(view_of(self.form, self.chosen))
        self.post_message(Reshaped())


class Reshaped(Message):
    """Fields came or went."""


def view_of(form: Form, field: Field) -> FieldView:
    """Return the widget of a field."""
    return _VIEWS[field.kind](form, field)


def focus_first(widget: Widget) -> bool:
    """Focus the first thing in a widget that can be; tell whether there is one."""
    for inner in widget.query("Input, TextArea, Select, Switch, Button"):
        if inner.focusable:
            inner.screen.set_focus(inner)
            return True
    return False


def _number(text: str, kind: Kind) -> int | float | str:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        found = float(text)
    except ValueError:
        return text
    return found if math.isfinite(found) and kind is Kind.NUMBER else text


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_VIEWS: dict[Kind, type[FieldView]] = {
    Kind.SWITCH: SwitchView,
    Kind.CHOICE: ChoiceView,
    Kind.INTEGER: LineView,
    Kind.NUMBER: LineView,
    Kind.LINE: LineView,
    Kind.LINES: LinesView,
    Kind.GROUP: GroupView,
    Kind.LIST: ListView,
    Kind.UNION: UnionView,
    Kind.NULL: NullView,
    Kind.JSON: JsonView,
}
