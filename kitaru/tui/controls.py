"""One widget for each kind of field: what it shows, and the JSON value it holds.

Owns: how a field is typed or chosen. Whether a value fits, the schema says: what was typed and is no number is handed
on as the text that it is, and refused there.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label, Select, Static, Switch, TextArea

from kitaru.tui.fields import MISSING, Field, Form, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult


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
