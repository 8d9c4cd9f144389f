"""The JSON of reading verbs: runs, calls and waits as stable documents.

Owns: their field names, which docs/cli tells; fields are added, never renamed. Times are ISO 8601 in UTC, durations
whole microseconds, ids whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.cli.answered import standing
from kitaru.cli.text import iso
from kitaru.cli.value import plain
from kitaru.runtime.examples import choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.model.history import CallView, RunState, WaitView
    from kitaru.model.records import Resumed
    from kitaru.model.summary import RunSummary
    from kitaru.project import Project
    from kitaru.store.repository import AnswerName


def summary_json(summary: RunSummary) -> dict[str, Any]:
    """Return one run of a listing."""
    return {
        "run": summary.run,
        "flow": summary.flow,
        "version": summary.version,
        "status": str(summary.status),
        "started": iso(summary.started),
        "ended": iso(summary.ended),
        "source": summary.source or None,
        "tags": list(summary.tags),
        "calls": summary.calls,
        "waits": list(summary.waits),
        "wakes": iso(summary.wakes),
        "error": summary.error or None,
        "given_up": summary.given_up,
        "cost": {name: told for name, told in summary.spent.to_json().items() if not name.endswith("_tokens")},
    }


def how_of(call: CallView, run: str) -> str:
    """Return how a call came by its result, as seen from a run: `in flight`, `pinned`, `reused`, `failed` or `ran`."""
    record = call.record
    if record is None:
        return "in flight"
    if record.how == "pinned":
        return "pinned"
    if call.run != run or record.how == "reused":
        return "reused"
    return "failed" if record.error else "ran"


def no_longer_made(state: RunState) -> frozenset[str]:
    """Return the labels of recorded calls that the code which executed last did not make any more."""
    since = state.resumed[-1].at if state.resumed else state.start.at
    notes = [note for note in state.notes if note.about == "unclaimed" and note.at >= since]
    return frozenset(str(label) for note in notes for label in note.data.get("calls", []))


def call_json(call: CallView, run: str, *, gone: bool) -> dict[str, Any]:
    """Return one call of a run; `gone` says that the code which executed last did not make it."""
    record = call.record
    began = record.began if record else call.begun.began if call.begun else 0
    error = record.error if record else None
    return {
        "call": call.label,
        "name": call.name,
        "order": call.order,
        "scope": call.scope,
        "how": how_of(call, run),
        "run": call.run,
        "reused": record.reused if record else None,
        "record": call.id or None,
        "began": iso(began),
        "ended": iso(record.at) if record else None,
        "duration_us": record.at - began if record else None,
        "args": dict(record.args) if record else {},
        "output": record.output if record else None,
        "error": {"type": error.get("type"), "message": error.get("message")} if error else None,
        "attempts": len(call.attempts),
        "no_longer_made": gone,
        "stale": list(call.stale),
        "mutated": list(record.mutated) if record else [],
        "drift": call.drift,
        "saved": dict(record.saved) if record else {},
        "llm": list(record.llm) if record else [],
    }


def wait_json(wait: WaitView, given: AnswerName | None) -> dict[str, Any]:
    """Return one wait of a run, with its answer where it has one, or the one that the run has not taken yet."""
    record, answer = wait.record, wait.answer
    return {
        "wait": wait.label,
        "order": record.order,
        "run": wait.run,
        "record": wait.id,
        "asked": iso(record.at),
        "open": wait.is_open,
        "deadline": iso(record.deadline or 0),
        "default": record.default,
        "state": standing(wait),
        "question": record.question,
        "schema": record.schema,
        "choices": choices(record.schema),
        "shown": dict(record.shown),
        "answer": answer
        and {
            "value": answer.value,
            "by": answer.by,
            "answered": iso(answer.answered),
            "source": answer.source,
            "note": answer.note,
        },
        "given": given
        and {
            "value": given.value,
            "by": given.by,
            "answered": iso(given.at),
            "source": given.source,
            "note": given.note,
        },
    }


def values_json(project: Project, ids: Mapping[str, str], run: str) -> dict[str, Any]:
    """Return named values with their ids."""
    return {name: value_json(project, object_id, run) for name, object_id in ids.items()}


def value_json(project: Project, object_id: str, run: str) -> dict[str, Any]:
    """Return a value with its id."""
    return {"id": object_id, "value": plain(project.value(object_id, run))}


def run_json(state: RunState) -> dict[str, Any]:
    """Return a run without its values."""
    start, end = state.start, state.end
    return {
        "run": state.run,
        "flow": start.flow,
        "version": state.version.get("n"),
        "version_id": state.version.get("id"),
        "status": str(state.status),
        "started": iso(start.at),
        "ended": iso(end.at) if end else None,
        "source": start.source,
        "overrides": start.overrides,
        "tags": list(start.tags),
        "origin": start.origin,
        "code": start.code,
        "on_drift": start.on_drift,
        "resumed": [_resumed(state, record) for record in state.resumed],
        "inputs": dict(start.inputs),
        "output": end.output if end else None,
        "key": start.key or None,
        "limits": dict(start.limits),
        "invoked": dict(start.invoked) or None,
        "cancelled": _cancelled(end.cancelled) if end and end.cancelled else None,
        "error": _error(end.error) if end and end.error else None,
    }


def _resumed(state: RunState, record: Resumed) -> dict[str, Any]:
    return {"at": iso(record.at), "version": state.numbered(record.version).get("n"), "origin": record.origin}


def _cancelled(request: Mapping[str, Any]) -> dict[str, Any]:
    at = request.get("at")
    return {"by": request.get("by"), "at": iso(at) if type(at) is int else None, "reason": request.get("reason")}


def _error(error: Mapping[str, Any]) -> dict[str, Any]:
    return {name: error.get(name) for name in ("type", "message", "traceback")}
