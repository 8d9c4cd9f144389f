"""The fields that hold others: objects, lists, unions; and which widget each kind of field has.

Owns: what comes and goes as items are added or another kind is chosen. Each is made when it is shown, so that a schema
that holds itself ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import on
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Select

from kitaru.tui.controls import ChoiceView, FieldView, JsonView, LinesView, LineView, NullView, SwitchView
from kitaru.tui.fields import MAX_ITEMS, MISSING, Field, Form, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult
    from textual.widget import Widget


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
