"""One call, and one wait, in full.

Owns: the pages that `kitaru show RUN:CALL` and `kitaru show RUN:WAIT` print, and their JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.cli.answered import how_it_ended, left_off, standing
from kitaru.cli.ask import field_rows, how_to_answer, until
from kitaru.cli.documents import call_json, how_of, no_longer_made, value_json, values_json, wait_json
from kitaru.cli.events import origin
from kitaru.cli.page import Page, Span
from kitaru.cli.text import duration, error_name, local_time, one_line, short, users_frames
from kitaru.cli.value import MAX_LINES, plain, pretty
from kitaru.model.spending import dollars, model_calls, spent
from kitaru.runtime.answers import described
from kitaru.runtime.examples import fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kitaru.model.history import CallView, RunState, WaitView
    from kitaru.model.lineage import Edge
    from kitaru.model.spending import ModelCall
    from kitaru.project import Project

FIELD = 10
"""Columns of a field's name."""


def field(page: Page, name: str, *spans: Span) -> None:
    """Add `name  text`, never clipped."""
    page.line((f"{name:<{FIELD}}", "dim"), *spans, whole=True)


def value(page: Page, project: Project, name: str, object_id: str, run: str) -> None:
    """Add a value with its name and short id, bounded."""
    page.line(f"  {name}  " if name else "  ", (short(object_id), "cyan"), whole=True)
    page.block(pretty(project.value(object_id, run), MAX_LINES), "    ")


def values(page: Page, project: Project, title: str, ids: Mapping[str, str], run: str) -> None:
    """Add a section of named values; nothing where there are none."""
    if ids:
        page.gap()
        page.line((title, "bold"))
    for name, object_id in ids.items():
        value(page, project, name, object_id, run)


def error(page: Page, recorded: Mapping[str, Any]) -> None:
    """Add a section with a recorded error and its traceback."""
    page.gap()
    page.line(("error", "bold"))
    page.block(f"{error_name(recorded)}: {recorded.get('message', '')}", style="red")
    if recorded.get("traceback"):
        page.block(users_frames(str(recorded["traceback"])).rstrip("\n"), "    ")


def call_document(project: Project, state: RunState, call: CallView) -> dict[str, Any]:
    """Return a call as JSON, with its values."""
    record, lineage = call.record, project.lineage(state, call)
    return {
        **call_json(call, state.run, gone=call.label in no_longer_made(state)),
        "inputs": values_json(project, record.args, call.run) if record else {},
        "result": value_json(project, record.output, call.run) if record and record.output else None,
        "traceback": (record.error or {}).get("traceback") if record else None,
        "artifacts": values_json(project, record.saved, call.run) if record else {},
        "metadata": plain(project.value(record.metadata, call.run)) if record and record.metadata else None,
        "logs": [{"at_us": at, "stream": stream, "text": text} for at, stream, text in _logs(project, call)],
        "tries": [
            {"record": a.id, "error": plain((getattr(a.record, "error", None) or {}).get("message"))}
            for a in call.attempts
        ],
        "lineage": {"up": _edges_json(lineage.up), "down": _edges_json(lineage.down)},
    }


def _edges_json(edges: Sequence[Edge]) -> list[dict[str, str]]:
    return [{"call": e.label, "name": e.name, "id": e.object_id} for e in edges]


def _logs(project: Project, call: CallView) -> list[tuple[int, str, str]]:
    if call.record is None or call.record.logs is None:
        return []
    found = project.value(call.record.logs, call.run)
    return [(int(at), str(stream), str(text)) for at, stream, text in found] if isinstance(found, list) else []


def call_page(page: Page, project: Project, state: RunState, call: CallView) -> None:
    """Add all there is to know of a call."""
    page.line("call ", (call.label, "bold"), " of run ", (state.run, "bold"), f"  {state.start.flow}", whole=True)
    _facts(page, state, call)
    record = call.record
    if record is None:
        return
    values(page, project, "inputs", record.args, call.run)
    if record.output:
        values(page, project, "output", {"": record.output}, call.run)
    if record.error:
        error(page, record.error)
    _attempts(page, call)
    _asked(page, project, call)
    values(page, project, "saved", record.saved, call.run)
    if record.metadata:
        values(page, project, "metadata", {"": record.metadata}, call.run)
    _show_logs(page, project, call)
    _lineage(page, project, state, call)


def _facts(page: Page, state: RunState, call: CallView) -> None:
    record, how = call.record, how_of(call, state.run)
    came_from = f" from run {call.run}" if how == "reused" else ""
    if record is not None and record.reused:
        came_from = f" from {origin(record.reused)}"
    took = f" in {duration(record.at - record.began)}" if record else ""
    if record is None and call.begun:
        took = f" since {local_time(call.begun.began)}"
    field(page, "how", f"{how}{came_from}{took}, call order {call.order}")
    if record is None:
        return
    field(page, "ended", local_time(record.at))
    field(page, "record", call.id)
    for name, told in (
        ("scope", call.scope),
        ("stale", f"kept although {', '.join(call.stale)} changed" if call.stale else ""),
        ("mutated", f"it changed its argument {', '.join(record.mutated)} in place" if record.mutated else ""),
        ("drift", f"its arguments drifted; policy {call.drift}" if call.drift else ""),
    ):
        if told:
            field(page, name, (told, "" if name == "scope" else "yellow"))


