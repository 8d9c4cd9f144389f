"""Asking a person for the answer to a wait, on a terminal.

Owns: how a question, its choices and fields look, here and in listings, and what may be typed for them. Whether an
answer is recorded, `Project` says.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from kitaru.cli.form import Form, has_fields, misfit, not_understood, numbered, understand
from kitaru.cli.keyboard import Keyboard, NoLongerWanted
from kitaru.cli.page import Page
from kitaru.cli.text import clean, duration, local_time
from kitaru.cli.value import brief, pretty
from kitaru.runtime.answers import described, resolve
from kitaru.runtime.examples import beside, example_json, fields
from kitaru.runtime.waits import answer_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.cli.page import Span
    from kitaru.model.history import WaitView
    from kitaru.project import Project

MAX_SHOWN_LINES = 20

MAX_QUESTION = 20_000
"""Characters of a question that are shown where it is asked, or listed; `kitaru show` has all."""


class AnsweredElsewhere(Exception):
    """Somebody else, or the deadline, settled the question while it was asked here; the text says who and what."""


def can_ask() -> bool:
    """Tell whether there is a person to ask: stdin and stderr are terminals."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(project: Project, wait: WaitView) -> str | None:
    """Show a wait on stderr and return what the person answers, as `kitaru answer` takes it; None for no answer now.

    Raises:
        AnsweredElsewhere: it was settled meanwhile.
    """
    _show(project, wait)
    keyboard = Keyboard(lambda: _is_settled(project, wait))
    try:
        return _asked(wait.record.schema, keyboard)
    except (EOFError, KeyboardInterrupt):
        sys.stderr.write("\n")
        return None
    except NoLongerWanted:
        sys.stderr.write("\n")
        raise AnsweredElsewhere(settled(project, wait)) from None


def _asked(schema: Mapping[str, Any], keyboard: Keyboard) -> str | None:
    if has_fields(schema):
        return Form(schema, keyboard.line, _say).fill()
    while typed := keyboard.line(prompt_for(schema)):
        text = understand(typed, schema)
        if text is None:
            _say(not_understood(schema))
        elif wrong := misfit(text, schema):
            _say(wrong)
        else:
            return text
    return None


def _say(text: str) -> None:
    sys.stderr.write(f"{clean(text, lines=True)}\n")


def _is_settled(project: Project, wait: WaitView) -> bool:
    deadline = wait.record.deadline
    passed = deadline is not None and project.services.clock_us() >= deadline
    cancelled = project.repo.is_cancellation_there(wait.run)
    return passed or cancelled or project.repo.answer(wait.run, wait.record.digest) is not None


def settled(project: Project, wait: WaitView) -> str:
    """Return who settled a question, and how: `approve was answered by bob: True`."""
    given = project.repo.answer(wait.run, wait.record.digest)
    if given is None:
        cancelled = project.repo.is_cancellation_there(wait.run)
        return f"run {wait.run} is to be ended" if cancelled else f"the deadline of {wait.label} has passed"
    by = given.by or "somebody"
    if given.source == "rejected":
        return f"{wait.label} was rejected by {by}{f': {given.note}' if given.note else ''}"
    if given.source == "expired":
        return f"{wait.label} has expired"
    value = brief(project.value(given.value, wait.run))
    return f"{wait.label} was answered by {'default' if given.source == 'default' else by}: {value}"


def prompt_for(schema: Mapping[str, Any]) -> str:
    """Return what stands before the cursor."""
    listed = numbered(schema)
    if listed:
        return f"1-{len(listed)}: "
    kind = resolve(schema).get("type")
    return {"boolean": "y/n: ", "string": "> ", "integer": "number: ", "number": "number: "}.get(str(kind), "JSON: ")


def until(project: Project, wait: WaitView) -> str:
    """Return until when a question may be answered, and what comes then: `until … (for 2 d 03 h), then false`."""
    left = (wait.record.deadline or 0) - project.services.clock_us()
    when = f"until {local_time(wait.record.deadline or 0)}"
    when += f" (for {duration(left)})" if left > 0 else ", which has passed"
    if wait.record.default is None:
        return f"{when}, then it expires"
    return f"{when}, then {brief(project.value(wait.record.default, wait.run))}"


def question(page: Page, text: str, more: str, indent: str = "  ") -> None:
    """Add a question's text, cut where it is too long to be read; `more` is what to type for all of it."""
    page.block(text[:MAX_QUESTION], indent)
    if len(text) > MAX_QUESTION:
        page.line(f"{indent}… {len(text) - MAX_QUESTION} more characters: ", more, whole=True)


def field_rows(page: Page, schema: Mapping[str, Any], indent: str = "  ") -> None:
    """Add the fields of an answer that is an object, each with its type; nothing where it is none."""
    rows: list[list[Span]] = [[f"{indent}{field.name}", (field.told, "dim")] for field in fields(schema)]
    if rows:
        page.table(rows, whole=True)


def how_to_answer(page: Page, run: str, wait: WaitView, lead: Span = "hint: ", indent: str = "") -> None:
    """Add the line that answers a wait, and below it what else the answer may be."""
    schema, told = wait.record.schema, lead if isinstance(lead, str) else lead[0]
    page.line(indent, lead, answer_line(run, wait), whole=True)
    under = indent + " " * len(told)
    if also := beside(schema):
        page.line(under, (also, "dim"), wrap=True)
    field_rows(page, schema, under)


def _wanted(page: Page, wait: WaitView) -> None:
    """Add what a JSON answer is made of, and an example."""
    schema = wait.record.schema
    if fields(schema):
        field_rows(page, schema)
    else:
        page.line(f"  {described(schema)}")
    page.line(("  for example ", "dim"), example_json(schema), whole=True)


def _show(project: Project, wait: WaitView) -> None:
    page = Page(sys.stderr)
    page.line(("? ", "yellow"), (wait.label, "bold"))
    if wait.record.question:
        question(page, wait.record.question, f"kitaru show {wait.run}:{wait.label}")
    if wait.record.deadline:
        page.line((f"  {until(project, wait)}", "yellow"), wrap=True)
    for name, object_id in wait.record.shown.items():
        page.line(f"  {name}:")
        page.block(pretty(project.value(object_id, wait.run), MAX_SHOWN_LINES), "    ")
    for n, choice in enumerate(numbered(wait.record.schema), 1):
        page.line(f"  {n}  {choice}")
    if prompt_for(wait.record.schema) == "JSON: ":
        _wanted(page, wait)
    leave = "Ctrl-C leaves it waiting" if has_fields(wait.record.schema) else "empty, or Ctrl-C, leaves it waiting"
    page.line((f"  {leave}", "dim"), wrap=True)
    page.write()
