"""What a resume or a replay would do, as a page and as JSON.

Owns: what `--check` prints, and how it ends. What is found out is `kitaru.runtime.checking`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kitaru.cli.options import Output
from kitaru.cli.page import Page, write_json

if TYPE_CHECKING:
    from kitaru.cli.page import Span
    from kitaru.runtime.checking import Check, CheckedCall

_MARKS = {"reuse": ("=", "dim"), "run": (">", "cyan"), "stop": ("!", "red"), "ask": ("?", "yellow")}
_ENDINGS = {
    "completes": "the run would complete, and execute nothing",
    "runs": "it would go on by executing",
    "waits": "it would wait for an answer",
    "drifts": "it would stop at drift",
    "fails": "it would fail",
}


def tell_check(check: Check, output: Output) -> None:
    """Print what was found.

    Raises:
        KitaruError: the drift or failure that the execution would end with.
    """
    if output is Output.JSON:
        write_json(check_json(check))
    else:
        page = Page()
        check_page(page, check)
        page.write()
    if check.problem is not None:
        raise check.problem


def check_page(page: Page, check: Check) -> None:
    """Add what would become of each call."""
    page.line("run ", (check.run, "bold"), f"  {check.flow}  by the {_code(check)}", whole=True)
    for path, kind in check.changes:
        page.line((f"  {kind} since: {path}", "yellow"))
    page.gap()
    if check.calls:
        page.table([_row(call) for call in check.calls], whole=True)
    for call in check.calls:
        if "\n" in call.difference:
            page.gap()
            page.line((call.call, "bold"), " differs:")
            page.block(call.difference)
    page.gap()
    page.line(_summary(check), wrap=True)
    if check.left:
        which = "no longer made" if check.ending == "completes" else "recorded, and not come to"
        page.line(f"{which}: {', '.join(check.left)}", wrap=True)


def _code(check: Check) -> str:
    return "recorded code" if check.code == "recorded" else "working tree's code"


def _row(call: CheckedCall) -> list[Span]:
    mark, style = _MARKS[call.verdict]
    why = call.why.replace("\n", " ")
    return [(f"{mark} {call.call}", style), (str(call.verdict), style), why]


def _summary(check: Check) -> str:
    reused = sum(call.verdict == "reuse" for call in check.calls)
    would_run = [call.call for call in check.calls if call.verdict == "run"]
    told = " ".join([_ENDINGS[check.ending], *([", ".join(would_run)] if check.ending == "runs" else [])])
    return f"{told}; recorded results used: {reused}"


def check_json(check: Check) -> dict[str, Any]:
    """Return what was found, as one document."""
    error = check.error
    return {
        "run": check.run,
        "flow": check.flow,
        "code": check.code,
        "changes": [{"path": path, "change": kind} for path, kind in check.changes],
        "calls": [
            {
                "call": call.call,
                "order": call.order or None,
                "verdict": str(call.verdict),
                "why": call.why or None,
                "difference": call.difference or None,
            }
            for call in check.calls
        ],
        "left": list(check.left),
        "ending": str(check.ending),
        "error": {"type": type(error).__name__, "message": error.message, "hint": error.hint} if error else None,
    }