def _attempts(page: Page, call: CallView) -> None:
    if len(call.attempts) < 2:
        return
    page.gap()
    page.line(("attempts", "bold"))
    for n, stored in enumerate(call.attempts, 1):
        failed = getattr(stored.record, "error", None)
        told = f"{error_name(failed)}: {one_line(str(failed.get('message', '')))}" if failed else "returned"
        page.line(f"  {n}  {local_time(stored.record.at)}  {told}")


def _asked(page: Page, project: Project, call: CallView) -> None:
    """Add what the call asked of models."""
    for asked in model_calls(call.record):
        page.gap()
        page.line(("model ", "bold"), asked.model or asked.asked, f"  {dollars(spent([asked]))}", whole=True)
        tokens = [f"{n} {what}" for what, n in _tokens(asked) if n is not None]
        tries = [f"{n} {what}" for what, n in (("retries", asked.retries), ("repairs", asked.repairs)) if n]
        first = f"first piece after {duration(asked.first_us)}" if asked.first_us is not None else ""
        for name, told in (
            ("asked", asked.asked),
            ("answered", f"{asked.answered}  {asked.request}"),
            ("tokens", ", ".join(tokens) or "unknown"),
            ("took", ", ".join(filter(None, [duration(asked.took_us), first, *tries]))),
            ("finish", asked.finish),
            ("tried", "; ".join(asked.tried)),
            ("via", asked.via),
            ("error", asked.error),
        ):
            if told.strip():
                page.line(f"  {name:<{FIELD}}", told, whole=True)
        for name, object_id in (("messages", asked.prompt_id), ("reply", asked.response_id)):
            if object_id:
                value(page, project, name, object_id, call.run)


def _tokens(asked: ModelCall) -> list[tuple[str, int | None]]:
    return [
        ("prompt", asked.prompt),
        ("of them cached", asked.cached or None),
        ("completion", asked.completion),
        ("of them reasoning", asked.reasoning or None),
    ]


def _show_logs(page: Page, project: Project, call: CallView) -> None:
    logs = _logs(project, call)
    if not logs:
        return
    page.gap()
    page.line(("logs", "bold"))
    text = "".join(text if text.endswith("\n") or stream != "log" else f"{text}\n" for _, stream, text in logs)
    page.block(pretty(text.rstrip("\n"), MAX_LINES))


def _lineage(page: Page, project: Project, state: RunState, call: CallView) -> None:
    lineage = project.lineage(state, call)
    for title, edges in (("made from", lineage.up), ("went into", lineage.down)):
        if edges:
            page.gap()
            page.line((title, "bold"))
        for edge in edges:
            page.line(f"  {edge.label}  {edge.name}  ", (short(edge.object_id), "cyan"), whole=True)


def wait_document(project: Project, state: RunState, wait: WaitView) -> dict[str, Any]:
    """Return a wait as JSON, with its values."""
    return {
        **wait_json(wait, project.given(state, wait)),
        "shown": values_json(project, wait.record.shown, wait.run),
        "reply": plain(project.value(wait.answer.value, wait.run)) if wait.answer else None,
    }


def wait_page(page: Page, project: Project, state: RunState, wait: WaitView) -> None:
    """Add all there is to know of a wait."""
    page.line("wait ", (wait.label, "bold"), " of run ", (state.run, "bold"), f"  {state.start.flow}", whole=True)
    field(page, "asked", local_time(wait.record.at))
    if wait.answer and standing(wait) == "answered":
        by = "default" if wait.answer.source == "default" else wait.answer.by or "somebody"
        field(page, "answered", f"{local_time(wait.answer.answered)} by {by}")
    elif wait.answer and not wait.is_sleep:
        field(page, "state", f"{how_it_ended(project, state, wait)}, {local_time(wait.answer.answered)}")
    else:
        field(page, "state", (left_off(project, state, wait) or standing(wait), "yellow"))
    if wait.answer and wait.answer.note:
        field(page, "note", wait.answer.note)
    if wait.is_sleep:
        field(page, "until", local_time(wait.record.deadline or 0))
        return
    if wait.record.deadline:
        field(page, "deadline", until(project, wait))
    page.gap()
    page.block(wait.record.question)
    page.gap()
    page.line(("wants", "bold"))
    _wanted(page, state, wait)
    values(page, project, "shown", wait.record.shown, wait.run)
    if wait.answer and standing(wait) == "answered":
        values(page, project, "answer", {"": wait.answer.value}, wait.run)


def _wanted(page: Page, state: RunState, wait: WaitView) -> None:
    """Add what an answer is made of, and how to give one while it is asked for."""
    if wait in state.open_waits:
        how_to_answer(page, state.run, wait, ("answer with: ", "dim"), "  ")
    elif fields(wait.record.schema):
        field_rows(page, wait.record.schema)
    else:
        page.line(f"  {described(wait.record.schema)}", whole=True)
