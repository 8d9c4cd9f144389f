"""Asking a person for the answer to a wait, on a terminal.

Owns: how a question and its choices look, and what may be typed for them. Whether an answer is valid, `Project` says.
"""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

from kitaru.cli.page import Page
from kitaru.cli.text import clean
from kitaru.cli.value import pretty

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    choices = choices_of(wait.record.schema)
    while True:
        typed = _read(prompt_for(wait.record.schema, choices))
        if not typed:
            return None
        text = understand(typed, wait.record.schema, choices)
        if text is not None:
            return text
        sys.stderr.write("answer y or n\n" if not choices else f"answer 1 to {len(choices)}, or in full\n")


def choices_of(schema: Mapping[str, Any]) -> list[str]:
    """Return the texts that a schema of a choice allows, in order; none where it is no choice."""
    resolved = _resolve(schema)
    members = resolved.get("enum") or ([resolved["const"]] if "const" in resolved else [])
    return [m if isinstance(m, str) else json.dumps(m) for m in members]


def prompt_for(schema: Mapping[str, Any], choices: list[str]) -> str:
    """Return what stands before the cursor."""
    kind = _resolve(schema).get("type")
    if choices:
        return f"1-{len(choices)}: "
    return {"boolean": "y/n: ", "string": "> ", "integer": "number: ", "number": "number: "}.get(str(kind), "JSON: ")


def understand(typed: str, schema: Mapping[str, Any], choices: list[str]) -> str | None:
    """Return the answer that was meant, or None where it cannot be told."""
    if choices:
        if typed in choices:
            return typed
        return choices[int(typed) - 1] if typed.isdecimal() and 1 <= int(typed) <= len(choices) else None
    if _resolve(schema).get("type") == "boolean":
        return _YES_NO.get(typed.lower())
    return typed


def answer_line(run: str, view: WaitView) -> str:
    """Return the line that answers a wait, its value still to be chosen."""
    label = clean(view.label)
    quoted = label if label == shlex.quote(label) or ("#" in label and " " not in label) else shlex.quote(label)
    return f"kitaru answer {run} {quoted} {_placeholder(view)}"


def _placeholder(view: WaitView) -> str:
    choices = choices_of(view.record.schema)
    if choices:
        return "|".join(clean(choice) for choice in choices[:6])
    kind = str(view.record.schema.get("type", ""))
    return {"boolean": "true|false", "string": "TEXT", "integer": "NUMBER", "number": "NUMBER"}.get(kind, "JSON")


def _resolve(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    target = schema.get("$ref")
    if isinstance(target, str) and target.startswith("#/$defs/"):
        found = schema.get("$defs", {}).get(target.removeprefix("#/$defs/"))
        return found if isinstance(found, dict) else schema
    return schema


def _show(project: Project, wait: WaitView) -> None:
    page = Page(sys.stderr)
    page.line(("? ", "yellow"), (wait.label, "bold"))
    if wait.record.question:
        page.block(wait.record.question)
    for name, object_id in wait.record.shown.items():
        page.line(f"  {name}:")
        page.block(pretty(project.value(object_id, wait.run), MAX_SHOWN_LINES), "    ")
    for n, choice in enumerate(choices_of(wait.record.schema), 1):
        page.line(f"  {n}  {choice}")
    page.line(("  empty, or Ctrl-C, leaves it waiting", "dim"))
    page.write()


def _read(prompt: str) -> str:
    from rich.console import Console
    from rich.text import Text

    try:
        return Console(stderr=True, markup=False).input(Text(clean(prompt), style="bold")).strip()
    except (EOFError, KeyboardInterrupt):
        sys.stderr.write("\n")
        return ""
