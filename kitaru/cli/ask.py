"""Asking a person for the answer to a wait, on a terminal.

Owns: how a question, its choices and fields look, here and in listings, and what may be typed for them. Whether an
answer is recorded, `Project` says.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from kitaru.cli.page import Page
from kitaru.cli.text import clean
from kitaru.cli.value import pretty
from kitaru.errors import InvalidAnswer
from kitaru.runtime.answers import described, resolve, validate_answer_json
from kitaru.runtime.examples import beside, choices, example_json, fields
from kitaru.runtime.waits import answer_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.cli.page import Span
    from kitaru.model.history import WaitView
    from kitaru.project import Project

MAX_SHOWN_LINES = 20

_YES_NO = {"y": "true", "yes": "true", "true": "true", "n": "false", "no": "false", "false": "false"}


def can_ask() -> bool:
    """Tell whether there is a person to ask: stdin and stderr are terminals."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(project: Project, wait: WaitView) -> str | None:
    """Show a wait on stderr and return what the person answers, as `kitaru answer` takes it; None for no answer now."""
    _show(project, wait)
    schema = wait.record.schema
    while True:
        typed = _read(prompt_for(schema))
        if not typed:
            return None
        text = understand(typed, schema)
        if text is None:
            many = len(_numbered(schema))
            sys.stderr.write(f"answer 1 to {many}, or in full\n" if many else "answer y or n\n")
        elif wrong := _misfit(text, schema):
            sys.stderr.write(f"{clean(wrong, lines=True)}\n")
        else:
            return text


def prompt_for(schema: Mapping[str, Any]) -> str:
    """Return what stands before the cursor."""
    numbered = _numbered(schema)
    if numbered:
        return f"1-{len(numbered)}: "
    kind = resolve(schema).get("type")
    return {"boolean": "y/n: ", "string": "> ", "integer": "number: ", "number": "number: "}.get(str(kind), "JSON: ")


def understand(typed: str, schema: Mapping[str, Any]) -> str | None:
    """Return the answer that was meant, or None where it cannot be told."""
    numbered = _numbered(schema)
    if numbered:
        if typed in numbered:
            return typed
        return numbered[int(typed) - 1] if typed.isdecimal() and 1 <= int(typed) <= len(numbered) else None
    if resolve(schema).get("type") == "boolean":
        return _YES_NO.get(typed.lower())
    return typed


def _numbered(schema: Mapping[str, Any]) -> list[str]:
    """Return the choices that are offered by number: true and false are asked for as y and n."""
    found = choices(schema)
    return [] if found == ["true", "false"] else found


def _misfit(typed: str, schema: Mapping[str, Any]) -> str:
    """Return why an answer does not fit, and what would; empty where it does."""
    try:
        validate_answer_json(dict(schema), typed, text=True)
    except InvalidAnswer as error:
        return f"{error.message}\n{error.hint}"
    return ""


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
        page.block(wait.record.question)
    for name, object_id in wait.record.shown.items():
        page.line(f"  {name}:")
        page.block(pretty(project.value(object_id, wait.run), MAX_SHOWN_LINES), "    ")
    for n, choice in enumerate(_numbered(wait.record.schema), 1):
        page.line(f"  {n}  {choice}")
    if prompt_for(wait.record.schema) == "JSON: ":
        _wanted(page, wait)
    page.line(("  empty, or Ctrl-C, leaves it waiting", "dim"), wrap=True)
    page.write()


def _read(prompt: str) -> str:
    from rich.console import Console
    from rich.text import Text

    try:
        return Console(stderr=True, markup=False).input(Text(clean(prompt), style="bold")).strip()
    except (EOFError, KeyboardInterrupt):
        sys.stderr.write("\n")
        return ""
